package calls

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/pgtest"
	"rempart/internal/testkit/ports"
	"rempart/sfu"
	"rempart/sfu/media"
)

// redis starts one of the machine's; a machine without it skips the test.
func redis(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed: several nodes share calls by it")
	}
	port := ports.Both(t)
	cmd := exec.CommandContext(t.Context(), program, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()) //nolint:gosec // the test's own
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	at := fmt.Sprintf("127.0.0.1:%d", port)
	until(t, "redis listens", func() bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return at
}

// TestTwoNodesShareACall: people who are connected to two nodes of one server see one another, and who is kicked by one node is
// disconnected though he came by the other.
func TestTwoNodesShareACall(t *testing.T) {
	if !pgtest.Wanted() {
		t.Skip("two nodes need PostgreSQL")
	}
	settings := fmt.Sprintf("  tcp_port: 0\n  redis: %q\n", redis(t))
	o := live.Options{Postgres: pgtest.New(t)}
	one := startSet(t, o, "http://calls.invalid", ports.Both(t), settings)
	o.SigningKey = one.Dir + "/signing.key"
	two := startSet(t, o, "http://calls.invalid", ports.Both(t), settings)
	alice, bob, room := twoIn(t, one)
	bob.url = two.URL
	all := map[string]*heard{}
	for _, p := range []*person{alice, bob} {
		r, h, err := p.join(p.member(room))
		if err != nil {
			t.Fatal(err)
		}
		send(t, r)
		all[p.user] = h
	}
	for user, h := range all {
		wait(t, user+": sound", 101, h.audio)
		wait(t, user+": pictures", 101, h.video)
	}
	alice.must("POST", "/_matrix/client/v3/rooms/"+room+"/kick", map[string]string{"user_id": bob.user})
	wait(t, "end of the connection", 1, all[bob.user].gone)
	if status, _ := bob.ask(room); status != http.StatusForbidden {
		t.Errorf("a new token: %d", status)
	}
}

// elsewhere is a media server of somebody else: its rooms are administered by LiveKit's own interface, in the words of its own
// library, and clients connect to it by themselves.
type elsewhere struct {
	livekit.RoomService // what this server does not call
	keys                sfu.Keys
	by                  *http.Transport
}

// ask puts what is asked by the interface to the media process.
func (e *elsewhere) ask(ctx context.Context, method, path string, query url.Values, out any) error {
	return media.Ask(ctx, e.by, method, path, query, out)
}

func (e *elsewhere) CreateRoom(ctx context.Context, q *livekit.CreateRoomRequest) (*livekit.Room, error) {
	return &livekit.Room{Name: q.Name}, e.ask(ctx, http.MethodPost, "/rooms", url.Values{"alias": {q.Name}}, nil)
}

func (e *elsewhere) ListRooms(ctx context.Context, _ *livekit.ListRoomsRequest) (*livekit.ListRoomsResponse, error) {
	var list []sfu.Live
	err := e.ask(ctx, http.MethodGet, "/participants", nil, &list)
	rooms := map[string]*livekit.Room{}
	out := &livekit.ListRoomsResponse{}
	for _, l := range list {
		if rooms[l.Alias] == nil {
			rooms[l.Alias] = &livekit.Room{Name: l.Alias}
			out.Rooms = append(out.Rooms, rooms[l.Alias])
		}
		rooms[l.Alias].NumParticipants++
	}
	return out, err
}

func (e *elsewhere) ListParticipants(ctx context.Context, q *livekit.ListParticipantsRequest) (*livekit.ListParticipantsResponse, error) {
	var list []sfu.Live
	err := e.ask(ctx, http.MethodGet, "/participants", nil, &list)
	out := &livekit.ListParticipantsResponse{}
	for _, l := range list {
		if l.Alias == q.Room {
			out.Participants = append(out.Participants, &livekit.ParticipantInfo{Identity: l.Identity, JoinedAt: l.Joined, Tracks: make([]*livekit.TrackInfo, l.Publishing)})
		}
	}
	for _, p := range out.Participants {
		for i := range p.Tracks {
			p.Tracks[i] = &livekit.TrackInfo{Sid: fmt.Sprint(i)}
		}
	}
	return out, err
}

