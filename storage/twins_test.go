package storage

import (
	"errors"
	"testing"
)

// A message that lost the race against another node is kept as a fork, unless it is the very event that won.
func TestLostRaceIsForkOrRebuilt(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		r := openRig(t, Options{URL: url})
		r.commit(t, newRoom(1))
		send := func(nid, hash int64) error {
			c := &Change{}
			e := &EventRow{At: At{Live: c.Live(Live{Kind: KindEvent, Room: 1}) + 1}, NID: nid, Room: 1, IDHash: hash}
			c.Add(e)
			c.Rooms = []RoomWrite{{Room: 1, BaseVersion: 1, BaseStateSeq: 0, Add: []int64{nid}, Events: []*EventRow{e}}}
			return r.Commit(t.Context(), c)
		}
		if err := send(10, 100); err != nil {
			t.Fatal(err)
		}
		if err := send(11, 100); !errors.Is(err, ErrStale) {
			t.Errorf("the same event was stored twice: %v", err)
		}
		if err := send(12, 101); err != nil {
			t.Errorf("another event on the same head: %v", err)
		}
	})
}
