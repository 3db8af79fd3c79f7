package rooms_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rempart/core"
	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// A knock at a room of others shows an id alone, of which there is a record, and none goes to a refused server.
func TestAKnockShowsAnIDAlone(t *testing.T) {
	p, _, a, d, e := threeServers(t, sqliteURL(t))
	a.named(t, alice, "Alice A.")
	room := d.publicRoomOf(t, dora, "there", "")
	d.must(t, room, state(dora, "m.room.join_rules", "", object{"join_rule": "knock"}))
	entry := rooms.Entry{Room: room.ID(), User: alice, Via: []matrix.ServerName{there}}
	if err := a.rooms.KnockVia(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	if seen := d.member(t, room.ID(), alice); seen == nil || seen.Membership() != "knock" || strings.Contains(string(seen.Content), "Alice") {
		t.Errorf("%v", seen)
	}
	if got := strings.Join(p.shown, "; "); got != "knock @alice:home.example there.example" {
		t.Errorf("shown: %s", got)
	}
	theirs := e.publicRoomOf(t, eve, "bad", "")
	e.must(t, theirs, state(eve, "m.room.join_rules", "", object{"join_rule": "knock"}))
	reasonOf(t, a.rooms.KnockVia(t.Context(), rooms.Entry{Room: theirs.ID(), User: alice, Via: []matrix.ServerName{bad}}))
	if len(p.shown) != 1 || e.member(t, theirs.ID(), alice) != nil {
		t.Errorf("a refused server was shown something: %v", p.shown)
	}
}

// naming is a wire on which the resident names the refused server among those in the room, though no member of it is in the state.
type naming struct{ *wire }

func (n naming) SendJoin(ctx context.Context, from, to matrix.ServerName, e *matrix.Event, take func(bool, json.RawMessage) error) (*core.JoinState, error) {
	out, err := n.wire.SendJoin(ctx, from, to, e, take)
	if err == nil {
		out.Servers = []matrix.ServerName{to, bad}
	}
	return out, err
}

// A resident that names a refused server is believed as well as the state that it shows.
func TestServersNamedAtAJoinAreJudged(t *testing.T) {
	p, w, _, d, _ := threeServers(t, sqliteURL(t))
	key := w.keys[home]
	a := newRig(t, sqliteURL(t), func(o *rooms.Options) {
		o.Keys, o.Peers, o.Policy, o.Federated, o.Server = own{key}, naming{w}, p, true, home
	})
	w.rigs[home] = a
	a.account(t, alice)
	room := d.publicRoomOf(t, dora, "there", "")
	reasonOf(t, a.rooms.JoinVia(t.Context(), rooms.Entry{Room: room.ID(), User: alice, Via: []matrix.ServerName{there}}))
	if left := d.member(t, room.ID(), alice); left == nil || left.Membership() != "leave" {
		t.Errorf("he did not leave: %v", left)
	}
	p.change(nil)
	a.enters(t, rooms.Entry{Room: room.ID(), User: alice, Via: []matrix.ServerName{there}})
}

// A refused server gets no template by which its users could come in or knock, and cannot invite users of ours.
func TestARefusedServerIsNotLetIn(t *testing.T) {
	_, _, a, _, e := threeServers(t, sqliteURL(t))
	room := a.publicRoom(t, "11")
	_, _, err := a.rooms.MakeMembership(t.Context(), bad, "join", room.ID(), eve, []string{"11"})
	if reasonOf(t, err)["code"] != "partner.unknown" {
		t.Error(err)
	}
	theirs := e.publicRoomOf(t, eve, "bad", "")
	err = e.rooms.Invite(t.Context(), rooms.MembershipChange{Room: theirs, Sender: eve, Target: alice})
	if _, kept := a.rooms.Room(t.Context(), theirs.ID()); err == nil || !matrix.HasCode(kept, matrix.CodeNotFound) {
		t.Errorf("the invitation was taken: %v, %v", err, kept)
	}
}

// How the policy decided is not believed for ever: agreements end by the clock, without another policy.
func TestAVerdictEnds(t *testing.T) {
	p, w, _, d, _ := threeServers(t, sqliteURL(t))
	var late atomic.Bool
	key := w.keys[home]
	a := newRig(t, sqliteURL(t), func(o *rooms.Options) {
		o.Keys, o.Peers, o.Policy, o.Federated, o.Server = own{key}, w, p, true, home
		o.Clock = func() time.Time {
			if late.Load() {
				return time.Now().Add(time.Minute)
			}
			return time.Now()
		}
	})
	w.rigs[home] = a
	a.account(t, alice)
	room := a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	a.must(t, room, text(alice, "as agreed"))
	p.mu.Lock()
	p.refused[there] = "partner.expired" // and the generation is that of before
	p.mu.Unlock()
	late.Store(true)
	_, err := a.send(t.Context(), room, text(alice, "secret"))
	if reasonOf(t, err)["code"] != "partner.expired" {
		t.Error(err)
	}
}

// What waits since its room was frozen is not fetched either: a server that we admit gets a copy without content, of messages and of state, until the room is
// open again. What it was told before it may have.
func TestWhatIsHeldBackIsNotFetched(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		_, _, a, d, e := threeServers(t, url)
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		told := a.must(t, room, text(alice, "told before"))[0].ID
		c := &storage.Change{}
		c.Add(&storage.DestinationRow{Destination: storage.Destination{Origin: home, Server: there, Pos: a.db.Position()}})
		if err := a.db.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		said := a.must(t, room, text(alice, "not told yet"))[0].ID
		topic := a.must(t, room, state(alice, "m.room.topic", "", object{"topic": "not told yet"}))[0].ID
		last := a.must(t, room, text(alice, "nor this: not told yet"))[0].ID
		fetched := func() string {
			t.Helper()
			var all []string
			add := func(e *matrix.Event, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, string(e.JSON))
			}
			for _, id := range []matrix.EventID{told, said, topic} {
				add(a.rooms.ServeEvent(t.Context(), there, id))
			}
			list, err := a.rooms.ServeMissing(t.Context(), there, room.ID(), nil, []matrix.EventID{last}, 20, 0)
			for _, e := range list {
				add(e, err)
			}
			more, err := a.rooms.ServeBackfill(t.Context(), there, room.ID(), []matrix.EventID{last}, 20)
			for _, e := range more {
				add(e, err)
			}
			if len(list) < 5 || len(more) < 5 {
				t.Errorf("%d and %d events", len(list), len(more))
			}
			state, _, err := a.rooms.ServeState(t.Context(), there, room.ID(), last)
			for _, e := range state {
				add(e.Event, err)
			}
			return strings.Join(all, "\n")
		}
		if n := strings.Count(fetched(), "not told yet"); n != 8 {
			t.Errorf("while the room is open: %d", n)
		}
		e.enters(t, rooms.Entry{Room: room.ID(), User: eve, Via: []matrix.ServerName{there}})
		a.hears(t, there, d.member(t, room.ID(), eve))
		if all := fetched(); strings.Contains(all, "not told yet") || !strings.Contains(all, "told before") {
			t.Errorf("while it is frozen:\n%s", all)
		}
		if err := a.rooms.Kick(t.Context(), rooms.MembershipChange{Room: room, Sender: alice, Target: eve}); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(fetched(), "not told yet"); n != 8 {
			t.Errorf("when it is open again: %d", n)
		}
	})
}
