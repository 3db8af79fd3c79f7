package sync_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

// What clients know after a time in which everything happened at once is what is true, whenever they synced, at whichever node, by
// whichever kind of sync, and whatever of it the processes had forgotten in between.
//
// A failure names the seed of its round; REMPART_SEED=n begins there. REMPART_PROVE=1 goes on for minutes.
func TestConvergence(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		t.Run("one", func(t *testing.T) { converge(t, url, 1) })
		if storage.IsPostgres(url) {
			t.Run("two nodes", func(t *testing.T) { converge(t, pgtest.New(t), 2) })
		}
	})
}

// rounds is how long a test goes on with new rounds, and the first seed.
func rounds(t *testing.T) (time.Duration, uint64) {
	t.Helper()
	first, err := strconv.ParseUint(os.Getenv("REMPART_SEED"), 10, 64)
	prove := os.Getenv("REMPART_PROVE") == "1"
	if err != nil && prove {
		first = uint64(time.Now().UnixNano() % 1e9) //nolint:gosec // Why: any number does
	}
	if prove {
		return 3 * time.Minute, first
	}
	return 2 * time.Second, first
}

func converge(t *testing.T, url string, nodes int) {
	length, seed := rounds(t)
	var shift atomic.Int64
	w := &world{t: t, url: url, shift: &shift}
	for range nodes {
		w.nodes = append(w.nodes, w.start())
	}
	done := 0
	for end := time.Now().Add(length); done == 0 || time.Now().Before(end) && !t.Failed(); done++ {
		w.round(seed + uint64(done)) //nolint:gosec // Why: it counts up
	}
	t.Logf("%d rounds from seed %d on", done, seed)
}

// world is where the rounds of one test happen. One round has people and rooms of its own.
type world struct {
	t     *testing.T
	url   string
	nodes []*rig
	shift *atomic.Int64 // nanoseconds by which the clock is ahead

	seed     uint64
	people   []*person
	watchers []watcher
	acting   atomic.Int64
	// restarted says that a process of this round was.
	restarted bool

	mu    sync.Mutex
	rooms []matrix.RoomID
	said  map[matrix.RoomID][]matrix.EventID
	sent  map[int64]map[string]int // to-device messages by device and sender
}

// person is somebody who acts.
type person struct {
	*client
	w   *world
	rnd *rand.Rand
	// also is his second device, if he has one.
	also *client
}

// watcher is a client that syncs.
type watcher interface {
	// step syncs once, waiting for news at most so long; it reports whether there were any.
	step(wait time.Duration) bool
	of() *client
	state() *known
	String() string
}

func (w *world) start() *rig {
	return newRigAt(w.t, w.url, func() time.Time { return time.Now().Add(time.Duration(w.shift.Load())) })
}

// node is one of the nodes.
func (w *world) node(rnd *rand.Rand) *rig { return w.nodes[rnd.IntN(len(w.nodes))] }

func (w *world) errorf(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("seed %d: %s", w.seed, fmt.Sprintf(format, args...))
}

// round lets new people act and new clients watch, and compares what these know with what is true.
func (w *world) round(seed uint64) {
	w.t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // Why: it is to be repeatable
	w.seed, w.people, w.watchers, w.rooms, w.restarted = seed, nil, nil, nil, false
	w.said, w.sent = map[matrix.RoomID][]matrix.EventID{}, map[int64]map[string]int{}
	for i := range 2 + rnd.IntN(3) {
		p := &person{w: w, rnd: rand.New(rand.NewPCG(seed, uint64(10+i)))} //nolint:gosec // Why: as above
		p.client = w.nodes[0].user(fmt.Sprintf("u%d-%d", seed, i))
		w.watch(p.client, rnd)
		if rnd.IntN(2) == 0 {
			p.also = w.nodes[0].device(p.client)
			w.watch(p.also, rnd)
		}
		w.people = append(w.people, p)
	}
	w.act(5+rnd.IntN(20), false)
	if rnd.IntN(4) == 0 {
		w.restart(rnd.IntN(len(w.nodes)))
		w.act(5+rnd.IntN(10), rnd.IntN(2) == 0)
	}
	w.compare()
}

