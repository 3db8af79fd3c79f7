package storage

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"rempart/internal/matrix"
)

func TestNamesAreInternedOnce(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		a, b := openRig(t, Options{URL: url}), openRig(t, Options{URL: url})
		var users []matrix.UserID
		var tuples []matrix.StateTuple
		for i := range 1500 {
			users = append(users, matrix.UserID(fmt.Sprintf("@u%d:x", i)))
			tuples = append(tuples, matrix.StateTuple{Type: "m.room.member", Key: fmt.Sprintf("@u%d\x00:x", i)})
		}
		users = append(users, users[3])
		early, err := a.UserNID(t.Context(), users[7])
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		for _, r := range []*rig{a, b} {
			wait.Go(func() {
				if err := errors.Join(r.InternUsers(t.Context(), users), r.InternStateKeys(t.Context(), tuples)); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		seen := map[int64]matrix.UserID{}
		var nids, keys []int64
		for i, u := range users[:1500] {
			n, err := a.FindUserNID(t.Context(), u)
			m, err2 := b.UserNID(t.Context(), u)
			if err != nil || err2 != nil || n != m || n == 0 || seen[n] != "" || i == 7 && n != early {
				t.Fatalf("%s: %d and %d, %v, %v, also %q", u, n, m, err, err2, seen[n])
			}
			seen[n], nids = u, append(nids, n)
			k, err := a.FindStateKeyNID(t.Context(), tuples[i])
			l, err2 := b.FindStateKeyNID(t.Context(), tuples[i])
			if err != nil || err2 != nil || k != l {
				t.Fatalf("%v: %d and %d, %v, %v", tuples[i], k, l, err, err2)
			}
			keys = append(keys, k)
		}
		fresh := openRig(t, Options{URL: url})
		if err := errors.Join(fresh.LoadUserIDs(t.Context(), nids), fresh.LoadStateTuples(t.Context(), keys)); err != nil {
			t.Fatal(err)
		}
		if len(fresh.names.users.back) != 1500 || len(fresh.names.keys.back) != 1500 {
			t.Errorf("%d users and %d pairs in memory", len(fresh.names.users.back), len(fresh.names.keys.back))
		}
		if id, err := fresh.GetUserID(t.Context(), nids[9]); err != nil || id != users[9] {
			t.Errorf("%d is %q, %v; want %q", nids[9], id, err, users[9])
		}
	})
}
