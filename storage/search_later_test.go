package storage

import (
	"slices"
	"testing"

	"rempart/internal/testkit/pgtest"
)

// say commits a message of these words and returns its place in the stream.
func (r *rig) say(t *testing.T, event int64, words ...string) int64 {
	t.Helper()
	c := &Change{}
	doc := &SearchRow{Event: event, Room: 1, Sender: 2, Words: words}
	doc.Live = c.Live(Live{Kind: KindEvent, Room: 1}) + 1
	c.Add(doc)
	if err := r.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return doc.Pos
}

// found lists the events that have a word, newest first.
func (r *rig) found(t *testing.T, word string) []int64 {
	t.Helper()
	hits, err := r.Search(t.Context(), SearchQuery{Rooms: []int64{1}, Words: []string{word}, Before: 1 << 62, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var events []int64
	for _, h := range hits {
		events = append(events, h.Event)
	}
	return events
}

// TestWhatIsSaidIsFoundAtOnce says that the index being filled later is seen by nobody: not by who searches at once,
// not after a removal before or after it was filled, and not after a restart in between.
func TestWhatIsSaidIsFoundAtOnce(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		first := &rig{DB: openAt(t, url)}
		first.say(t, 1, "canal", "pont")
		expectFound(t, first, "canal", 1)
		second := first.say(t, 2, "canal")
		third := first.say(t, 3, "canal")
		first.drop(t, second) // not yet in the index, if that is filled later
		expectFound(t, first, "canal", 3, 1)
		first.drop(t, third) // in the index
		expectFound(t, first, "canal", 1)
		first.say(t, 4, "canal")
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		again := &rig{DB: openAt(t, url)}
		expectFound(t, again, "canal", 4, 1)
		expectFound(t, again, "pont", 1)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func openAt(t *testing.T, url string) *DB {
	t.Helper()
	db, err := Open(t.Context(), Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (r *rig) drop(t *testing.T, id int64) {
	t.Helper()
	c := &Change{Guards: []Guard{{sql: `DELETE FROM search_docs WHERE id = $1`, args: []any{id}, want: 1}}}
	if err := r.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func expectFound(t *testing.T, r *rig, word string, want ...int64) {
	t.Helper()
	if got := r.found(t, word); !slices.Equal(got, want) {
		t.Errorf("%q is found in %v, want %v", word, got, want)
	}
}
