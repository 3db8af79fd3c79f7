package sender_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rempart/core"
	"rempart/core/rooms"
	"rempart/federation/client"
	"rempart/federation/sender"
	"rempart/internal/bus"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

const (
	home  = matrix.ServerName("home.example")
	alice = matrix.UserID("@alice:home.example")
)

// again is how often a condition is asked that nothing happens for.
const again = 100 * time.Millisecond

// transaction is what a peer was sent in one request.
type transaction struct {
	id   string
	body string
	PDUs []struct {
		Type    string `json:"type"`
		Room    string `json:"room_id"`
		Content struct {
			Body string `json:"body"`
		} `json:"content"`
	} `json:"pdus"`
	EDUs []core.EDU `json:"edus"`
}

// peer is another server: it notes what it is sent. What it is sent again under the same id it passes over, as servers do.
type peer struct {
	name matrix.ServerName
	addr string
	got  chan transaction // every request, before it is answered
	done chan struct{}    // the same, after what it holds was taken
	// answer decides on each request; it may wait. It gives the status.
	answer func(t transaction) int

	mu    sync.Mutex
	taken []transaction // those answered with 200, each id once
	calls int
}

func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut {
		http.NotFound(w, r)
		return
	}
	raw, err := io.ReadAll(r.Body)
	t := transaction{id: path.Base(r.URL.Path), body: string(raw)}
	if err != nil || json.Unmarshal(raw, &t) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	p.calls++
	answer := p.answer
	p.mu.Unlock()
	p.got <- t
	status := http.StatusOK
	if answer != nil {
		status = answer(t)
	}
	if status == http.StatusOK {
		p.take(t)
	}
	p.done <- struct{}{}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"pdus":{}}`)
}

func (p *peer) take(t transaction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, old := range p.taken {
		if old.id == t.id {
			return
		}
	}
	p.taken = append(p.taken, t)
}

func (p *peer) answers(fn func(t transaction) int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = fn
}

func (p *peer) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// bodies are the texts of the messages that it took, in order.
func (p *peer) bodies() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, t := range p.taken {
		for _, e := range t.PDUs {
			if e.Type == "m.room.message" {
				out = append(out, e.Content.Body)
			}
		}
	}
	return out
}

// next waits for the next request.
func (p *peer) next(t *testing.T) transaction {
	t.Helper()
	select {
	case got := <-p.got:
		return got
	case <-time.After(mx.Patience):
		t.Fatalf("%s was told nothing", p.name)
		return transaction{}
	}
}

// until waits until what was taken satisfies a condition. It is asked now and again also when nothing comes: it may be what has time pass.
func (p *peer) until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(again)
	defer tick.Stop()
	for end := time.Now().Add(mx.Patience); !ok(); {
		select {
		case <-p.done:
		case <-tick.C:
		}
		if time.Now().After(end) {
			t.Fatalf("%s was told no more than %v", p.name, p.bodies())
		}
		select {
		case <-p.got:
		default:
		}
	}
}

// world is the outside and the time, which nodes share.
type world struct {
	*fakenet.Net
	// policy decides about servers in rooms; nil admits all.
	policy core.RoomPolicy
	key    matrix.SigningKey
	ms     atomic.Int64
	// reached, if set, hears who is asked what is new.
	reached chan matrix.ServerName
	// tides are those of the nodes; nil: the usual ones.
	tides []time.Duration
}

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := matrix.GenerateSigningKey(home)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Net: fakenet.New(t), key: key}
	w.ms.Store(time.Now().UnixMilli())
	return w
}

func (w *world) clock() time.Time     { return time.UnixMilli(w.ms.Load()) }
func (w *world) pass(d time.Duration) { w.ms.Add(d.Milliseconds()) }

// SigningKey implements the keys of rooms and of the client.
func (w *world) SigningKey(server matrix.ServerName) (matrix.SigningKey, bool) {
	return w.key, server == home
}

// peer adds a server; n tells it apart.
func (w *world) peer(n int) *peer {
	p := w.absent(n)
	w.arrive(p)
	return p
}

// absent is a server that is not there yet.
func (w *world) absent(n int) *peer {
	host, addr := fmt.Sprintf("peer%d.example", n), fmt.Sprintf("9.9.%d.%d", 9+n/250, 1+n%250)
	p := &peer{name: matrix.ServerName(host + ":8448"), got: make(chan transaction, 2000), done: make(chan struct{}, 2000)}
	p.addr = addr + ":8448"
	w.Host(host, addr)
	return p
}

// arrive has a server be there.
func (w *world) arrive(p *peer) { w.Serve(p.addr, p, p.name.Host()) }

// dials waits until so many connections were tried.
func (w *world) dials(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(mx.Patience); len(w.Dialled()) < n; {
		if time.Now().After(end) {
			t.Fatalf("dialled %v", w.Dialled())
		}
		runtime.Gosched()
	}
}

// node is one process of the installation.
type node struct {
	t      *testing.T
	w      *world
	db     *storage.DB
	rooms  *rooms.Service
	sender *sender.Sender
	ended  sync.Once
}

// node opens the installation's database and starts to send, by a clock that is ahead of the world's by some time.
func (w *world) node(t *testing.T, url string, ahead time.Duration) *node {
	t.Helper()
	n := &node{t: t, w: w}
	b, signals := bus.New[storage.Batch](), bus.New[[]byte]()
	var err error
	if n.db, err = storage.Open(t.Context(), storage.Options{URL: url, Publish: b.Publish, Signal: signals.Publish}); err != nil {
		t.Fatal(err)
	}
	if n.rooms, err = rooms.New(t.Context(), rooms.Options{DB: n.db, Bus: b, Keys: w, Federated: true, Policy: w.policy, Server: home}); err != nil {
		t.Fatal(err)
	}
	n.sender = sender.New(sender.Options{
		DB: n.db, Bus: b, Rooms: n.rooms, Signals: signals,
		Client: client.New(client.Options{Egress: w.Egress(egress.AllowNames([]string{"*"}, false), nil), Keys: w, Agent: "test"}),
		Compose: func(_ context.Context, row *storage.OutboxRow) ([]core.EDU, error) {
			return []core.EDU{{Type: row.EDU, Content: row.Body}}, nil
		},
		Reached: func(_ context.Context, server matrix.ServerName, _ []int64) {
			if w.reached != nil {
				w.reached <- server
			}
		},
		Clock: func() time.Time { return w.clock().Add(ahead) }, Tides: w.tides,
	})
	t.Cleanup(n.close)
	return n
}

// close stops as one should.
func (n *node) close() {
	n.ended.Do(func() {
		n.sender.Close()
		n.rooms.Close()
		if err := n.db.Close(); err != nil {
			n.t.Error(err)
		}
	})
}

// crash ends the node so that nothing reaches the database any more.
func (n *node) crash() {
	n.ended.Do(func() {
		if err := n.db.Close(); err != nil {
			n.t.Error(err)
		}
		n.sender.Close()
		n.rooms.Close()
	})
}

// room makes a room of alice's.
func (n *node) room() *rooms.Room {
	n.t.Helper()
	v, _ := matrix.Version("11")
	room, _, err := n.rooms.CreateRoom(n.t.Context(), v, alice, []byte(`{"room_version":"11"}`), func(*rooms.View) ([]rooms.Draft, error) {
		key := string(alice)
		return []rooms.Draft{{Sender: alice, Type: "m.room.member", StateKey: &key, Content: []byte(`{"membership":"join"}`)}}, nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return room
}

// say sends a message and puts it into the outbox for some servers, as if they were in the room.
func (n *node) say(room *rooms.Room, to *storage.ServerSet, body string) {
	n.t.Helper()
	raw, _ := json.Marshal(map[string]string{"msgtype": "m.text", "body": body})
	_, err := n.rooms.Compose(n.t.Context(), room, func(*rooms.View) ([]rooms.Draft, error) {
		return []rooms.Draft{{Sender: alice, Type: "m.room.message", Content: raw}}, nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
	last := n.last(room)
	c := &storage.Change{}
	live := c.Live(storage.Live{Kind: storage.KindOutbox, Room: room.NID()})
	c.Post(&storage.OutboxRow{At: storage.At{Live: live + 1}, Event: last, Room: room.NID(), Origin: home, Targets: to})
	if err := n.db.Commit(n.t.Context(), c); err != nil {
		n.t.Fatal(err)
	}
}

// last is the newest event of a room.
func (n *node) last(room *rooms.Room) int64 {
	n.t.Helper()
	nids, err := n.db.ListLiveBefore(n.t.Context(), room.NID(), n.db.Position(), 1)
	if err != nil || len(nids) != 1 {
		n.t.Fatal(err)
	}
	return nids[0]
}

// tell puts a message that must arrive into the outbox.
func (n *node) tell(to *storage.ServerSet, typ, content string) {
	n.t.Helper()
	c := &storage.Change{}
	live := c.Live(storage.Live{Kind: storage.KindOutbox})
	c.Post(&storage.OutboxRow{At: storage.At{Live: live + 1}, Origin: home, Targets: to, EDU: typ, Body: []byte(content)})
	if err := n.db.Commit(n.t.Context(), c); err != nil {
		n.t.Fatal(err)
	}
}

func set(peers ...*peer) *storage.ServerSet {
	names := make([]matrix.ServerName, len(peers))
	for i, p := range peers {
		names[i] = p.name
	}
	return storage.NewServerSet(names)
}

// each runs a test on every engine.
func each(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	pgtest.Each(t, fn)
}

func postgresOnly(t *testing.T) string {
	t.Helper()
	if !pgtest.Wanted() {
		t.Skip("REMPART_TEST_ENGINES=sqlite")
	}
	return pgtest.New(t)
}

func sqliteURL(t *testing.T) string { return filepath.Join(t.TempDir(), "rempart.db") }

func numbered(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}
