package courier_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rempart/core/appservice"
	"rempart/core/appservice/courier"
	"rempart/core/rooms"
	"rempart/gateway/servicegateway"
	"rempart/internal/bus"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/testkit/clock"
	"rempart/internal/testkit/lines"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

type keyring struct{ key matrix.SigningKey }

func (k keyring) SigningKey(matrix.ServerName) (matrix.SigningKey, bool) { return k.key, true }

// rig is one process: a courier over a real database, real rooms and the one way out. The services follow what users of their name do.
type rig struct {
	t        *testing.T
	db       *storage.DB
	rooms    *rooms.Service
	courier  *courier.Courier
	services *appservice.Registry
	way      *egress.Egress
	clock    clock.Clock
	log      lines.Buffer
	stopped  bool
}

func newRig(t *testing.T, url string, ahead time.Duration, told ...*bridge) *rig {
	t.Helper()
	b, r := bus.New[storage.Batch](), &rig{t: t}
	r.clock.Set(time.Now().Add(ahead))
	var list []appservice.Registration
	for _, one := range told {
		users, err := appservice.Pattern("@" + one.id + "_.*")
		mx.Must(t, err)
		list = append(list, appservice.Registration{ID: one.id, URL: one.server.URL, ASToken: "as " + one.id, HSToken: "hs", SenderLocalpart: one.id,
			Users: []appservice.Namespace{{Exclusive: true, Regex: users}}})
	}
	var err error
	r.services, err = appservice.New("home.example", list)
	mx.Must(t, err)
	r.db, err = storage.Open(t.Context(), storage.Options{URL: url, Publish: b.Publish})
	mx.Must(t, err)
	key, err := matrix.GenerateSigningKey("home.example")
	mx.Must(t, err)
	r.rooms, err = rooms.New(t.Context(), rooms.Options{DB: r.db, Bus: b, Keys: keyring{key}, Services: r.services})
	mx.Must(t, err)
	r.way = egress.New(egress.Options{Judge: egress.ByKind(egress.AllowNames(nil, false),
		map[egress.Kind]egress.Judge{egress.Appservice: egress.AllowEndpoints(servicegateway.Endpoints(r.services))})})
	r.courier, err = courier.New(t.Context(), courier.Options{DB: r.db, Bus: b, Rooms: r.rooms, Services: r.services,
		Gateway: servicegateway.New(r.way, r.services, "test"), Clock: r.clock.Now, Log: slog.New(slog.NewTextHandler(&r.log, nil))})
	mx.Must(t, err)
	t.Cleanup(r.stop)
	return r
}

// stop ends the process in good order; a second call does nothing.
func (r *rig) stop() {
	if r.stopped {
		return
	}
	r.stopped = true
	r.courier.Close()
	r.end()
}

// crash ends the process so that nothing more is written.
func (r *rig) crash() {
	r.stopped = true
	_ = r.db.Close()
	r.courier.Close()
	r.end()
}

func (r *rig) end() {
	r.rooms.Close()
	_, _ = r.db.Close(), r.way.Close()
}

// speaker makes a room that a service follows, in which its user speaks.
func (r *rig) speaker(name string) *speaker {
	r.t.Helper()
	id := matrix.UserID("@" + name + ":home.example")
	nid, err := r.db.UserNID(r.t.Context(), id)
	mx.Must(r.t, err)
	change := &storage.Change{}
	change.Guard(storage.InsertUser(storage.User{NID: nid, ID: id, Tenant: 1}))
	mx.Must(r.t, r.db.Commit(r.t.Context(), change))
	room, err := r.rooms.Create(r.t.Context(), matrix.Caller{Tenant: 1, User: id, UserNID: nid, Server: "home.example"}, &rooms.CreateRequest{Preset: "public_chat"})
	mx.Must(r.t, err)
	return &speaker{rig: r, id: id, room: room.NID()}
}

// speaker is somebody in his room, at a process.
type speaker struct {
	*rig
	id   matrix.UserID
	room int64
}

func (s *speaker) on(r *rig) *speaker { return &speaker{r, s.id, s.room} }

