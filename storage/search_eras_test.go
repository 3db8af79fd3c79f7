package storage_test

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"testing"

	"rempart/internal/testkit/pgtest"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// TestSearchIsWhatReadingFinds compares what the index finds among messages that lie far apart, and history, with what
// reading them all finds.
func TestSearchIsWhatReadingFinds(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		if !storage.IsPostgres(url) {
			t.Skip("SQLite's index takes in what the stream brings, and has an order")
		}
		db := storagetest.Open(t, storage.Options{URL: url})
		dice := rand.New(rand.NewSource(3))
		type doc struct {
			event, room int64
			words       []string
		}
		var docs []doc // oldest first
		c := &storage.Change{}
		for i := range int64(3000) {
			d := doc{event: i + 1, room: dice.Int63n(20)}
			for n := range 6 {
				if dice.Intn(1<<n) == 0 {
					d.words = append(d.words, fmt.Sprint("w", n))
				}
			}
			row := &storage.SearchRow{Event: d.event, Room: d.room, Sender: 1, Words: d.words}
			if i >= 500 { // those before are history
				row.Pos = i * i * 2
			}
			docs = append(docs, d)
			c.Add(row)
		}
		if err := db.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		for _, rooms := range [][]int64{{3}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}} {
			for _, words := range [][]string{{"w0"}, {"w2"}, {"w5"}, {"w1", "w4"}, {"w3", "w4", "w5"}} {
				for _, limit := range []int{10, 300} {
					var want []int64
					for _, d := range slices.Backward(docs) {
						has := slices.Contains(rooms, d.room)
						for _, w := range words {
							has = has && slices.Contains(d.words, w)
						}
						if has && len(want) < limit {
							want = append(want, d.event)
						}
					}
					q := storage.SearchQuery{Rooms: rooms, Words: words, Before: math.MaxInt64, Limit: limit}
					hits, err := db.Search(t.Context(), q)
					if err != nil {
						t.Fatal(err)
					}
					var got []int64
					for _, h := range hits {
						got = append(got, h.Event)
					}
					if !slices.Equal(got, want) {
						t.Errorf("%v in %v: %d found, want %d", words, rooms, len(got), len(want))
					}
				}
			}
		}
	})
}
