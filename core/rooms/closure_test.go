package rooms_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"rempart/core"
	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

const (
	bad = matrix.ServerName("bad.example")
	eve = matrix.UserID("@eve:bad.example")
)

// door is a policy that refuses some servers by name.
type door struct {
	mu         sync.Mutex
	generation uint64
	refused    map[matrix.ServerName]string
	alarms     []core.RoomAlarm
	shown      []string
	unrecorded error
}

func (d *door) Generation() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.generation
}

func (d *door) Enforced() bool { return true }

func (d *door) Judge(_ core.RoomAct, _, other matrix.ServerName) *core.Refusal {
	d.mu.Lock()
	defer d.mu.Unlock()
	if rule := d.refused[other]; rule != "" {
		return &core.Refusal{Rule: rule, Decision: "d1", EN: string(other) + " is refused.", FR: string(other) + " est refusé."}
	}
	return nil
}

func (d *door) Shown(_ context.Context, to matrix.ServerName, act string, _ matrix.RoomID, user matrix.UserID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shown = append(d.shown, act+" "+string(user)+" "+string(to))
	return d.unrecorded
}

func (d *door) Alarm(_ context.Context, a core.RoomAlarm) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alarms = append(d.alarms, a)
}

// told are the alarms so far, in short.
func (d *door) told() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, a := range d.alarms {
		out = append(out, strings.TrimSpace(strings.Join([]string{a.What, string(a.Server), string(a.User), a.Answer}, " ")))
	}
	return strings.Join(out, "; ")
}

// change puts another policy in force.
func (d *door) change(refused map[matrix.ServerName]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused = refused
	d.generation++
}

// threeServers are alice's server, which has a policy, dora's, which it admits, and eve's, which it refuses. The others know no policy.
func threeServers(t *testing.T, url string) (p *door, w *wire, a, d, e *rig) {
	t.Helper()
	p, w = &door{generation: 1, refused: map[matrix.ServerName]string{bad: "partner.unknown"}}, &wire{}
	d, e = w.server(t, there, filepath.Join(t.TempDir(), "there.db")), w.server(t, bad, filepath.Join(t.TempDir(), "bad.db"))
	key, err := matrix.GenerateSigningKey(home)
	if err != nil {
		t.Fatal(err)
	}
	a = newRig(t, url, func(o *rooms.Options) {
		o.Keys, o.Peers, o.Policy, o.Federated, o.Server = own{key}, w, p, true, home
	})
	w.rigs[home], w.keys[home] = a, key
	a.account(t, alice)
	d.account(t, dora)
	e.account(t, eve)
	return p, w, a, d, e
}

// warden watches over the rooms of a server.
func (r *rig) warden(t *testing.T) *rooms.Warden {
	t.Helper()
	warden, err := rooms.NewWarden(t.Context(), r.rooms)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(warden.Close)
	return warden
}

// rejudge looks at all rooms and says how many are frozen.
func rejudge(t *testing.T, w *rooms.Warden) int {
	t.Helper()
	j, err := w.Rejudge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return j.Frozen
}

// member is somebody's membership event as a server has it.
func (r *rig) member(t *testing.T, room matrix.RoomID, user matrix.UserID) *matrix.Event {
	t.Helper()
	id := r.stateOf(t, room)[matrix.StateTuple{Type: "m.room.member", Key: string(user)}]
	if id == "" {
		return nil
	}
	e, err := r.rooms.EventByID(t.Context(), r.known(t, room), id)
	if err != nil {
		t.Fatal(err)
	}
	return e.Event
}

// hears lets a server hear of an event.
func (r *rig) hears(t *testing.T, from matrix.ServerName, e *matrix.Event) {
	t.Helper()
	out, err := r.rooms.Receive(t.Context(), e.RoomID, []*matrix.Event{e}, rooms.Arrival{From: from})
	if err != nil || out[0].Err != nil || out[0].Refused != nil {
		t.Fatalf("%v, %+v", err, out)
	}
}

// reasonOf is what a refusal says of itself.
func reasonOf(t *testing.T, err error) map[string]any {
	t.Helper()
	var e *matrix.Error
	if !errors.As(err, &e) || e.Code != matrix.CodeForbidden || e.MessageFR == "" {
		t.Fatalf("not refused: %v", err)
	}
	reason, _ := e.Extra["fr.rempart.reason"].(map[string]any)
	return reason
}

