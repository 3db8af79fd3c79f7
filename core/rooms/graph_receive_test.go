package rooms_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/storage"
)

const carol = matrix.UserID("@carol:remote.example")

// remote makes events of another server.
type remote struct {
	t    testing.TB
	r    *rig
	room *rooms.Room
	key  matrix.SigningKey
	// depth is the least that events claim.
	depth int64
}

func (r *rig) remote(t testing.TB, room *rooms.Room) *remote {
	t.Helper()
	key, err := matrix.GenerateSigningKey("remote.example")
	if err != nil {
		t.Fatal(err)
	}
	return &remote{t: t, r: r, room: room, key: key}
}

// on makes an event that follows others, with the auth events of a version of state.
func (m *remote) on(at rooms.Version, d rooms.Draft, prev ...*matrix.Event) *matrix.Event {
	m.t.Helper()
	p := matrix.Proto{RoomID: m.room.ID(), Sender: d.Sender, Type: d.Type, StateKey: d.StateKey, Content: d.Content,
		Redacts: d.Redacts, Sticky: d.Sticky}
	for _, e := range prev {
		p.PrevEvents = append(p.PrevEvents, e.ID)
		p.Depth = max(p.Depth, e.Depth+1)
	}
	p.Depth = max(p.Depth, m.depth)
	if p.OriginServerTS = d.OriginTS; p.OriginServerTS == 0 {
		p.OriginServerTS = 1_700_000_000_000 + p.Depth%1000
	}
	for _, t := range authrules.NeededAuthTypes(d.Sender, d.Type, d.StateKey, d.Content, m.room.Version()) {
		e, err := m.r.rooms.KeyAt(m.t.Context(), m.room, at, t)
		if err != nil {
			m.t.Fatal(err)
		}
		if e != nil {
			p.AuthEvents = append(p.AuthEvents, e.ID)
		}
	}
	e, err := m.room.Version().Build(p, m.key)
	if err != nil {
		m.t.Fatal(err)
	}
	return e
}

func (m *remote) give(a rooms.Arrival, events ...*matrix.Event) []rooms.Outcome {
	m.t.Helper()
	out, err := m.r.rooms.Receive(m.t.Context(), m.room.ID(), events, a)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

func (m *remote) accept(events ...*matrix.Event) *rooms.Stored {
	m.t.Helper()
	out := m.give(rooms.Arrival{}, events...)
	for _, o := range out {
		if o.Err != nil || o.Refused != nil {
			m.t.Fatalf("%s: %v, %v", o.ID, o.Err, o.Refused)
		}
	}
	return out[len(out)-1].Stored
}

func (m *remote) now() *rooms.View {
	m.t.Helper()
	v, err := m.r.rooms.Current(m.t.Context(), m.room)
	if err != nil {
		m.t.Fatal(err)
	}
	return v
}

// joined makes a room in which carol of another server is a member; the last event is her join.
func joinedRemote(t *testing.T, r *rig) (*remote, *rooms.Stored) {
	room := r.publicRoom(t, "11")
	m := r.remote(t, room)
	last := r.must(t, room, text(alice, "before"))[0]
	return m, m.accept(m.on(last.After(), state(carol, "m.room.member", string(carol), object{"membership": "join"}), last.Event))
}

// An event whose parents are not known is refused with their names, and accepted once they came; a known one is known.
func TestReceiveMissing(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		m, join := joinedRemote(t, newRig(t, url, nil))
		first := m.on(join.After(), text(carol, "first"), join.Event)
		second := m.on(join.After(), text(carol, "second"), first)
		var missing rooms.ErrMissing
		if out := m.give(rooms.Arrival{}, second); !errors.As(out[0].Err, &missing) || len(missing.Prev) != 1 || missing.Prev[0] != first.ID {
			t.Fatalf("got %+v", out)
		}
		m.accept(second, first) // in the wrong order, as a transaction may hold them
		if out := m.give(rooms.Arrival{}, first); !out[0].Known {
			t.Error("the event came twice")
		}
		if heads := m.now().Heads(); len(heads) != 1 || heads[0] != second.ID {
			t.Errorf("heads %v", heads)
		}
	})
}