func (s *speaker) say(texts ...string) {
	s.t.Helper()
	room, err := s.rooms.RoomByNID(s.t.Context(), s.room)
	mx.Must(s.t, err)
	for _, text := range texts {
		raw, err := json.Marshal(map[string]any{"msgtype": "m.text", "body": text})
		mx.Must(s.t, err)
		_, err = s.rooms.Send(s.t.Context(), rooms.SendRequest{Room: room, Sender: s.id, Type: "m.room.message", Content: raw})
		mx.Must(s.t, err)
	}
}

// sent is a transaction as a service got it.
type sent struct {
	txn, body string
	texts     []string
	events    int
	taken     bool
}

// bridge is an application service on loopback.
type bridge struct {
	t      *testing.T
	id     string
	server *httptest.Server

	mu      sync.Mutex
	answers func(n int) (status int, hold chan struct{}) // to the nth transaction, from 1; nil takes all
	got     []*sent
	news    chan struct{}
}

func newBridge(t *testing.T, id string) *bridge {
	t.Helper()
	b := &bridge{t: t, id: id, news: make(chan struct{}, 1)}
	b.server = httptest.NewServer(b)
	t.Cleanup(b.server.Close)
	return b
}

// to makes the service answer so from now on.
func (b *bridge) to(answers func(n int) (int, chan struct{})) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers = answers
}

func (b *bridge) poke() {
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// ServeHTTP takes one transaction. A status of 0 takes it; without an answer when it is held until the server goes.
func (b *bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	txn, ok := strings.CutPrefix(r.URL.Path, "/_matrix/app/v1/transactions/")
	raw, err := io.ReadAll(r.Body)
	if !ok || err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var in struct{ Events []mx.Event }
	if err := json.Unmarshal(raw, &in); err != nil {
		b.t.Errorf("not a transaction: %s", raw)
	}
	one := &sent{txn: txn, body: string(raw), events: len(in.Events)}
	for _, e := range in.Events {
		if e.Type == "m.room.message" {
			one.texts = append(one.texts, e.Body())
		}
	}
	status, hold := b.arrived(one)
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}
	b.mu.Lock()
	one.taken = status == 0
	b.mu.Unlock()
	b.poke()
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	_, _ = io.WriteString(w, "{}")
}

func (b *bridge) arrived(one *sent) (status int, hold chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, one)
	if b.answers != nil {
		status, hold = b.answers(len(b.got))
	}
	b.poke()
	return status, hold
}

// until waits for something to be so of what has come.
func (b *bridge) until(what string, so func() bool) {
	b.t.Helper()
	end := time.NewTimer(mx.Patience)
	defer end.Stop()
	for {
		b.mu.Lock()
		done := so()
		b.mu.Unlock()
		if done {
			return
		}
		select {
		case <-b.news:
		case <-end.C:
			b.t.Fatalf("%s: %s: not in the end; %d transactions came", b.id, what, b.count())
		}
	}
}

// asked waits until so many transactions have come.
func (b *bridge) asked(n int) {
	b.t.Helper()
	b.until("transactions", func() bool { return len(b.got) >= n })
}

func (b *bridge) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.got)
}

// took waits until the service took a text.
func (b *bridge) took(text string) {
	b.t.Helper()
	b.until("took "+text, func() bool {
		return slices.ContainsFunc(b.got, func(s *sent) bool { return s.taken && slices.Contains(s.texts, text) })
	})
}

// texts are those of all transactions, each once. One that came again must be the same.
func (b *bridge) texts() (out []string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := map[string]string{}
	for _, s := range b.got {
		if was, again := seen[s.txn]; again && was != s.body {
			b.t.Errorf("%s came again with other content:\n%s\n%s", s.txn, was, s.body)
		} else if !again {
			seen[s.txn] = s.body
			out = append(out, s.texts...)
		}
	}
	return out
}

// eventually waits for something to be so that nobody announces.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mx.Patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatalf("not so in the end: %s", what)
		case <-tick.C:
		}
	}
}

func each(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	pgtest.Each(t, fn)
}
