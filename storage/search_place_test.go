package storage

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// What the index knows of an event's place is what the event's row says, also after the versions before it were folded: who
// may see what was found is decided by it.
func TestSearchKnowsTheEventsPlace(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		r := openRig(t, Options{URL: url})
		c := newRoom(1)
		place := func(nid, seq int64, live bool) {
			e := &EventRow{NID: nid, Room: 1, IDHash: nid, Sender: 40 + nid, Branch: 0, Seq: seq, Depth: nid, TS: 1000 + nid}
			if !live {
				e.Flags = FlagSoftFailed // with a place in no timeline, such are folded by their depth
			} else {
				e.Live = c.Live(Live{Kind: KindEvent, Room: 1}) + 1
			}
			c.Add(e, &SearchRow{At: e.At, Event: nid, Room: 1, Sender: e.Sender, TS: e.TS, Branch: e.Branch, Seq: e.Seq, Words: []string{"canal"}})
		}
		place(1, 7, false)
		place(2, 8, true)
		place(3, 9, true)
		r.commit(t, c)
		hits := func() map[int64]SearchHit {
			t.Helper()
			found, err := r.Search(t.Context(), SearchQuery{Rooms: []int64{1}, Words: []string{"canal"}, Before: 1 << 62, Limit: 10})
			if err != nil || len(found) != 3 {
				t.Fatalf("%d found: %v", len(found), err)
			}
			out := map[int64]SearchHit{}
			for _, h := range found {
				out[h.Event] = h
			}
			return out
		}
		before := hits()
		for nid, h := range before {
			if h.Sender != 40+nid || h.TS != 1000+nid || h.Branch != 0 || h.Seq != 6+nid {
				t.Errorf("event %d was found as %+v", nid, h)
			}
		}
		if err := r.FoldEvents(t.Context(), 1, before[3].ID, 3, nil); err != nil {
			t.Fatal(err)
		}
		for nid, h := range hits() {
			if folded := h.Branch == FoldedBranch && h.Seq == 0; folded != (nid < 3) {
				t.Errorf("event %d stands behind version %d, %d after its room was folded", nid, h.Branch, h.Seq)
			}
		}
	})
}

// A database of before schema 0085 finds what it found, and then knows its place.
func TestOldSearchRowsLearnTheirPlace(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		r := openRig(t, Options{URL: url})
		c := newRoom(1)
		e := &EventRow{At: At{Live: c.Live(Live{Kind: KindEvent, Room: 1}) + 1}, NID: 5, Room: 1, IDHash: 5, Sender: 40, Seq: 3, TS: 1000}
		c.Add(e)
		r.commit(t, c)
		drop := []string{`DROP TABLE search_words`, `DROP TABLE search_docs`, `DROP TABLE search_indexed`}
		if r.Engine() == "postgres" {
			drop = []string{`DROP TABLE search_docs`, `DROP FUNCTION search_vector`}
		}
		for _, text := range drop {
			r.sql(t, text)
		}
		r.schema(t, "0007_search.sql", "0007_search_sqlite.sql", "0007_search_postgres.sql", "0017_search_postgres.sql",
			"0027_searchlater_sqlite.sql", "0035_searchpending_postgres.sql")
		r.sql(t, fmt.Sprintf(`INSERT INTO search_docs (id, event, room, field, words) VALUES (%d, 5, 1, 0, '%s %s canal')`,
			e.Pos, roomMark(1), senderMark(40)))
		r.schema(t, "0085_searchrows_sqlite.sql", "0085_searchrows_postgres.sql")
		found, err := r.Search(t.Context(), SearchQuery{Rooms: []int64{1}, Words: []string{"canal"}, Before: 1 << 62, Limit: 10})
		if err != nil || len(found) != 1 {
			t.Fatalf("%d found: %v", len(found), err)
		}
		if h := found[0]; h.Event != 5 || h.Sender != 40 || h.TS != 1000 || h.Branch != 0 || h.Seq != 3 {
			t.Errorf("found as %+v", h)
		}
	})
}

// schema applies files of the schema, those of the other engine left out.
func (r *rig) schema(t *testing.T, files ...string) {
	t.Helper()
	for _, file := range files {
		if other := map[string]string{"sqlite": "_postgres.sql", "postgres": "_sqlite.sql"}[r.Engine()]; strings.HasSuffix(file, other) {
			continue
		}
		text, err := schemaFiles.ReadFile("schema/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, stmt := range statements(r.dialect.expand(string(text))) {
			r.sql(t, stmt)
		}
	}
}

// So many senders as a search may name are taken by the index, and of them those who spoke are found.
func TestSearchTakesManySenders(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		r := openRig(t, Options{URL: url})
		c := newRoom(1)
		q := SearchQuery{Rooms: []int64{1}, Words: []string{"canal"}, Before: 1 << 62, Limit: 10}
		for nid := range int64(2000) {
			q.Senders = append(q.Senders, nid+1)
		}
		for _, sender := range []int64{1, 2000, 2001} {
			c.Add(&SearchRow{Event: sender, Room: 1, Sender: sender, Words: []string{"canal"}})
		}
		r.commit(t, c)
		found, err := r.Search(t.Context(), q)
		if err != nil || len(found) != 2 {
			t.Errorf("%d found: %v", len(found), err)
		}
	})
}

// Of long messages no more are read than are wanted, however many there are, and of those in many rooms the newest.
func TestSearchReadsNoMoreThanItGives(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		r := openRig(t, Options{URL: url})
		const messages, others, limit = 300, 2*searchRooms + 50, 10
		long := strings.Fields(strings.Repeat("canal ", 6000))
		c := newRoom(1)
		for n := range int64(messages) {
			doc := &SearchRow{Event: n + 1, Room: 1 + n%others, Sender: 1, Words: long}
			doc.Live = c.Live(Live{Kind: KindEvent, Room: 1}) + 1
			c.Add(doc)
		}
		r.commit(t, c)
		q := SearchQuery{Words: []string{"canal"}, Before: 1 << 62, Limit: limit}
		for room := range int64(others) {
			q.Rooms = append(q.Rooms, room+1)
		}
		search := func() (allocated uint64) {
			t.Helper()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			found, err := r.Search(t.Context(), q)
			runtime.ReadMemStats(&after)
			if err != nil || len(found) != limit || found[0].Event != messages || found[limit-1].Event != messages-limit+1 {
				t.Fatalf("%d found: %v", len(found), err)
			}
			return after.TotalAlloc - before.TotalAlloc
		}
		search() // which brings them into the index
		if n := search(); n > 4*limit*36_000 {
			t.Errorf("%d KiB read for %d messages", n>>10, limit)
		}
	})
}

// A word that is said all the time elsewhere is found in a room where little was said.
func TestSearchFindsBehindManyOthers(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		r := openRig(t, Options{URL: url})
		c := newRoom(1)
		for n := range int64(searchScan + 2) {
			doc := &SearchRow{Event: n + 1, Room: 2, Sender: 1, Words: []string{"canal"}}
			if n == 0 {
				doc.Room = 1
			}
			doc.Live = c.Live(Live{Kind: KindEvent, Room: doc.Room}) + 1
			c.Add(doc)
		}
		r.commit(t, c)
		found, err := r.Search(t.Context(), SearchQuery{Rooms: []int64{1}, Words: []string{"canal"}, Before: 1 << 62, Limit: 10})
		if err != nil || len(found) != 1 || found[0].Event != 1 {
			t.Errorf("%v, %v", found, err)
		}
	})
}
