package devices

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rempart/storage"
)

// list is bob's device list as his server tells it.
func list(stream int, ids ...string) string {
	devices := ""
	for i, id := range ids {
		if i > 0 {
			devices += ","
		}
		devices += fmt.Sprintf(`{"device_id":%q,"keys":%s}`, id, key(id, ""))
	}
	return fmt.Sprintf(`{"user_id":"@bob:far","stream_id":%d,"devices":[%s]}`, stream, devices)
}

func update(id string, stream, prev int) json.RawMessage {
	return fmt.Appendf(nil, `{"user_id":"@bob:far","device_id":%q,"stream_id":%d,"prev_id":[%d],"keys":%s}`, id, stream, prev, key(id, ""))
}

// kept is what is kept of bob's devices, and by which change.
func (r *lied) kept() string {
	r.t.Helper()
	r.ended.Wait()
	stream, err := r.db.FindRemoteDevices(r.t.Context(), r.bob)
	if ignoreMissing(err) != nil {
		r.t.Fatal(err)
	}
	keys, err := r.db.ListDeviceKeys(r.t.Context(), []int64{r.bob})
	r.must(err)
	names := make([]string, 0, len(keys))
	for _, k := range keys {
		names = append(names, " "+string(k.Device))
	}
	slices.Sort(names)
	return fmt.Sprint(stream) + strings.Join(names, "")
}

// A change that is told while a list is fetched is not lost: the answer may be older than it.
func TestChangeWhileAListIsFetched(t *testing.T) {
	for name, start := range map[string]string{"first": "", "again": list(3, "D")} {
		t.Run(name, func(t *testing.T) {
			eachLied(t, func(t *testing.T, r *lied) {
				if start != "" {
					r.say(start)
					r.must(r.fetchList(t.Context(), r.bob, bob, becauseChanged))
				}
				r.say(list(5, "D"))
				r.peer.before(func() {
					r.peer.tell(list(6, "D", "E"))
					r.must(r.ReceiveDeviceUpdate(t.Context(), "far", update("E", 6, 5)))
				})
				r.must(r.fetchList(t.Context(), r.bob, bob, becauseChanged))
				if got := r.kept(); got != "6 D E" {
					t.Errorf("kept are %s", got)
				}
			})
		})
	}
}

// People who were told of a change, and were given what another node had kept meanwhile from before it, are told once more when the list comes.
func TestListThatAnotherNodeKept(t *testing.T) {
	eachLied(t, func(t *testing.T, r *lied) {
		r.say(list(5, "D"))
		r.must(r.fetchList(t.Context(), r.bob, bob, becauseChanged))
		before := r.db.Position()
		r.say(list(6, "D", "E"))
		r.must(r.fetchList(t.Context(), r.bob, bob, becauseChanged))
		if got := r.kept(); got != "6 D E" || r.db.Position() == before {
			t.Errorf("kept are %s; people were told: %t", got, r.db.Position() != before)
		}
		before = r.db.Position()
		r.must(r.fetchList(t.Context(), r.bob, bob, becauseChanged))
		if r.db.Position() != before {
			t.Error("people are told of the same list")
		}
	})
}

// A change that cannot be entered, since another list was kept meanwhile, is told, and the list fetched.
func TestChangeWhileAListIsKept(t *testing.T) {
	eachLied(t, func(t *testing.T, r *lied) {
		r.say(list(5, "D"))
		r.must(r.fetchList(t.Context(), r.bob, bob, becauseChanged))
		old, err := r.db.FindRemoteList(t.Context(), r.bob)
		r.must(err)
		r.must(r.ReceiveDeviceUpdate(t.Context(), "far", update("E", 6, 5)))
		before := r.db.Position()
		r.say(list(7, "D", "E", "F"))
		r.must(r.receiveChange(t.Context(), bob, func(change *storage.Change, _ int64) bool {
			change.Guard(old.Still())
			return true
		}))
		if got := r.kept(); got != "7 D E F" || r.db.Position() == before {
			t.Errorf("kept are %s; people were told: %t", got, r.db.Position() != before)
		}
	})
}

