package rooms_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

const (
	home  = matrix.ServerName("home.example")
	there = matrix.ServerName("there.example")
	dora  = matrix.UserID("@dora:there.example")
	erik  = matrix.UserID("@erik:there.example")
)

// twoServers are alice's server and dora's, on one wire. The second is always on SQLite.
func twoServers(t *testing.T, url string) (w *wire, a, d *rig) {
	w = &wire{}
	a, d = w.server(t, home, url), w.server(t, there, filepath.Join(t.TempDir(), "there.db"))
	a.account(t, alice)
	d.account(t, dora)
	d.account(t, erik)
	return w, a, d
}

func (r *rig) enters(t testing.TB, e rooms.Entry) {
	t.Helper()
	if err := r.rooms.JoinVia(t.Context(), e); err != nil {
		t.Fatalf("%s joins: %v", e.User, err)
	}
}

func (r *rig) messages(t testing.TB, room *rooms.Room, sender matrix.UserID, n int) []*rooms.Stored {
	t.Helper()
	var out []*rooms.Stored
	for i := range n {
		out = append(out, r.must(t, room, text(sender, fmt.Sprint("message ", i)))...)
	}
	return out
}

func (r *rig) known(t testing.TB, id matrix.RoomID) *rooms.Room {
	t.Helper()
	room, err := r.rooms.Room(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return room
}

// A user joins a room that is elsewhere, in every version: both servers then have the same state, and both can speak.
func TestJoinVia(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		_, a, d := twoServers(t, url)
		eachVersion(t, func(t *testing.T, version string) {
			room := a.publicRoom(t, version)
			a.messages(t, room, alice, 3)
			d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
			if here, far := a.stateOf(t, room.ID()), d.stateOf(t, room.ID()); !maps.Equal(here, far) || len(far) != 5 {
				t.Fatalf("state differs: %v and %v", here, far)
			}
			said := d.must(t, d.known(t, room.ID()), text(dora, "hello"))[0]
			out, err := a.rooms.Receive(t.Context(), room.ID(), []*matrix.Event{said.Event}, rooms.Arrival{From: there})
			if err != nil || out[0].Err != nil || out[0].Refused != nil {
				t.Fatalf("%v, %+v", err, out)
			}
			// A second user of that server needs nobody's help.
			d.enters(t, rooms.Entry{Room: room.ID(), User: erik})
		})
	})
}

// The first server is down, the second is not in the room: the third lets the user in.
func TestJoinViaCandidates(t *testing.T) {
	w, a, d := twoServers(t, sqliteURL(t))
	w.server(t, "other.example", sqliteURL(t))
	w.down["down.example"] = true
	room := a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{"down.example", "other.example", home}})
	if err := d.rooms.JoinVia(t.Context(), rooms.Entry{Room: "!nowhere:down.example", User: dora}); err == nil {
		t.Error("joined a room of a server that does not answer")
	}
}

// Who was in a room and comes back finds its present, whatever was known before.
func TestRejoin(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		entry := rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}}
		d.enters(t, entry)
		far := d.known(t, room.ID())
		if err := d.rooms.LeaveVia(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
		gone := d.stateOf(t, room.ID())[matrix.StateTuple{Type: "m.room.member", Key: string(dora)}]
		left, err := d.rooms.EventByID(t.Context(), far, gone)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := a.rooms.Receive(t.Context(), room.ID(), []*matrix.Event{left.Event}, rooms.Arrival{From: there}); err != nil || out[0].Err != nil {
			t.Fatal(err, out)
		}
		a.must(t, room, state(alice, "m.room.name", "", object{"name": "meanwhile"}))
		d.enters(t, entry)
		if here, far := a.stateOf(t, room.ID()), d.stateOf(t, room.ID()); !maps.Equal(here, far) {
			t.Fatalf("state differs: %v and %v", here, far)
		}
		if w.called("make_join") != 2 {
			t.Error("the second join did not ask")
		}
	})
}

// An invitation crosses the wire with what the room shows of itself, and can be accepted or refused.
func TestInviteElsewhere(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w, a, d := twoServers(t, url)
		room := a.create(t, &rooms.CreateRequest{Preset: "private_chat", Name: "secret", RoomVersion: "11", Invite: []matrix.UserID{dora, erik}})
		far := d.known(t, room.ID())
		m, err := d.rooms.Standing(t.Context(), far, dora)
		if err != nil || m.Membership != 2 {
			t.Fatalf("%+v, %v", m, err)
		}
		shown, err := d.rooms.Outside(t.Context(), &m)
		if name, _ := matrix.LookupText(shown[1:len(shown)-1], "type"); err != nil || name == "" {
			t.Errorf("the room shows %s, %v", shown, err)
		}
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora})
		if here, far := a.stateOf(t, room.ID()), d.stateOf(t, room.ID()); !maps.Equal(here, far) {
			t.Fatalf("state differs: %v and %v", here, far)
		}
		w.down[home] = true
		other := a.create(t, &rooms.CreateRequest{Preset: "private_chat", RoomVersion: "12", Invite: []matrix.UserID{erik}})
		if err := d.rooms.LeaveVia(t.Context(), rooms.Entry{Room: other.ID(), User: erik}); err != nil {
			t.Fatalf("cannot refuse an invitation while its server is away: %v", err)
		}
		if m, err = d.rooms.Standing(t.Context(), d.known(t, other.ID()), erik); err != nil || m.Membership != 4 {
			t.Errorf("%+v, %v", m, err)
		}
	})
}
