package rooms_test

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
)

// A gap is filled where a part of it is here without its place, since it came with the state of something else: it gets its place, and what follows
// it enters the room.
func TestAGapAroundWhatHasNoPlace(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		w, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		said := a.messages(t, room, alice, 1)[0]
		topic := a.must(t, room, state(alice, "m.room.topic", "", object{"topic": "new"}))[0]
		last := a.messages(t, room, alice, 1)[0]
		if _, err := d.rooms.Receive(ctx, room.ID(), []*matrix.Event{topic.Event}, rooms.Arrival{From: home, Outliers: true}); err != nil {
			t.Fatal(err)
		}
		inbox := d.inboxOf(t)
		if _, err := inbox.Take(ctx, home, []json.RawMessage{json.RawMessage(last.JSON)}); err != nil {
			t.Fatal(err)
		}
		inbox.Wait()
		for _, e := range []*rooms.Stored{said, topic, last} {
			if got := d.event(t, d.known(t, room.ID()), e.ID); !got.Before().Known() {
				t.Errorf("%s has no place", e.Type)
			}
		}
		if got := d.stateOf(t, room.ID())[matrix.StateTuple{Type: "m.room.topic"}]; got != topic.ID {
			t.Errorf("the topic is %s, asked: %v", got, w.calls)
		}
		if n := w.called("state_ids"); n > 0 {
			t.Errorf("state was asked for %d times", n)
		}
	})
}

// padded is a wire on which answers about gaps hold more than was asked for.
type padded struct {
	*wire
	more []json.RawMessage
}

func (p *padded) MissingEvents(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, earliest, latest []matrix.EventID, limit int) ([]json.RawMessage, error) {
	list, err := p.wire.MissingEvents(ctx, from, to, room, earliest, latest, limit)
	return append(slices.Clone(p.more), list...), err
}

// What a gap is filled with may reach back to before a server came into the room: that is the past, and changes nothing in the present. Who joined
// while anybody could would else be out where only who is invited may join by now.
func TestAGapThatReachesIntoThePast(t *testing.T) {
	for _, version := range []string{"11", "12"} {
		t.Run(version, func(t *testing.T) {
			ctx, w := t.Context(), &wire{}
			a, p := w.server(t, home, sqliteURL(t)), &padded{wire: w}
			a.account(t, alice)
			d := w.serverBehind(t, there, filepath.Join(t.TempDir(), "there.db"), p)
			d.account(t, dora)
			room := a.publicRoom(t, version)
			old := a.messages(t, room, alice, 2)
			d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
			here := d.known(t, room.ID())
			closed := a.must(t, room, state(alice, "m.room.join_rules", "", object{"join_rule": "invite"}))[0]
			d.take(t, room.ID(), rooms.Arrival{From: home}, closed)
			before := d.stateOf(t, room.ID())
			said := a.messages(t, room, alice, 2)
			v, err := a.rooms.Current(ctx, room)
			if err != nil {
				t.Fatal(err)
			}
			first, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.create"})
			if err != nil {
				t.Fatal(err)
			}
			p.more = []json.RawMessage{json.RawMessage(first.JSON), json.RawMessage(old[0].JSON), json.RawMessage(old[1].JSON)}
			inbox := d.inboxOf(t)
			if _, err := inbox.Take(ctx, home, []json.RawMessage{json.RawMessage(said[1].JSON)}); err != nil {
				t.Fatal(err)
			}
			inbox.Wait()
			d.event(t, here, said[1].ID)
			if got := d.stateOf(t, room.ID()); !maps.Equal(got, before) {
				t.Errorf("the state is %v, and was %v", got, before)
			}
		})
	}
}

// take has a server take in events of another as they stand in its inbox.
func (r *rig) take(t *testing.T, room matrix.RoomID, a rooms.Arrival, events ...*rooms.Stored) {
	t.Helper()
	for _, e := range events {
		out, err := r.rooms.Receive(t.Context(), room, []*matrix.Event{e.Event}, a)
		if err != nil || out[0].Err != nil || out[0].Refused != nil {
			t.Fatalf("%s: %+v, %v", e.Type, out, err)
		}
	}
}

// Who reads an event that has no place while it is given one does not put it back into memory without: what followed it would be dropped.
func TestAPlaceGivenWhileTheEventIsRead(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		_, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		topic := a.must(t, room, state(alice, "m.room.topic", "", object{"topic": "new"}))[0]
		said := a.messages(t, room, alice, 1)[0]
		d.take(t, room.ID(), rooms.Arrival{From: home, Outliers: true}, topic)
		here := d.known(t, room.ID())
		if _, err := d.rooms.KeepWhile(t.Context(), d.event(t, here, topic.ID).Row.NID, func() { d.take(t, room.ID(), rooms.Arrival{From: home}, topic) }); err != nil {
			t.Fatal(err)
		}
		if !d.event(t, here, topic.ID).Before().Known() {
			t.Error("it has no place")
		}
		d.take(t, room.ID(), rooms.Arrival{From: home}, said)
	})
}

// An event that one node has in memory without its place, and another node has placed, is one that others may follow.
func TestAPlaceGivenByAnotherNode(t *testing.T) {
	if !pgtest.Wanted() {
		t.Skip("two nodes need PostgreSQL")
	}
	url := pgtest.New(t)
	w, one, d := twoServers(t, url)
	two := newRig(t, url, func(o *rooms.Options) { o.Keys, o.Peers, o.Federated, o.Server = own{w.keys[home]}, w, true, home })
	room := one.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	far := d.known(t, room.ID())
	topic := d.must(t, far, state(dora, "m.room.member", string(dora), object{"membership": "join", "displayname": "Dora"}))[0]
	said := d.messages(t, far, dora, 1)[0]
	one.take(t, room.ID(), rooms.Arrival{From: there, Outliers: true}, topic)
	one.event(t, room, topic.ID) // which has it in memory
	two.take(t, room.ID(), rooms.Arrival{From: there}, topic)
	if err := one.db.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	one.take(t, room.ID(), rooms.Arrival{From: there}, said)
	if state, _, err := one.rooms.ServeState(t.Context(), there, room.ID(), topic.ID); err != nil || len(state) == 0 {
		t.Errorf("the state before it is %d events, %v", len(state), err)
	}
}
