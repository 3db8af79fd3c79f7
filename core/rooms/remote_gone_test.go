package rooms_test

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// A server that came into a room unheard, while the last of ours left it, counts him as a member, since nobody told it. As soon as it tells us of the
// room it is told, once; not of who has come back.
func TestWhoStillCountsOursAsMembersIsTold(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		w, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		const otto = "@otto:other.example"
		o := w.server(t, "other.example", filepath.Join(t.TempDir(), "other.db"))
		o.account(t, otto)
		o.enters(t, rooms.Entry{Room: room.ID(), User: otto, Via: []matrix.ServerName{home}})
		there, elsewhere := d.known(t, room.ID()), o.known(t, room.ID())
		d.must(t, there, state(dora, "m.room.member", string(dora), object{"membership": "leave"}))

		inbox := d.inboxOf(t)
		inbox.SayGoneAfter(time.Nanosecond)
		says := func(text string) {
			t.Helper()
			said := o.messages(t, elsewhere, otto, 1)[0]
			if _, err := inbox.Take(ctx, "other.example", []json.RawMessage{json.RawMessage(said.JSON)}); err != nil {
				t.Fatal(text, err)
			}
			inbox.Wait()
		}
		membership := func() string {
			t.Helper()
			e, err := o.rooms.EventByID(ctx, elsewhere, o.stateOf(t, room.ID())[matrix.StateTuple{Type: "m.room.member", Key: string(dora)}])
			if err != nil {
				t.Fatal(err)
			}
			return e.Membership()
		}
		if got := membership(); got != "join" {
			t.Fatalf("she is %q there before", got)
		}
		says("while she is gone")
		if got := membership(); got != "leave" || w.called("send_leave") != 1 {
			t.Errorf("she is %q there after; asked: %v", got, w.calls)
		}
		asked := w.called("make_leave")
		says("again")
		if n := w.called("make_leave"); n != asked {
			t.Errorf("it is told again: %v", w.calls)
		}
	})
}

// Who has come back is not made to leave.
func TestWhoCameBackIsNotMadeToLeave(t *testing.T) {
	w, a, d := twoServers(t, sqliteURL(t))
	room := a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	there := d.known(t, room.ID())
	d.must(t, there, state(dora, "m.room.member", string(dora), object{"membership": "leave"}))
	asked := func() int {
		t.Helper()
		if err := d.rooms.LeaveOnceMore(t.Context(), there, home); err != nil {
			t.Fatal(err)
		}
		return w.called("make_leave")
	}
	if asked() != 1 {
		t.Fatalf("she is out, and nobody is told: %v", w.calls)
	}
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	if asked() != 1 {
		t.Errorf("she is in: %v", w.calls)
	}
}