// frozenRoom is a room of alice's that dora is in, and into which eve came by dora's server.
func frozenRoom(t *testing.T, a, d, e *rig) *rooms.Room {
	t.Helper()
	room := a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	e.enters(t, rooms.Entry{Room: room.ID(), User: eve, Via: []matrix.ServerName{there}})
	a.hears(t, there, d.member(t, room.ID(), eve))
	return room
}

// A server that the policy refuses comes in by another: nothing is written any more but what opens the room again, cut down to what it must
// say; and when the server is gone everything is as before.
func TestRefusedServerFreezesARoom(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		p, _, a, d, e := threeServers(t, url)
		w := a.warden(t)
		room := frozenRoom(t, a, d, e)
		said := a.member(t, room.ID(), alice)
		if rejudge(t, w) != 1 || !strings.Contains(p.told(), "frozen bad.example") {
			t.Fatalf("alarms: %s", p.told())
		}
		_, err := a.send(t.Context(), room, text(alice, "secret"))
		reason := reasonOf(t, err)
		if reason["code"] != "partner.unknown" || reason["decision_id"] != "d1" || reason["remedies"] == nil {
			t.Errorf("reason: %v", reason)
		}
		if _, err := a.send(t.Context(), room, state(alice, "m.room.topic", "", object{"topic": "secret"})); err == nil {
			t.Error("state was written")
		}
		err = a.rooms.Invite(t.Context(), rooms.MembershipChange{Room: room, Sender: alice, Target: "@emil:there.example"})
		reasonOf(t, err)
		_, _, err = a.rooms.MakeMembership(t.Context(), there, "join", room.ID(), erik, []string{"11"})
		reasonOf(t, err)
		reasonOf(t, a.rooms.Open(t.Context(), alice, room.ID()))
		if held, err := a.rooms.Held(t.Context(), &rooms.Stored{Event: said, Row: storage.EventRow{Room: room.NID()}}); err != nil || !held {
			t.Errorf("an event of before is not held back: %v", err)
		}
		c, err := a.rooms.Closure(t.Context(), room, home)
		if err != nil || !c.Frozen || len(c.Servers) != 1 || c.Servers[0].Members != 1 || c.Remedies[0] != (rooms.Remedy{Act: "kick", By: alice}) {
			t.Errorf("%v %+v", err, c)
		}
		if err := a.rooms.Kick(t.Context(), rooms.MembershipChange{Room: room, Sender: alice, Target: dora}); err == nil {
			t.Error("somebody else was removed")
		}
		if err := a.rooms.Kick(t.Context(), rooms.MembershipChange{Room: room, Sender: alice, Target: eve, Reason: "secret"}); err != nil {
			t.Fatal(err)
		}
		if got := string(a.member(t, room.ID(), eve).Content); got != `{"membership":"leave"}` {
			t.Errorf("the kick says more than it must: %s", got)
		}
		a.must(t, room, text(alice, "open again"))
		if rejudge(t, w) != 0 || !strings.HasSuffix(p.told(), "thawed bad.example") {
			t.Errorf("alarms: %s", p.told())
		}
	})
}

// A room is opened by another policy, too, and frozen by one.
func TestPolicyFreezesARoom(t *testing.T) {
	each(t, policyFreezesARoom)
}

func policyFreezesARoom(t *testing.T, url string) {
	p, _, a, d, e := threeServers(t, url)
	w := a.warden(t)
	p.change(nil)
	room := frozenRoom(t, a, d, e)
	a.must(t, room, text(alice, "all are admitted"))
	p.change(map[matrix.ServerName]string{there: "deny.server"})
	if n := rejudge(t, w); n != 1 {
		t.Errorf("%d rooms are frozen", n)
	}
	_, err := a.send(t.Context(), room, text(alice, "secret"))
	reasonOf(t, err)
	if err := a.rooms.Leave(t.Context(), rooms.MembershipChange{Room: room, Sender: alice, Target: alice}); err != nil {
		t.Error(err)
	}
	if rejudge(t, w) != 0 {
		t.Error("a room that nobody of ours is in any more is frozen")
	}
	p.change(nil)
	if rejudge(t, w) != 0 {
		t.Error("still frozen")
	}
}