// watch makes a client of one or the other kind.
func (w *world) watch(c *client, rnd *rand.Rand) {
	own := rand.New(rand.NewPCG(w.seed, uint64(100+len(w.watchers)))) //nolint:gosec // Why: it is to be repeatable
	if rnd.IntN(3) == 0 {
		w.watchers = append(w.watchers, newSlideWatcher(w, c, own))
		return
	}
	w.watchers = append(w.watchers, newSyncWatcher(w, c, own))
}

// act has everybody do so many things each while everybody watches, until all is done.
func (w *world) act(things int, late bool) {
	var acting, watching sync.WaitGroup
	w.acting.Store(1)
	for i, c := range w.watchers {
		rnd := rand.New(rand.NewPCG(w.seed, uint64(200+i))) //nolint:gosec // Why: as above
		if late {
			continue // they are all away for the whole time
		}
		watching.Go(func() {
			for w.acting.Load() == 1 {
				if rnd.IntN(8) == 0 {
					time.Sleep(time.Duration(rnd.IntN(8)) * time.Millisecond) //nolint:forbidigo // Why: this client is away for a moment
				}
				c.step([]time.Duration{0, 0, 5 * time.Millisecond, 50 * time.Millisecond}[rnd.IntN(4)])
			}
		})
	}
	for _, p := range w.people {
		acting.Go(func() {
			for range things {
				p.act()
			}
		})
	}
	acting.Wait()
	w.acting.Store(0)
	watching.Wait()
}

// restart ends a process and starts another.
func (w *world) restart(i int) {
	old := w.nodes[i]
	w.restarted = true
	old.stop()
	fresh := w.start()
	w.nodes[i] = fresh
	for _, p := range w.people {
		p.client = p.client.on(fresh)
		if p.also != nil {
			p.also = p.also.on(fresh)
		}
	}
}

// settle lets all that is only for a time end, and has everybody sync until there is nothing new.
func (w *world) settle() {
	w.shift.Add(int64(40 * time.Second)) // typing ends
	if w.restarted {
		w.endTyping()
	}
	for _, n := range w.nodes {
		if err := n.db.CatchUp(ctx); err != nil {
			w.t.Fatal(err)
		}
		n.sync.Sweep()
	}
	for _, c := range w.watchers {
		c.step(0)
	}
	for _, c := range w.watchers { // once more: those who have just come are seen by the others
		for i := 0; c.step(0); i++ {
			if i > 50 {
				w.errorf("%s is told news for ever", c)
				return
			}
		}
	}
}

// endTyping has everybody say that he no longer types, as who wrote when a process ended does: the next one does not know of him.
func (w *world) endTyping() {
	for _, id := range w.rooms {
		for _, p := range w.people {
			_ = w.nodes[0].sync.SetTyping(ctx, &p.caller, id, false, 0) // who is not in the room may not
		}
	}
}

// device makes one more device of a user.
func (r *rig) device(c *client) *client {
	r.t.Helper()
	nid, err := r.db.NewID(ctx, storage.DeviceNIDs)
	if err != nil {
		r.t.Fatal(err)
	}
	change := &storage.Change{}
	change.Guard(storage.InsertDevice(storage.Device{NID: nid, User: c.caller.UserNID, ID: "DEV2"}, &nid))
	if err := r.db.Commit(ctx, change); err != nil {
		r.t.Fatal(err)
	}
	other := *c
	other.caller.Device, other.caller.DeviceNID, other.since = "DEV2", nid, ""
	return &other
}

// away loses what is in memory of a user now and then, as when he was away for long.
func away(r *rig, c *client, rnd *rand.Rand) {
	if rnd.IntN(12) == 0 && r.sync.Waiting() == 0 {
		r.sync.ForgetUser(c.caller.UserNID)
	}
}
