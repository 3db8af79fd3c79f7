package rooms_test

import (
	"slices"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
)

var levelsTuple = matrix.StateTuple{Type: "m.room.power_levels"}

const bob = matrix.UserID("@bob:home.example")

// late makes an event of dora's as her server might that lost track of the room: with the auth events of an earlier version of state, behind an
// event that nobody knows.
func late(t *testing.T, a *rig, room *rooms.Room, at rooms.Version) *matrix.Event {
	t.Helper()
	key, err := matrix.GenerateSigningKey(there)
	if err != nil {
		t.Fatal(err)
	}
	d := text(dora, "from the past")
	p := matrix.Proto{RoomID: room.ID(), Sender: dora, Type: d.Type, Content: d.Content, PrevEvents: []matrix.EventID{"$" + matrix.EventID(key.KeyID) + "unknown"},
		Depth: 50, OriginServerTS: 1_700_000_000_000}
	for _, tuple := range authrules.NeededAuthTypes(dora, d.Type, nil, d.Content, room.Version()) {
		e, err := a.rooms.KeyAt(t.Context(), room, at, tuple)
		if err != nil {
			t.Fatal(err)
		}
		p.AuthEvents = append(p.AuthEvents, e.ID)
	}
	e, err := room.Version().Build(p, key)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Who promoted somebody has left since; a server that lost the promotion tells a state without it. In version 10 resolution takes the promotion
// back, though nobody did: that is told, and the room can be set to what another server still knows.
func TestStateResetIsToldAndRepaired(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w, a, d := twoServers(t, url)
		_ = w
		room := a.publicRoom(t, "10")
		tell := func(drafts ...rooms.Draft) *rooms.Stored {
			t.Helper()
			out := a.must(t, room, drafts...)
			for _, e := range out {
				if d.stateKnown(t, room.ID()) {
					d.hears(t, home, e.Event)
				}
			}
			return out[len(out)-1]
		}
		tell(state(bob, "m.room.member", string(bob), object{"membership": "join"}))
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		first := tell(state(alice, "m.room.power_levels", "", object{"users": object{string(alice): 100, string(bob): 100}}))
		promoted := tell(state(bob, "m.room.power_levels", "", object{"users": object{string(alice): 100, string(bob): 100, string(dora): 50}}))
		tell(state(bob, "m.room.member", string(bob), object{"membership": "leave"}))

		told := a.stateOf(t, room.ID())
		told[levelsTuple] = first.ID
		var ids []matrix.EventID
		for _, id := range told {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		out, err := a.rooms.Receive(t.Context(), room.ID(), []*matrix.Event{late(t, a, room, promoted.Before())}, rooms.Arrival{From: there, State: ids})
		if err != nil || out[0].Err != nil || out[0].Refused != nil {
			t.Fatalf("%v %+v", err, out)
		}
		if got := a.stateOf(t, room.ID())[levelsTuple]; got != first.ID {
			t.Fatalf("the promotion stands: this test shows nothing any more")
		}
		c, err := a.rooms.Condition(t.Context(), room)
		if err != nil || a.rooms.Resets() != 1 || len(c.Resets) != 1 || c.Resets[0].Was != promoted.ID || c.Resets[0].Now != first.ID ||
			c.Resets[0].Type != "m.room.power_levels" || c.Resets[0].Cause != out[0].ID {
			t.Fatalf("%d resets, %+v, %v", a.rooms.Resets(), c.Resets, err)
		}
		if len(c.Heads) != 2 || len(c.Servers) != 2 || c.Forks == 0 || c.Joined != 2 || c.State != 6 {
			t.Errorf("condition: %+v", c)
		}
		for _, q := range []rooms.RepairRequest{{Adopt: true}, {Adopt: true, Servers: []matrix.ServerName{there, home}},
			{Adopt: true, Alone: true, Servers: []matrix.ServerName{there}}} {
			if done, err := a.rooms.RepairState(t.Context(), room, q); !matrix.HasCode(err, matrix.CodeInvalidParam) || done.Event != "" {
				t.Errorf("a state of nobody in particular is adopted by %+v: %+v %v", q, done, err)
			}
		}
		fixed, err := a.rooms.RepairState(t.Context(), room, rooms.RepairRequest{Servers: []matrix.ServerName{there}, Adopt: true})
		if err != nil || len(fixed.Changed) != 1 || fixed.Changed[0].Now != promoted.ID || fixed.Event == "" {
			t.Fatalf("%+v %v", fixed, err)
		}
		a.must(t, room, text(alice, "it holds"))
		if got := a.stateOf(t, room.ID())[levelsTuple]; got != promoted.ID {
			t.Errorf("the repair does not hold")
		}
		if c, err = a.rooms.Condition(t.Context(), room); err != nil || len(c.Resets) != 0 || len(c.Heads) != 1 {
			t.Errorf("after the repair: %+v %v", c, err)
		}
		if again, err := a.rooms.RepairState(t.Context(), room, rooms.RepairRequest{Alone: true}); err != nil || again.Event != "" {
			t.Errorf("a room in order is repaired: %+v %v", again, err)
		}
	})
}

// stateKnown reports whether a server is in a room.
func (r *rig) stateKnown(t *testing.T, id matrix.RoomID) bool {
	t.Helper()
	_, err := r.rooms.Room(t.Context(), id)
	return err == nil
}

// What somebody did who was demoted at the same time is taken back with reason: no alarm.
func TestWhatIsTakenBackWithReasonIsNoReset(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		_, a, d := twoServers(t, url)
		room := a.publicRoom(t, "10")
		a.must(t, room, state(bob, "m.room.member", string(bob), object{"membership": "join"}),
			state(alice, "m.room.power_levels", "", object{"users": object{string(alice): 100, string(dora): 50}}))
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		before := d.stateOf(t, room.ID())[memberTuple(bob)]
		far := d.known(t, room.ID())
		d.must(t, far, state(dora, "m.room.member", string(bob), object{"membership": "leave"}))
		demotion := a.must(t, room, state(alice, "m.room.power_levels", "", object{"users": object{string(alice): 100}}))[0]
		d.hears(t, home, demotion.Event)
		if got := d.stateOf(t, room.ID())[memberTuple(bob)]; got != before {
			t.Fatalf("the removal stands: this test shows nothing any more")
		}
		if n := d.rooms.Resets(); n != 0 {
			t.Errorf("%d resets", n)
		}
	})
}

func memberTuple(u matrix.UserID) matrix.StateTuple {
	return matrix.StateTuple{Type: "m.room.member", Key: string(u)}
}