// Whoever is invited by another server, or knocks by one, freezes nothing: he is shown out, and banned when he comes again.
func TestStrangersFreezeNothing(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		p, _, a, d, _ := threeServers(t, url)
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		w := a.warden(t)
		err := a.rooms.Invite(t.Context(), rooms.MembershipChange{Room: room, Sender: alice, Target: eve})
		if reasonOf(t, err)["code"] != "partner.unknown" {
			t.Error("an invitation of our own is not refused")
		}
		_, err = a.send(t.Context(), room, state(alice, "m.room.member", string(eve), object{"membership": "invite"}))
		reasonOf(t, err)
		for _, want := range []string{"leave", "ban"} {
			invited, err := d.send(t.Context(), d.known(t, room.ID()), state(dora, "m.room.member", string(eve), object{"membership": "invite"}))
			if err != nil {
				t.Fatal(err)
			}
			a.hears(t, there, invited[0].Event)
			said := a.must(t, room, text(alice, "as ever"))[0].Event
			if rejudge(t, w) != 0 {
				t.Error("an invitation froze the room")
			}
			out := a.member(t, room.ID(), eve)
			if out.Membership() != want {
				t.Fatalf("she is %s, not %s", out.Membership(), want)
			}
			if out.Depth < said.Depth { // the warden was quicker
				said, out = out, said
			}
			d.hears(t, home, said)
			d.hears(t, home, out)
		}
		if got := p.told(); got != "invite bad.example @eve:bad.example kick; invite bad.example @eve:bad.example ban" {
			t.Errorf("alarms: %s", got)
		}
	})
}

// Who cannot be shown out since nobody here has the power is shown out once somebody has, and by a kick: he did not come again.
func TestAStrangerIsShownOutLater(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		p, _, a, d, _ := threeServers(t, url)
		room := d.publicRoomOf(t, dora, "there", "")
		a.enters(t, rooms.Entry{Room: room.ID(), User: alice, Via: []matrix.ServerName{there}})
		w := a.warden(t)
		tell := func(draft rooms.Draft) {
			t.Helper()
			for _, e := range d.must(t, room, draft) {
				a.hears(t, there, e.Event)
			}
			rejudge(t, w)
		}
		tell(state(dora, "m.room.member", string(eve), object{"membership": "invite"}))
		if got := p.told(); got != "invite bad.example @eve:bad.example" || a.member(t, room.ID(), eve).Membership() != "invite" {
			t.Fatalf("alarms: %s", got)
		}
		rejudge(t, w)
		tell(state(dora, "m.room.power_levels", "", object{"users": object{string(dora): 100, string(alice): 60}}))
		if got := a.member(t, room.ID(), eve).Membership(); got != "leave" {
			t.Errorf("she is %s", got)
		}
		if got := p.told(); got != "invite bad.example @eve:bad.example; invite bad.example @eve:bad.example kick" {
			t.Errorf("alarms: %s", got)
		}
	})
}

// A user enters a room in which a refused server is: he leaves at once by the server that let him in, nothing of the room is kept, and
// what was shown of him is his id alone, of which there is a record.
func TestJoinIsJudgedBeforeItIsKept(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		p, _, a, d, e := threeServers(t, url)
		a.named(t, alice, "Alice A.")
		room := d.publicRoomOf(t, dora, "there", "")
		e.enters(t, rooms.Entry{Room: room.ID(), User: eve, Via: []matrix.ServerName{there}})
		entry := rooms.Entry{Room: room.ID(), User: alice, Via: []matrix.ServerName{bad, there}, Extra: map[string]json.RawMessage{"secret": []byte("1")}}
		err := a.rooms.JoinVia(t.Context(), entry)
		if reasonOf(t, err)["code"] != "partner.unknown" {
			t.Error(err)
		}
		if _, err := a.rooms.Room(t.Context(), room.ID()); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Errorf("something of the room was kept: %v", err)
		}
		left := d.member(t, room.ID(), alice)
		if left == nil || left.Membership() != "leave" || strings.Contains(d.joinedBy(t, room, alice), "Alice") || strings.Contains(d.joinedBy(t, room, alice), "secret") {
			t.Errorf("%v, %s", left, d.joinedBy(t, room, alice))
		}
		if got := strings.Join(p.shown, "; "); got != "join @alice:home.example there.example" {
			t.Errorf("shown: %s", got)
		}
		if p.told() != "left bad.example @alice:home.example leave" {
			t.Errorf("alarms: %s", p.told())
		}
		if err := d.rooms.Kick(t.Context(), rooms.MembershipChange{Room: room, Sender: dora, Target: eve}); err != nil {
			t.Fatal(err)
		}
		a.enters(t, entry)
		if now := a.member(t, room.ID(), alice); !strings.Contains(string(now.Content), "Alice A.") || strings.Contains(d.joinedBy(t, room, alice), "Alice") {
			t.Errorf("in an admitted room: %s, joined by %s", now.Content, d.joinedBy(t, room, alice))
		}
		p.unrecorded = errors.New("disk full")
		other := d.publicRoomOf(t, dora, "other", "")
		if err := a.rooms.JoinVia(t.Context(), rooms.Entry{Room: other.ID(), User: alice, Via: []matrix.ServerName{there}}); err == nil {
			t.Error("an id was shown of which there is no record")
		}
	})
}

