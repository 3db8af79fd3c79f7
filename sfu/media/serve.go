package media

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/livekit-server/pkg/rtc/types"
	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"

	"rempart/sfu"
)

// ready is what the child writes once it serves.
const ready = "ready\n"

// Run is the child: it reads its settings from in, serves until in ends, and writes to out when it is ready.
func Run(ctx context.Context, in io.Reader, out io.Writer) error {
	var s Settings
	d := json.NewDecoder(in)
	if err := d.Decode(&s); err != nil {
		return err
	}
	if err := s.Check(); err != nil {
		return err
	}
	logger.InitFromConfig(&logger.Config{JSON: true, Level: "error", ComponentLevels: map[string]string{"pion": "error", "transport.pion": "error"}}, "media")
	c := &child{}
	if s.Judged {
		c.by = newJudged(out)
	}
	defer c.close()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if rest := io.MultiReader(d.Buffered(), in); c.by != nil {
			c.by.hear(rest)
		}
		_, _ = io.Copy(io.Discard, in) // ends with the parent
	}()
	if err := c.open(ctx, s); err != nil {
		return err
	}
	if _, err := io.WriteString(out, ready); err != nil {
		return err
	}
	select {
	case <-gone:
	case <-ctx.Done():
	}
	return nil
}

// child is the process that handles media.
type child struct {
	node   *node // nil when there is only TURN
	relay  *relay
	by     *judged // nil: the parent is not asked
	server *http.Server
}

func (c *child) open(ctx context.Context, s Settings) error {
	var err error
	if s.TURN.Enabled() {
		if c.relay, err = openRelay(ctx, s, c.by); err != nil {
			return err
		}
	}
	if s.SFU.Enabled {
		if c.node, err = newNode(s, c.by); err != nil {
			return err
		}
		if err = c.node.start(); err != nil {
			return err
		}
	}
	if err := os.Remove(s.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", s.Socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(s.Socket, 0o600); err != nil {
		return err
	}
	c.server = &http.Server{Handler: c.routes(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = c.server.Serve(l) }() // ends with close
	if c.node != nil {
		go c.idle(ctx)
	}
	return nil
}

func (c *child) close() {
	if c.server != nil {
		_ = c.server.Close()
	}
	if c.node != nil {
		c.node.stop()
	}
	if c.relay != nil {
		_ = c.relay.Close()
	}
}

// idle closes rooms that nobody is in.
func (c *child) idle(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.node.rooms.CloseIdleRooms()
		}
	}
}

// routes are what the parent may ask.
func (c *child) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.stats()) })
	mux.HandleFunc("GET /profile", profile)
	if c.node == nil {
		return mux
	}
	mux.HandleFunc("POST /rooms", func(w http.ResponseWriter, r *http.Request) {
		finish(w, c.node.ensureRoom(r.Context(), r.FormValue("alias")))
	})
	mux.HandleFunc("GET /participants", func(w http.ResponseWriter, r *http.Request) {
		list, err := c.node.participants(r.Context())
		if err != nil {
			finish(w, err)
			return
		}
		answer(w, list)
	})
	mux.HandleFunc("POST /kick", func(w http.ResponseWriter, r *http.Request) {
		finish(w, c.node.kick(r.Context(), r.FormValue("alias"), r.FormValue("identity")))
	})
	signal := http.NewServeMux()
	c.node.rtc.SetupRoutes(signal)
	mux.Handle("/rtc", c.node.authorised(signal))
	mux.Handle("/rtc/", c.node.authorised(signal))
	return mux
}

// authorised reads the token as LiveKit wants it. Why not LiveKit's own: it writes bad tokens into its answers and its log.
func (n *node) authorised(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		v, err := auth.ParseAPIToken(token)
		if err != nil {
			http.Error(w, "the token is not valid", http.StatusUnauthorized)
			return
		}
		claims, grants, err := v.Verify(n.keys.GetSecret(v.APIKey()))
		if err != nil || claims == nil {
			http.Error(w, "the token is not valid", http.StatusUnauthorized)
			return
		}
		var expires time.Time
		if claims.ExpiresAt != nil {
			expires = claims.ExpiresAt.Time
		}
		next.ServeHTTP(w, r.WithContext(service.WithGrantsExpiry(r.Context(), grants, v.APIKey(), expires)))
	})
}

// roomPause is between two attempts to have a room.
const roomPause = 250 * time.Millisecond