// Where changes were missed and cannot be fetched, people are told that what they know may be old, and the list counts no more.
func TestMissedChangesThatCannotBeFetched(t *testing.T) {
	eachLied(t, func(t *testing.T, r *lied) {
		r.say(list(5, "D"))
		r.must(r.fetchList(t.Context(), r.bob, bob, becauseChanged))
		before := r.db.Position()
		r.say(`no list`)
		r.must(r.ReceiveDeviceUpdate(t.Context(), "far", update("D", 9, 8)))
		if got := r.kept(); got != "0 D" || r.db.Position() == before {
			t.Errorf("kept are %s; people were told: %t", got, r.db.Position() != before)
		}
	})
}

// A list that is fetched since people were told of a change is stored without telling them again; one of them may have asked just before a
// device went that the list does not hold any more. That it went is told to him.
func TestDeviceThatWentWhileAListWasFetched(t *testing.T) {
	eachLied(t, func(t *testing.T, r *lied) {
		r.say(list(5, "E"))
		r.must(r.fetchList(t.Context(), r.bob, bob, becauseChanged)) // and somebody was given D and E
		before := r.db.Position()
		r.must(r.ReceiveDeviceUpdate(t.Context(), "far", json.RawMessage(`{"user_id":"@bob:far","device_id":"D","stream_id":6,"prev_id":[5],"deleted":true}`)))
		if r.db.Position() == before || r.kept() != "6 E" {
			t.Errorf("people were told: %t; kept are %s", r.db.Position() != before, r.kept())
		}
		before = r.db.Position()
		r.must(r.ReceiveDeviceUpdate(t.Context(), "far", json.RawMessage(`{"user_id":"@bob:far","device_id":"N","stream_id":7,"prev_id":[6]}`)))
		if r.db.Position() != before || r.kept() != "7 E" {
			t.Errorf("people were told of a device without keys: %t; kept are %s", r.db.Position() != before, r.kept())
		}
	})
}

// A change that follows one that was missed counts as new while a list is fetched, which may be older.
func TestMissedChangeWhileAListIsFetched(t *testing.T) {
	eachLied(t, func(t *testing.T, r *lied) {
		r.say(list(5, "D"))
		r.must(r.fetchList(t.Context(), r.bob, bob, becauseChanged))
		r.mu.Lock()
		r.resyncs[r.bob] = true // as if one were going on
		r.mu.Unlock()
		r.must(r.ReceiveDeviceUpdate(t.Context(), "far", update("D", 9, 8)))
		if got := r.kept(); got != "0 D" {
			t.Errorf("kept are %s", got)
		}
	})
}

// Who has come into a room since a list was asked for may have missed changes: the list does not count as fresh.
func TestWhoComesWhileAListIsFetched(t *testing.T) {
	eachLied(t, func(t *testing.T, r *lied) {
		r.say(list(5, "D"))
		r.peer.before(r.comes)
		for _, fresh := range []bool{false, true} {
			r.must(r.fetchList(t.Context(), r.bob, bob, becauseChanged))
			if got, err := r.db.IsRemoteListFresh(t.Context(), r.bob); err != nil || got != fresh {
				t.Errorf("fresh: %t, want %t (%v)", got, fresh, err)
			}
		}
	})
}

// comes has bob enter the room anew.
func (r *lied) comes() {
	c := &storage.Change{}
	live := c.Live(storage.Live{Kind: storage.KindMembership, Room: 1, User: r.bob})
	c.Add(&storage.MembershipRow{At: storage.At{Live: live + 1}, User: r.bob, Room: 1, Membership: storage.MemberJoin})
	r.must(r.db.Commit(r.t.Context(), c))
}

// Keys that may be old, of a server that cannot be asked now, are shown together with its failure, so that who asked asks again; and when
// others are found to be so, all are told.
func TestDoubtfulKeysAreToldAsSuch(t *testing.T) {
	eachLied(t, func(t *testing.T, r *lied) {
		r.say(list(5, "D"))
		r.must(r.fetchList(t.Context(), r.bob, bob, becauseChanged))
		if got := r.shown(); got != "D" {
			t.Fatalf("shown are %s", got)
		}
		r.comes()
		r.say(list(7, "E"))
		r.mu.Lock()
		r.dead["far"] = r.now().Add(time.Hour)
		r.mu.Unlock()
		before, shown := r.db.Position(), make(chan struct{})
		r.peer.before(func() { <-shown }) // the list is fetched once more, after this
		if got := r.shown(); got != "D, far failed" {
			t.Errorf("shown are %s", got)
		}
		close(shown)
		if got := r.kept(); got != "7 E" || r.db.Position() == before {
			t.Errorf("kept are %s; people were told: %t", got, r.db.Position() != before)
		}
	})
}
