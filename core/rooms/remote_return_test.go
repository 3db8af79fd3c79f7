package rooms_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// missed is a room of a's in which d's user is, and where much is said that nobody tells d.
func missed(t *testing.T, w *wire, a, d *rig) (*rooms.Room, []string) {
	t.Helper()
	room := a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	a.messages(t, room, alice, 50)
	want := a.page(t, room.ID(), alice, 50)
	if len(want) != 50 {
		t.Fatalf("%d messages", len(want))
	}
	return room, want
}

// Who takes something from us is asked whether we missed anything, where nobody told us anything for a while; what lies between is fetched
// with it, however much an answer holds. While there is nothing new he is asked ever less often.
func TestWhoTookSomethingIsAskedWhatIsNew(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w, now := &wire{}, time.Now()
		a := w.server(t, home, url)
		d := newRig(t, filepath.Join(t.TempDir(), "there.db"), nil)
		d.close(t)
		key, err := matrix.GenerateSigningKey(there)
		if err != nil {
			t.Fatal(err)
		}
		d = newRig(t, d.url, func(o *rooms.Options) {
			o.Keys, o.Peers, o.Clock = own{key}, w, func() time.Time { return now }
		})
		w.rigs[there], w.keys[there] = d, key
		a.account(t, alice)
		d.account(t, dora)
		room, want := missed(t, w, a, d)
		here := d.known(t, room.ID())
		ask := func(pass time.Duration) int {
			before := w.called("timestamp_to_event")
			now = now.Add(pass)
			d.rooms.Reached(t.Context(), home, []int64{here.NID()})
			return w.called("timestamp_to_event") - before
		}
		if n := ask(0) + ask(time.Second); n != 0 {
			t.Error("asked about a room that has only just come to be known")
		}
		if n := ask(time.Minute); n != 1 {
			t.Fatalf("asked %d times", n)
		}
		asked := w.called("backfill") + w.called("state_ids")
		if got := d.page(t, room.ID(), dora, 50); !slices.Equal(got, want) || w.called("backfill")+w.called("state_ids") != asked || asked != 0 {
			t.Errorf("knows %d messages, with other questions: %v", len(got), w.calls)
		}
		for _, c := range []struct {
			pass time.Duration
			want int
		}{{999 * time.Millisecond, 0}, {time.Millisecond, 1}, {999 * time.Millisecond, 0}, {time.Millisecond, 1}, {1999 * time.Millisecond, 0}, {time.Millisecond, 1},
			{3999 * time.Millisecond, 0}, {time.Hour, 1}, {5 * time.Second, 0}, {time.Hour, 1}} {
			if n := ask(c.pass); n != c.want {
				t.Errorf("asked %d times %v later, want %d", n, c.pass, c.want)
			}
		}
		inbox := d.inboxOf(t)
		if _, err := inbox.Take(t.Context(), home, raws(a.must(t, room, text(alice, "here")))); err != nil {
			t.Fatal(err)
		}
		inbox.Wait()
		if n := ask(0) + ask(1900*time.Millisecond); n != 0 {
			t.Error("asked who has just told us something")
		}
		if n := ask(time.Second); n != 1 {
			t.Errorf("asked %d times some time after something was told", n)
		}
	})
}

// What others could not tell while this server was down is asked for when it starts.
func TestAfterAStartOthersAreAsked(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := &wire{}
		a := w.server(t, home, sqliteURL(t))
		d := w.server(t, there, url)
		a.account(t, alice)
		d.account(t, dora)
		room, want := missed(t, w, a, d)
		d.close(t)
		now := time.Now() // and stays so: "at once" is by this clock
		d = newRig(t, url, func(o *rooms.Options) {
			o.Keys, o.Peers, o.Clock = own{w.keys[there]}, w, func() time.Time { return now }
		})
		w.rigs[there] = d
		d.rooms.Resume(t.Context())
		if got := d.page(t, room.ID(), dora, 50); !slices.Equal(got, want) || w.called("backfill") != 0 {
			t.Errorf("knows %v", got)
		}
		asked := len(w.calls)
		if d.rooms.Resume(t.Context()); len(w.calls) != asked {
			t.Error("asked again at once")
		}
	})
}

// History that nobody could give is asked for again when a server returns, not before some minutes have passed else.
func TestWhoReturnsIsAskedForWhatWasMissing(t *testing.T) {
	w, a, d := twoServers(t, sqliteURL(t))
	room := a.publicRoom(t, "11")
	a.messages(t, room, alice, 5)
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	w.down[home] = true
	d.page(t, room.ID(), dora, 20)
	w.down[home] = false
	asked := w.called("backfill")
	if d.page(t, room.ID(), dora, 20); asked == 0 || w.called("backfill") != asked {
		t.Errorf("asked %d times, then %d", asked, w.called("backfill"))
	}
	d.rooms.Returned(t.Context(), home)
	if got := d.page(t, room.ID(), dora, 20); !slices.Contains(got, "message 0") {
		t.Errorf("knows %v", got)
	}
}
