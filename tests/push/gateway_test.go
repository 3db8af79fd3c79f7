package push

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/ports"
)

// told is one notification as a gateway got it.
type told struct {
	EventID string          `json:"event_id"`
	RoomID  string          `json:"room_id"`
	Type    string          `json:"type"`
	Sender  string          `json:"sender"`
	Name    string          `json:"sender_display_name"`
	Room    string          `json:"room_name"`
	Target  bool            `json:"user_is_target"`
	Prio    string          `json:"prio"`
	Content json.RawMessage `json:"content"`
	Counts  struct {
		Unread int `json:"unread"`
	} `json:"counts"`
	Devices []struct {
		AppID   string                     `json:"app_id"`
		PushKey string                     `json:"pushkey"`
		TS      int64                      `json:"pushkey_ts"`
		Data    map[string]json.RawMessage `json:"data"`
		Tweaks  map[string]any             `json:"tweaks"`
	} `json:"devices"`
}

// gateway is a push gateway on a fixed port of loopback, so that it can go away and come back.
type gateway struct {
	t    *testing.T
	addr string

	mu       sync.Mutex
	server   *http.Server
	status   int           // what it answers to requests that come from now on; 200 takes notifications
	rejects  string        // a push key that it does not want
	hold     chan struct{} // requests wait until it is closed; nil: they do not
	got      map[string][]told
	asked    int // requests, taken or not
	arrivals chan struct{}
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{t: t, addr: ports.Hold(t, ""), status: http.StatusOK, got: map[string][]told{}, arrivals: make(chan struct{}, 1)}
	g.start()
	t.Cleanup(g.stop)
	return g
}

func (g *gateway) serve(l net.Listener) {
	g.server = &http.Server{Handler: g, ReadHeaderTimeout: time.Minute}
	go func(s *http.Server) { _ = s.Serve(l) }(g.server)
}

// stop closes the port, with all connections.
func (g *gateway) stop() { _ = g.server.Close() }

// start opens the port.
func (g *gateway) start() {
	g.t.Helper()
	l, err := net.Listen("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.serve(l)
}

func (g *gateway) url() string { return "http://" + g.addr + "/_matrix/push/v1/notify" }

// answers makes the gateway answer with a status to what comes from now on.
func (g *gateway) answers(status int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status = status
}

// holdOn lets requests wait until a channel is closed; nil: not any more.
func (g *gateway) holdOn(until chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold = until
}

// requests is how often the gateway was asked.
func (g *gateway) requests() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

// ServeHTTP takes one notification.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var in struct {
		Notification told `json:"notification"`
	}
	if err != nil || json.Unmarshal(raw, &in) != nil || len(in.Notification.Devices) > 1 || r.URL.Path != "/_matrix/push/v1/notify" {
		g.t.Errorf("not a notification: %s %s", r.URL.Path, raw)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	g.mu.Lock()
	g.asked++
	hold, status := g.hold, g.status
	g.mu.Unlock()
	g.poke()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	if len(in.Notification.Devices) == 0 { // the doctor asks
		_, _ = w.Write([]byte(`{"rejected":[]}`))
		return
	}
	key := in.Notification.Devices[0].PushKey
	rejected := []string{}
	if key == g.rejects {
		rejected = append(rejected, key)
	}
	g.got[key] = append(g.got[key], in.Notification)
	_ = json.NewEncoder(w).Encode(map[string]any{"rejected": rejected})
	g.poke()
}

func (g *gateway) poke() {
	select {
	case g.arrivals <- struct{}{}:
	default:
	}
}

// until waits for something to be true of what has arrived.
func (g *gateway) until(what string, ok func() bool) {
	g.t.Helper()
	end := time.NewTimer(mx.Patience)
	defer end.Stop()
	for {
		g.mu.Lock()
		done := ok()
		g.mu.Unlock()
		if done {
			return
		}
		select {
		case <-g.arrivals:
		case <-end.C:
			g.mu.Lock()
			defer g.mu.Unlock()
			g.t.Fatalf("%s: not in the end; %d requests, taken: %+v", what, g.asked, g.got)
		}
	}
}

// refuseOne makes the gateway answer with a status to one request, which it keeps waiting until what is returned is called; those that
// come then it takes. What is done between the two is done while nothing else is on its way.
func (g *gateway) refuseOne(status int) (takeOthers func()) {
	g.t.Helper()
	hold := make(chan struct{})
	g.answers(status)
	g.holdOn(hold)
	return func() {
		g.t.Helper()
		g.holdOn(nil)
		g.answers(http.StatusOK)
		close(hold)
	}
}

// event waits for the notification of an event to a push key.
func (g *gateway) event(key, id string) told {
	g.t.Helper()
	var found told
	g.until("notification of "+id, func() bool {
		for _, n := range g.got[key] {
			if n.EventID == id {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

// events are the events that a push key was told of, each once, in the order in which they came first.
func (g *gateway) events(key string) (order []string, times map[string]int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	times = map[string]int{}
	for _, n := range g.got[key] {
		if n.EventID == "" {
			continue
		}
		if times[n.EventID]++; times[n.EventID] == 1 {
			order = append(order, n.EventID)
		}
	}
	return order, times
}

// count waits for a notification of the count alone.
func (g *gateway) count(key string, unread int) {
	g.t.Helper()
	g.until("the count alone", func() bool {
		list := g.got[key]
		return len(list) > 0 && list[len(list)-1].EventID == "" && list[len(list)-1].Counts.Unread == unread
	})
}