// Someone who is banned now cannot speak by pretending not to know: his event is kept, but moves nothing.
func TestSoftFailure(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		m, join := joinedRemote(t, r)
		r.must(t, m.room, state(alice, "m.room.member", string(carol), object{"membership": "ban"}))
		before := m.now()
		late := m.on(join.After(), text(carol, "too late"), join.Event)
		leave := m.on(join.After(), state(carol, "m.room.member", string(carol), object{"membership": "leave"}), join.Event)
		for _, o := range m.give(rooms.Arrival{}, late, leave) {
			if o.Err != nil || o.Refused == nil || !o.Stored.Has(storage.FlagSoftFailed) || o.Stored.Position() != 0 {
				t.Errorf("%+v", o)
			}
		}
		if v := m.now(); fmt.Sprint(v.Heads()) != fmt.Sprint(before.Heads()) || v.Version() != before.Version() {
			t.Error("a soft-failed event moved the room")
		}
		child := m.on(join.After(), text(carol, "child"), leave)
		if out := m.give(rooms.Arrival{}, child); out[0].Err != nil || !out[0].Stored.Has(storage.FlagRejected) {
			t.Errorf("who left in the past of an event may still speak in it: %+v", out[0])
		}
	})
}

// A redaction that came before its target waits for it.
func TestEarlyRedaction(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		m, join := joinedRemote(t, r)
		target := m.on(join.After(), text(carol, "secret"), join.Event)
		redaction := text(carol, "")
		redaction.Type, redaction.Content = "m.room.redaction", json.RawMessage(`{"redacts":"`+string(target.ID)+`"}`)
		by := m.on(join.After(), redaction, join.Event)
		m.accept(by)
		m.accept(target)
		for _, service := range []*rig{r, newRig(t, url, nil)} {
			room, err := service.rooms.Room(t.Context(), m.room.ID())
			if err != nil {
				t.Fatal(err)
			}
			got, err := service.rooms.EventByID(t.Context(), room, target.ID)
			if err != nil || string(got.Content) != "{}" || got.RedactedBy == nil || got.RedactedBy.ID != by.ID {
				t.Errorf("the target reads %s (%v)", got.Content, err)
			}
		}
	})
}

// Many heads are joined by an event of a local member.
func TestCollapse(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		r.account(t, alice) // in whose name they are joined
		m, join := joinedRemote(t, r)
		for i := range 11 {
			m.accept(m.on(join.After(), text(carol, fmt.Sprint("fork ", i)), join.Event))
		}
		heads := m.now().Heads()
		if len(heads) != 1 {
			t.Fatalf("%d heads", len(heads))
		}
		e, err := m.r.rooms.EventByID(t.Context(), m.room, heads[0])
		if err != nil || e.Type != "org.matrix.dummy_event" || len(e.PrevEvents) != 11 {
			t.Errorf("the head is %v, %v", e, err)
		}
	})
}

// A room of another server is entered with state that others told; its parts become ordinary events when they arrive.
func TestStateFromElsewhere(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		home := newRig(t, sqliteURL(t), nil)
		room := home.publicRoom(t, "11")
		from := home.remote(t, room)
		var before []matrix.EventID
		var auth []*matrix.Event
		view := from.now()
		all, err := view.All(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			before, auth = append(before, e.ID), append(auth, e.Event)
		}
		last := home.must(t, room, text(alice, "not known elsewhere"))[0]
		join := from.on(last.After(), state(carol, "m.room.member", string(carol), object{"membership": "join"}), last.Event)

		away := newRig(t, url, nil)
		for _, o := range must(t)(away.rooms.Receive(t.Context(), room.ID(), auth, rooms.Arrival{Outliers: true})) {
			if o.Err != nil || o.Refused != nil {
				t.Fatalf("outlier: %+v", o)
			}
		}
		out := must(t)(away.rooms.Receive(t.Context(), room.ID(), []*matrix.Event{join}, rooms.Arrival{State: before}))
		if out[0].Err != nil || out[0].Refused != nil {
			t.Fatalf("join: %+v", out[0])
		}
		there, err := away.rooms.Room(t.Context(), room.ID())
		if err != nil {
			t.Fatal(err)
		}
		v, err := away.rooms.Current(t.Context(), there)
		if err != nil || v.Len() != len(before)+1 || v.Joined() != 2 {
			t.Fatalf("%d keys, %d joined, %v; want %d and 2", v.Len(), v.Joined(), err, len(before)+1)
		}
		got, err := away.rooms.StateAt(t.Context(), there, out[0].Stored.Before())
		if err != nil || len(got) != len(before) {
			t.Errorf("the state before the join has %d keys (%v), want %d", len(got), err, len(before))
		}
		// The history is fetched later: what was an outlier gets its place.
		for _, o := range must(t)(away.rooms.Receive(t.Context(), room.ID(), auth, rooms.Arrival{Backfill: true})) {
			if o.Err != nil || o.Refused != nil || o.Stored.Has(storage.FlagOutlier) || o.Stored.Row.Branch < 0 {
				t.Errorf("backfilled: %+v", o)
			}
		}
		if again, _ := away.rooms.Current(t.Context(), there); again.Version() != v.Version() {
			t.Error("history moved the present")
		}
	})
}