// ensureRoom makes a room at some node unless it exists. The node that has it may be dead: that is known when it has said nothing
// for five seconds, and then another one is taken. Until then it is tried again, since whoever asks is somebody who comes back.
func (n *node) ensureRoom(ctx context.Context, alias string) error {
	for {
		err := n.tryRoom(ctx, alias)
		if err == nil || errors.Is(err, routing.ErrNodeLimitReached) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(roomPause):
		}
	}
}

func (n *node) tryRoom(ctx context.Context, alias string) error {
	name := livekit.RoomName(alias)
	if n.rooms.GetRoom(ctx, name) != nil {
		return nil
	}
	if err := n.alloc.SelectRoomNode(ctx, name, ""); err != nil {
		return err
	}
	_, err := n.router.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: alias})
	return err
}

// participants lists those of this node: other nodes watch over their own.
func (n *node) participants(ctx context.Context) ([]sfu.Live, error) {
	rooms, err := n.store.ListRooms(ctx, nil)
	if err != nil {
		return nil, err
	}
	list := []sfu.Live{}
	for _, r := range rooms {
		room := n.rooms.GetRoom(ctx, livekit.RoomName(r.Name))
		if room == nil {
			continue
		}
		for _, p := range room.GetParticipants() {
			info := p.ToProto()
			list = append(list, sfu.Live{Alias: r.Name, Identity: info.Identity, Joined: info.JoinedAt, From: reached(p.GetICEConnectionInfo()), Publishing: len(info.Tracks)})
		}
	}
	return list, nil
}

// reached are the addresses that media goes to.
func reached(connections []*types.ICEConnectionInfo) []netip.Addr {
	var list []netip.Addr
	for _, c := range connections {
		for _, r := range c.Remote {
			if r.SelectedOrder == 0 || r.Candidate == nil {
				continue
			}
			if a, err := netip.ParseAddr(r.Candidate.Address); err == nil && !slices.Contains(list, a.Unmap()) {
				list = append(list, a.Unmap())
			}
		}
	}
	return list
}

func (n *node) kick(ctx context.Context, alias, identity string) error {
	_, err := n.rooms.RemoveParticipant(ctx, &livekit.RoomParticipantIdentity{Room: alias, Identity: identity})
	if errors.Is(err, service.ErrRoomNotFound) || errors.Is(err, service.ErrParticipantNotFound) || errors.Is(err, routing.ErrNotFound) {
		return nil
	}
	return err
}

// Stats are the numbers of the media process.
type Stats struct {
	Rooms        int     `json:"rooms"`
	Participants int     `json:"participants"`
	TracksIn     int     `json:"tracks_in"`
	TracksOut    int     `json:"tracks_out"`
	BytesIn      uint64  `json:"bytes_in"`
	BytesOut     uint64  `json:"bytes_out"`
	PacketsLost  uint64  `json:"packets_lost"` // asked for again by NACK
	BytesInRate  float64 `json:"bytes_in_rate"`
	BytesOutRate float64 `json:"bytes_out_rate"`
	Relays       int64   `json:"relays"`
	RelaysDenied int64   `json:"relays_denied"`
	Goroutines   int     `json:"goroutines"`
}

// profile tells what the process is doing or holds ("goroutine", "heap"), in the form of go tool pprof. What nobody holds any
// more is given back first.
func profile(w http.ResponseWriter, r *http.Request) {
	p := pprof.Lookup(r.FormValue("name"))
	if p == nil {
		http.Error(w, "no such profile", http.StatusNotFound)
		return
	}
	debug.FreeOSMemory()
	form := 0
	if r.FormValue("text") != "" {
		form = 1
	}
	_ = p.WriteTo(w, form) // who asks notices
}

func (c *child) stats() Stats {
	s := Stats{Goroutines: runtime.NumGoroutine()}
	if c.relay != nil {
		s.Relays, s.RelaysDenied = c.relay.open.Load(), c.relay.denied.Load()
	}
	if c.node == nil {
		return s
	}
	st := c.node.local.Clone().GetStats()
	s.Rooms, s.Participants = int(st.GetNumRooms()), int(st.GetNumClients())
	s.TracksIn, s.TracksOut = int(st.GetNumTracksIn()), int(st.GetNumTracksOut())
	s.BytesIn, s.BytesOut, s.PacketsLost = st.GetBytesIn(), st.GetBytesOut(), st.GetNackTotal()
	//nolint:staticcheck // the rates by direction have no other source in this version
	s.BytesInRate, s.BytesOutRate = float64(st.GetBytesInPerSec()), float64(st.GetBytesOutPerSec())
	return s
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the parent notices
}

func finish(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