func (e *elsewhere) RemoveParticipant(ctx context.Context, q *livekit.RoomParticipantIdentity) (*livekit.RemoveParticipantResponse, error) {
	return &livekit.RemoveParticipantResponse{}, e.ask(ctx, http.MethodPost, "/kick", url.Values{"alias": {q.Room}, "identity": {q.Identity}}, nil)
}

// needs says which grant a call of the interface needs.
func needs(path string, g *auth.VideoGrant) bool {
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "CreateRoom":
		return g.RoomCreate
	case "ListRooms":
		return g.RoomList
	}
	return g.RoomAdmin && g.Room != ""
}

// serving runs a media server until the test ends.
func serving(t *testing.T, settings string) {
	t.Helper()
	in, tell := io.Pipe()
	say, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- media.Run(context.WithoutCancel(t.Context()), in, out) }()
	go func() { _, _ = io.WriteString(tell, settings+"\n") }()
	b := make([]byte, 6)
	ready := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(say, b)
		ready <- err
	}()
	select {
	case err := <-ended:
		t.Fatal(err)
	case <-ready:
	}
	t.Cleanup(func() {
		_ = tell.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// newElsewhere starts one, in this process: LiveKit may be started once in each.
func newElsewhere(t *testing.T) (string, sfu.Keys) {
	t.Helper()
	e := &elsewhere{keys: sfu.Keys{Name: "theirs", Secret: "a secret of at least thirty-two bytes"}}
	socket := filepath.Join(t.TempDir(), "media.sock")
	e.by = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(e.by.CloseIdleConnections)
	text := fmt.Sprintf(`{"socket":%q,"node_ip":["127.0.0.1"],"sfu":{"enabled":true,"udp_port":%d,"key":%q,"secret":%q,"empty_seconds":60}}`,
		socket, ports.Both(t), e.keys.Name, e.keys.Secret)
	serving(t, text)
	rooms := livekit.NewRoomServiceServer(e)
	signal := &httputil.ReverseProxy{Transport: e.by, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: "media"})
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, rooms.PathPrefix()) {
			signal.ServeHTTP(w, r)
			return
		}
		v, err := auth.ParseAPIToken(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if err == nil {
			if _, g, bad := v.Verify(e.keys.Secret); bad == nil && v.APIKey() == e.keys.Name && needs(r.URL.Path, g.Video) {
				rooms.ServeHTTP(w, r)
				return
			}
		}
		http.Error(w, "no", http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	return server.URL, e.keys
}

// TestAMediaServerElsewhere: people meet at a media server that somebody else runs; this server makes rooms there, sees who is in
// them, and has those removed who may not be.
func TestAMediaServerElsewhere(t *testing.T) {
	at, keys := newElsewhere(t)
	ws := "ws" + strings.TrimPrefix(at, "http")
	t.Setenv("REMPART_SERVER_PUBLIC_URL", "http://calls.invalid")
	s := live.Start(t, live.Options{Extra: fmt.Sprintf("calls:\n  mode: external\n  server_url: %q\n  api_key: %q\n  api_secret: %q\n", ws, keys.Name, keys.Secret)})
	alice, bob, room := twoIn(t, s)
	all := map[string]*heard{}
	for _, p := range []*person{alice, bob} {
		r, h, err := p.connect(ws, p.member(room))
		if err != nil {
			t.Fatal(err)
		}
		send(t, r)
		all[p.user] = h
	}
	for user, h := range all {
		wait(t, user+": sound", 101, h.audio)
		wait(t, user+": pictures", 101, h.video)
	}
	boss := admin(t, s)
	until(t, "the administrator sees both", func() bool {
		_, out := boss.call("GET", "/_rempart/admin/v1/calls", nil)
		return out["participants"] == 2.0
	})
	alice.must("POST", "/_matrix/client/v3/rooms/"+room+"/kick", map[string]string{"user_id": bob.user})
	wait(t, "end of the connection", 1, all[bob.user].gone)
}
