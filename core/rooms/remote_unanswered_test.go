package rooms_test

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"rempart/core"
	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// deafWire is a wire on which answers to joins get lost, so many.
type deafWire struct {
	*wire
	lose atomic.Int64
	skew atomic.Int64 // by which the clock of who asks is ahead
}

func (d *deafWire) SendJoin(ctx context.Context, from, to matrix.ServerName, e *matrix.Event, take func(bool, json.RawMessage) error) (*core.JoinState, error) {
	if d.lose.Add(-1) < 0 {
		return d.wire.SendJoin(ctx, from, to, e, take)
	}
	if _, err := d.wire.SendJoin(ctx, from, to, e, func(bool, json.RawMessage) error { return nil }); err != nil {
		return nil, err
	}
	return nil, errDown
}

// deafServers are alice's server with a room, and dora's, which loses answers.
func deafServers(t *testing.T, url string, lose int64) (w *deafWire, a, d *rig, room *rooms.Room, e rooms.Entry) {
	t.Helper()
	w = &deafWire{wire: &wire{}}
	w.lose.Store(lose)
	a = w.server(t, home, filepath.Join(t.TempDir(), "home.db"))
	a.account(t, alice)
	w.server(t, there, filepath.Join(t.TempDir(), "none.db")).close(t)
	d = newRig(t, url, func(o *rooms.Options) {
		o.Keys, o.Peers, o.Clock = own{w.keys[there]}, w, func() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) }
	})
	w.rigs[there] = d
	d.account(t, dora)
	room = a.publicRoom(t, "11")
	return w, a, d, room, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}}
}

// becomes waits until a user's membership in a room is something, as a server has it.
func (r *rig) becomes(ctx context.Context, t *testing.T, id matrix.RoomID, user matrix.UserID, want string) {
	t.Helper()
	for {
		if room, err := r.rooms.Room(ctx, id); err == nil {
			v, err := r.rooms.Current(ctx, room)
			if err != nil {
				t.Fatal(err)
			}
			if is, err := v.Membership(ctx, user); err == nil && is == want {
				return
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("the membership of %s does not become %q", user, want)
		}
		runtime.Gosched()
	}
}

func (r *rig) finishing(t *testing.T) {
	t.Helper()
	t.Cleanup(rooms.NewFinisher(t.Context(), r.rooms).Close)
}

// A join whose answer is lost is handed in again, the same.
func TestALostAnswerIsAskedForAgain(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w, a, d, room, e := deafServers(t, url, 2)
		d.enters(t, e)
		if here, far := a.stateOf(t, room.ID()), d.stateOf(t, room.ID()); !maps.Equal(here, far) {
			t.Errorf("state differs: %v and %v", here, far)
		}
		if made, sent := w.called("make_join"), w.called("send_join"); made != 1 || sent != 3 {
			t.Errorf("%d joins were made, handed in %d times", made, sent)
		}
	})
}

// Where no answer comes while the user waits it is asked for later, also after a restart, and then what was said meanwhile is known.
func TestAJoinIsFinishedLater(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w, a, d, room, e := deafServers(t, url, 1<<40)
		if err := d.rooms.JoinVia(ctx, e); matrix.AsError(err).Status != 502 {
			t.Fatal(err)
		}
		a.becomes(ctx, t, room.ID(), dora, "join")
		said := a.messages(t, room, alice, 2)
		w.lose.Store(1)
		d.finishing(t)
		d.becomes(ctx, t, room.ID(), dora, "join")
		d.has(ctx, t, room.ID(), said[1])
		if here, far := a.stateOf(t, room.ID()), d.stateOf(t, room.ID()); !maps.Equal(here, far) {
			t.Errorf("state differs: %v and %v", here, far)
		}
	})
}

// Who does not want to be in the room any more, or has waited too long, leaves it.
func TestAJoinThatIsNotFinishedIsLeft(t *testing.T) {
	for name, act := range map[string]func(w *deafWire, d *rig, e rooms.Entry) error{
		"by his wish": func(_ *deafWire, d *rig, e rooms.Entry) error { return d.rooms.LeaveVia(t.Context(), e) },
		"too late": func(w *deafWire, _ *rig, _ rooms.Entry) error {
			w.skew.Store(int64(20 * time.Minute))
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			w, a, d, room, e := deafServers(t, sqliteURL(t), 3)
			if err := d.rooms.JoinVia(ctx, e); matrix.AsError(err).Status != 502 {
				t.Fatal(err)
			}
			a.becomes(ctx, t, room.ID(), dora, "join")
			if err := act(w, d, e); err != nil {
				t.Fatal(err)
			}
			d.finishing(t)
			a.becomes(ctx, t, room.ID(), dora, "leave")
			if n := w.called("send_join"); n != 3 {
				t.Errorf("the join was handed in %d times", n)
			}
		})
	}
}

// Who has come in another way meanwhile, and gone again, is not brought back; a refusal ends it.
func TestAJoinThatIsOverIsNotFinished(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w, a, d, room, e := deafServers(t, sqliteURL(t), 3)
	if err := d.rooms.JoinVia(ctx, e); matrix.AsError(err).Status != 502 {
		t.Fatal(err)
	}
	d.enters(t, e)
	d.must(t, d.known(t, room.ID()), state(dora, "m.room.member", string(dora), object{"membership": "leave"}))
	sent := w.called("send_join")
	d.finishing(t)
	for d.unfinished(ctx, t) > 0 {
		runtime.Gosched()
	}
	if n := w.called("send_join"); n != sent {
		t.Errorf("the join was handed in %d times more", n-sent)
	}
	a.becomes(ctx, t, room.ID(), dora, "join") // its leave was told to nobody in this test
	d.becomes(ctx, t, room.ID(), dora, "leave")
}

// unfinished counts the joins that are not over, whether or not somebody works on them.
func (r *rig) unfinished(ctx context.Context, t *testing.T) int {
	t.Helper()
	later := time.Now().Add(24 * time.Hour).UnixMilli()
	jobs, err := r.db.ListDueJobs(ctx, "rooms.join", later, 9)
	if err != nil {
		t.Fatal(err)
	}
	return len(jobs)
}
