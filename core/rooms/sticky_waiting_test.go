package rooms_test

import (
	"testing"
	"time"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// What sticks and was soft-failed is judged again when its sender's membership changes: as long as he may not speak it is kept back,
// once he is in again it is told, once; what does not stick, or no longer does, stays where it is. MSC4354
func TestStickyIsJudgedAgain(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		m, join := joinedRemote(t, r)
		r.must(t, m.room, state(alice, "m.room.member", string(carol), object{"membership": "ban"}))
		stuck := func(body string, for_, ago time.Duration) *matrix.Event {
			d := text(carol, body)
			d.Sticky, d.OriginTS = for_.Milliseconds(), time.Now().Add(-ago).UnixMilli()
			return m.on(join.After(), d, join.Event)
		}
		sticks, over, plain := stuck("sticks", time.Hour, 0), stuck("stuck once", time.Minute, 2*time.Minute), m.on(join.After(), text(carol, "plain"), join.Event)
		for _, o := range m.give(rooms.Arrival{}, sticks, over, plain) {
			if o.Err != nil || o.Refused == nil || !o.Stored.Has(storage.FlagSoftFailed) {
				t.Fatalf("%+v", o)
			}
		}
		// Another process goes on: what waits is stored.
		for _, membership := range []string{"leave", "invite"} {
			r.close(t)
			r = newRig(t, url, nil)
			m.r = r
			m.room = r.room(t, m.room.ID())
			r.must(t, m.room, state(alice, "m.room.member", string(carol), object{"membership": membership}))
			if e := r.event(t, m.room, sticks.ID); !e.Has(storage.FlagSoftFailed) || e.Position() != 0 {
				t.Errorf("told while its sender is not in: %s", membership)
			}
		}
		heads := len(m.now().Heads())
		last := r.must(t, m.room, text(alice, "welcome back"))[0]
		back := m.accept(m.on(last.After(), state(carol, "m.room.member", string(carol), object{"membership": "join"}), last.Event))
		told := r.event(t, m.room, sticks.ID)
		if told.Has(storage.FlagSoftFailed) || !told.Has(storage.FlagSticky) || told.Position() <= back.Position() {
			t.Errorf("not told after its sender came back: %+v", told.Row)
		}
		if again := m.now().Heads(); len(again) != heads {
			t.Errorf("it became a head: %v", again)
		}
		for _, e := range []*matrix.Event{over, plain} {
			if e := r.event(t, m.room, e.ID); !e.Has(storage.FlagSoftFailed) {
				t.Errorf("told though it does not stick: %s", e.Content)
			}
		}
		list, err := r.db.ListSticky(t.Context(), m.room.NID(), 0, 1<<62, time.Now().UnixMilli(), 10)
		if err != nil || len(list) != 1 || list[0].Event != told.Row.NID || list[0].Expires > sticks.OriginServerTS+time.Hour.Milliseconds() {
			t.Errorf("what sticks: %+v %v", list, err)
		}
		// The next change finds nothing that waits, and the room goes on.
		left := m.accept(m.on(back.After(), state(carol, "m.room.member", string(carol), object{"membership": "leave"}), back.Event))
		m.accept(m.on(left.After(), state(carol, "m.room.member", string(carol), object{"membership": "join"}), left.Event))
		if e := r.event(t, m.room, sticks.ID); e.Position() != told.Position() {
			t.Error("told twice")
		}
	})
}

func (r *rig) room(t *testing.T, id matrix.RoomID) *rooms.Room {
	t.Helper()
	room, err := r.rooms.Room(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return room
}

func (r *rig) event(t *testing.T, room *rooms.Room, id matrix.EventID) *rooms.Stored {
	t.Helper()
	e, err := r.rooms.EventByID(t.Context(), room, id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
