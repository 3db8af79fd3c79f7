package rooms_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"rempart/core"
	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// What a server's last user said before he left, and that he left, is given to those who heard of his leaving alone: else he would stay in the
// room for ever where they are.
func TestWhoHasLeftStillGivesWhatHeSaid(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		far := d.known(t, room.ID())
		said := d.messages(t, far, dora, 3)
		leave := d.must(t, far, state(dora, "m.room.member", string(dora), object{"membership": "leave"}))[0]
		inbox := a.inboxOf(t)
		if _, err := inbox.Take(t.Context(), there, []json.RawMessage{json.RawMessage(leave.JSON)}); err != nil {
			t.Fatal(err)
		}
		inbox.Wait()
		if got := a.stateOf(t, room.ID())[matrix.StateTuple{Type: "m.room.member", Key: string(dora)}]; got != leave.ID {
			t.Errorf("she is there by %s, and has left by %s; asked: %v", got, leave.ID, w.calls)
		}
		a.event(t, room, said[0].ID)
		// Who never was in the room is told nothing of it, and nobody comes in through who has left.
		w.server(t, "stranger.example", sqliteURL(t))
		if _, err := d.rooms.ServeEvent(t.Context(), "stranger.example", said[0].ID); !matrix.HasCode(err, matrix.CodeForbidden) {
			t.Errorf("a stranger is told: %v", err)
		}
		if _, _, err := d.rooms.MakeMembership(t.Context(), home, "join", room.ID(), "@new:home.example", []string{"11"}); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Errorf("somebody is let in: %v", err)
		}
	})
}

// What an event refers to is asked for again when its sender could not be asked at first: nobody would tell it once more.
func TestWhoCouldNotBeAskedIsAskedAgain(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		said := a.messages(t, room, alice, 2)
		down := func(is bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.down[home] = is
		}
		down(true)
		first := d.inboxOf(t)
		if _, err := first.Take(t.Context(), home, []json.RawMessage{json.RawMessage(said[1].JSON)}); err != nil {
			t.Fatal(err)
		}
		for w.called("get_missing_events") == 0 && ctx.Err() == nil {
			runtime.Gosched()
		}
		first.Close() // and what waits outlives a stop
		second := d.inboxOf(t)
		for w.called("get_missing_events") < 2 && ctx.Err() == nil {
			runtime.Gosched()
		}
		down(false)
		d.waitFor(t, second, room.ID(), said[1].ID)
	})
}

// slowWire is a wire on which something happens between the proposal of a join and the join.
type slowWire struct {
	*wire
	meanwhile func()
}

func (s slowWire) SendJoin(ctx context.Context, from, to matrix.ServerName, e *matrix.Event, take func(bool, json.RawMessage) error) (*core.JoinState, error) {
	s.meanwhile()
	return s.wire.SendJoin(ctx, from, to, e, take)
}

// What is said while a server comes into a room is told to it, though it was not there when it was said and its join does not follow it.
func TestWhoComesIsToldWhatWasSaidMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := &wire{}
		w.server(t, home, sqliteURL(t)).close(t)
		a := newRig(t, url, func(o *rooms.Options) { o.Keys, o.Peers, o.Federated, o.Server = own{w.keys[home]}, w, true, home })
		w.rigs[home] = a
		a.account(t, alice)
		room := a.publicRoom(t, "11")
		before := a.messages(t, room, alice, 2)
		var said *rooms.Stored
		d := w.serverBehind(t, there, filepath.Join(t.TempDir(), "there.db"), slowWire{w, func() { said = a.messages(t, room, alice, 1)[0] }})
		d.account(t, dora)
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		told := func() (nids []int64) {
			rows, err := a.db.ListOutbox(t.Context(), 0, 0, a.db.Position(), 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range rows {
				nids = append(nids, row.Event)
			}
			return nids
		}
		if got := told(); !slices.Equal(got, []int64{said.Row.NID}) {
			t.Errorf("told are %v, said was %d, before %d", got, said.Row.NID, before[1].Row.NID)
		}
		// Whose join follows all is told nothing; the others are told that he came.
		a.messages(t, room, alice, 1)
		n := len(told())
		other := w.server(t, "other.example", filepath.Join(t.TempDir(), "other.db"))
		other.account(t, "@otto:other.example")
		other.enters(t, rooms.Entry{Room: room.ID(), User: "@otto:other.example", Via: []matrix.ServerName{home}})
		if got := told(); len(got) != n+1 {
			t.Errorf("told are %v after a join that follows all, before that %d", got, n)
		}
	})
}
