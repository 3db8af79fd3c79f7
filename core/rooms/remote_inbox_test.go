package rooms_test

import (
	"context"
	"encoding/json"
	"runtime"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// hangingWire is a wire on which the first who ask for what is missing get no answer before they give up.
type hangingWire struct {
	*wire
	asked chan struct{}
}

func (h hangingWire) MissingEvents(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, earliest, latest []matrix.EventID,
	limit int) ([]json.RawMessage, error) {
	select {
	case h.asked <- struct{}{}:
		<-ctx.Done()
		return nil, ctx.Err()
	default:
		return h.wire.MissingEvents(ctx, from, to, room, earliest, latest, limit)
	}
}

// What came in while the process ends is there after the next start, whether or not somebody came to ask for what it refers to.
func TestAStopLosesNothingThatCameIn(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := &wire{}
		a := w.server(t, home, sqliteURL(t))
		a.account(t, alice)
		h := hangingWire{w, make(chan struct{}, 1)}
		d := w.serverBehind(t, there, url, h)
		d.account(t, dora)
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		said := a.messages(t, room, alice, 4)
		first := d.inboxOf(t)
		take(t, first, said[1:]...)
		for len(h.asked) == 0 {
			runtime.Gosched()
		}
		first.Close()
		second := d.inboxOf(t)
		for _, e := range said[1:] {
			d.waitFor(t, second, room.ID(), e.ID)
		}
	})
}

// Events that follow the same one wait together for it, when their sender cannot be asked.
func TestSiblingsWaitTogether(t *testing.T) {
	w, a, d := twoServers(t, sqliteURL(t))
	room := a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	said := a.messages(t, room, alice, 2)[1]
	sibling, err := said.Version.Build(matrix.Proto{RoomID: room.ID(), Sender: alice, Type: "m.room.message", Content: []byte(`{"body":"also"}`),
		PrevEvents: said.PrevEvents, AuthEvents: said.AuthEvents, Depth: said.Depth, OriginServerTS: 1}, w.keys[home])
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.down[home] = true
	w.mu.Unlock()
	inbox := d.inboxOf(t)
	take(t, inbox, said, &rooms.Stored{Event: sibling})
	for w.called("get_missing_events") == 0 {
		runtime.Gosched()
	}
	w.mu.Lock()
	w.down[home] = false
	w.mu.Unlock()
	d.waitFor(t, inbox, room.ID(), said.ID)
	d.waitFor(t, inbox, room.ID(), sibling.ID)
}