func must(t *testing.T) func([]rooms.Outcome, error) []rooms.Outcome {
	return func(out []rooms.Outcome, err error) []rooms.Outcome {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// Writes that are refused at commit take none of those with them that were built on them.
func TestFailedPredecessor(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		room := r.publicRoom(t, "12")
		users := r.join(t, room, 6)
		var wg sync.WaitGroup
		for i, u := range users {
			wg.Go(func() {
				for n := range 15 {
					d := text(u, "hello")
					if n%4 == 1 {
						d = state(alice, "org.example.state", fmt.Sprint(i, n), object{})
					}
					bad := i%3 == 0 && n%2 == 0
					if bad {
						d.Guards = append(d.Guards, storage.ForgetRoom(0, 0))
					}
					if _, err := r.send(t.Context(), room, d); (err != nil) != bad {
						t.Errorf("a write that must fail: %v; %v", bad, err)
					}
				}
			})
		}
		wg.Wait()
		checkLine(t, r, room, 4+6+6*15-2*8)
	})
}

// Two nodes write one room: nothing is lost, and both see the same state and heads.
func TestTwoNodes(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		if !storage.IsPostgres(url) {
			t.Skip("one node only")
		}
		nodes := []*rig{newRig(t, url, nil), newRig(t, url, nil)}
		first := nodes[0].publicRoom(t, "12")
		var wg sync.WaitGroup
		for i, n := range nodes {
			room, err := n.rooms.Room(t.Context(), first.ID())
			if err != nil {
				t.Fatal(err)
			}
			for s := range 3 {
				wg.Go(func() {
					for k := range 15 {
						d := text(alice, fmt.Sprint("hello ", i, s, k)) // Why: equal events of one moment have one id
						if k%5 == 0 {
							d = state(alice, "org.example.state", fmt.Sprint(i, s, k), object{})
						}
						if _, err := n.send(t.Context(), room, d); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		wg.Wait()
		third := newRig(t, url, nil)
		room, err := third.rooms.Room(t.Context(), first.ID())
		if err != nil {
			t.Fatal(err)
		}
		v, err := third.rooms.Current(t.Context(), room)
		if err != nil || v.Len() != 4+2*3*3 {
			t.Errorf("%d keys, %v", v.Len(), err)
		}
		seen := countBack(t, third, room, v.Heads())
		if seen != 4+2*3*15 {
			live, err := third.db.ListLiveBefore(t.Context(), room.NID(), 1<<62, 1000)
			t.Errorf("%d events hang together, want %d; %d (%v) are stored", seen, 4+2*3*15, len(live), err)
		}
	})
}

// countBack counts the events that the heads rest on.
func countBack(t *testing.T, r *rig, room *rooms.Room, heads []matrix.EventID) int {
	t.Helper()
	seen := map[matrix.EventID]bool{}
	for todo := heads; len(todo) > 0; {
		id := todo[0]
		todo = todo[1:]
		if seen[id] {
			continue
		}
		seen[id] = true
		e, err := r.rooms.EventByID(t.Context(), room, id)
		if err != nil {
			t.Fatal(err)
		}
		todo = append(todo[:len(todo):len(todo)], e.PrevEvents...)
	}
	return len(seen)
}

// With more heads than one event may name, local events name the newest and so join them step by step.
func TestManyHeads(t *testing.T) {
	m, join := joinedRemote(t, newRig(t, sqliteURL(t), nil))
	forks := make([]*matrix.Event, 45)
	for i := range forks {
		d := text(carol, fmt.Sprint("fork ", i))
		if i%2 == 0 {
			d = state(carol, "m.room.member", string(carol), object{"membership": "join", "displayname": fmt.Sprint("Carol ", i)})
		}
		forks[i] = m.on(join.After(), d, join.Event)
	}
	m.accept(forks...) // one dummy event joins the first of them
	for range 4 {
		sent := m.r.must(t, m.room, text(alice, "hello"))[0]
		if n := len(sent.PrevEvents); n > 20 {
			t.Errorf("%d previous events", n)
		}
	}
	if heads := m.now().Heads(); len(heads) != 1 {
		t.Errorf("%d heads", len(heads))
	}
}