// joinedBy is the content of the last join of a user that has no join before it, as a server has it.
func (r *rig) joinedBy(t *testing.T, room *rooms.Room, user matrix.UserID) string {
	t.Helper()
	page, err := r.rooms.Messages(t.Context(), room, dora, rooms.MessagesRequest{Backward: true, Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Events {
		if e.Type == "m.room.member" && e.StateKeyEquals(string(user)) && e.Membership() == "join" {
			return string(e.Content)
		}
	}
	return "no join"
}

// named gives an account a name to show.
func (r *rig) named(t *testing.T, user matrix.UserID, name string) {
	t.Helper()
	c := &storage.Change{}
	c.Guard(storage.UpdateDisplayName(r.caller(t, user).UserNID, name))
	if err := r.db.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// unknowing is a wire on which nobody has the keys of the refused server.
type unknowing struct{ *wire }

func (u unknowing) VerifyEvents(ctx context.Context, events []*matrix.Event) []error {
	out := u.wire.VerifyEvents(ctx, events)
	for i, e := range events {
		if e.Sender.Server() == bad {
			out[i] = matrix.Forbidden("no key of " + string(bad))
		}
	}
	return out
}

// The join of a refused server's user cannot be checked, since that server is not asked for its keys: the word of a server in the room is
// enough to freeze it, also over a restart, and a ban opens it again.
func TestAMemberThatCannotBeCheckedFreezesARoom(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		p, w, a, d, e := threeServers(t, url)
		policed := func(o *rooms.Options) {
			o.Keys, o.Peers, o.Policy, o.Federated, o.Server = own{matrix.SigningKey{}}, unknowing{w}, p, true, home
		}
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		e.enters(t, rooms.Entry{Room: room.ID(), User: eve, Via: []matrix.ServerName{there}})
		key := w.keys[home]
		a.close(t)
		a = newRig(t, url, func(o *rooms.Options) { policed(o); o.Keys = own{key} })
		watch := a.warden(t)
		join := json.RawMessage(d.member(t, room.ID(), eve).JSON)
		if _, err := a.inboxOf(t).Take(t.Context(), "elsewhere.example", []json.RawMessage{join}); err != nil {
			t.Fatal(err)
		}
		if rejudge(t, watch) != 0 {
			t.Fatal("the word of a server outside the room froze it")
		}
		if _, err := a.inboxOf(t).Take(t.Context(), there, []json.RawMessage{join}); err != nil {
			t.Fatal(err)
		}
		if rejudge(t, watch) != 1 || p.told() != "frozen bad.example" {
			t.Fatalf("alarms: %s", p.told())
		}
		watch.Close()
		a.close(t)
		a = newRig(t, url, func(o *rooms.Options) { policed(o); o.Keys = own{key} })
		watch = a.warden(t)
		room = a.known(t, room.ID())
		_, err := a.send(t.Context(), room, text(alice, "secret"))
		reasonOf(t, err)
		if n, err := a.rooms.Expel(t.Context(), room, home, bad, false); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		if out := a.member(t, room.ID(), eve); out.Membership() != "ban" {
			t.Errorf("she is %s", out.Membership())
		}
		a.must(t, room, text(alice, "open again"))
		if _, err := a.inboxOf(t).Take(t.Context(), there, []json.RawMessage{join}); err != nil || rejudge(t, watch) != 0 {
			t.Errorf("still frozen, or again by the join of before (%v)", err)
		}
	})
}
