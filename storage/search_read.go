package storage

import (
	"context"
	"database/sql"
	"math"
	"slices"
	"strings"
)

// SearchQuery asks for events that have all of some words. Rooms and Words must not be empty; an empty Senders is all.
type SearchQuery struct {
	Rooms, Senders []int64
	Words          []string
	// Before is the id of the oldest one known, to ask for older ones.
	Before int64
	Limit  int
}

// SearchHit is an event that was found.
type SearchHit struct {
	ID, Event, Room int64
	Field           SearchField
	// Words are all that the event was indexed by, behind two marks.
	Words string
}

// Bounds of a search.
const (
	searchScan   = 3000 // SQLite: so many of the newest events with the words are looked at, whatever their room
	searchWindow = 4000 // PostgreSQL, whose index knows no order: so many of the newest events, whatever their words
	searchGrowth = 5    // PostgreSQL: by so much the next window is larger
	searchTries  = 3    // PostgreSQL: windows
	searchSeldom = 15   // PostgreSQL: words that at most one of so many events has are looked up in the index
	searchRooms  = 128  // so many rooms are named in one question to the index
)

// Search finds events by their words, newest first.
// Why in two steps: words that are seldom are quickly looked up with all their rooms, and of frequent ones there are
// enough among the newest; frequent words in rooms where little was said are left to the marks of the rooms.
func (db *DB) Search(ctx context.Context, q SearchQuery) ([]SearchHit, error) {
	if len(q.Words) == 0 || len(q.Rooms) == 0 {
		return nil, nil
	}
	if db.indexer != nil {
		if err := db.indexer.catchUp(ctx); err != nil {
			return nil, err
		}
	}
	first := db.searchNewestSQLite
	if db.dialect.arrays {
		first = db.searchNewestPostgres
	}
	hits, all, err := first(ctx, &q)
	if err != nil || all || len(hits) >= q.Limit {
		return hits[:min(len(hits), q.Limit)], err
	}
	hits = nil
	for part := range slices.Chunk(q.Rooms, searchRooms) {
		some, err := db.searchInRooms(ctx, &q, part)
		if err != nil {
			return nil, err
		}
		hits = append(hits, some...)
	}
	slices.SortFunc(hits, func(a, b SearchHit) int { return compareDown(a.ID, b.ID) })
	return hits[:min(len(hits), q.Limit)], nil
}

// here keeps the hits in the rooms that are searched.
func (q *SearchQuery) here(hits []SearchHit) []SearchHit {
	rooms := make(map[int64]bool, len(q.Rooms))
	for _, r := range q.Rooms {
		rooms[r] = true
	}
	return slices.DeleteFunc(hits, func(h SearchHit) bool { return !rooms[h.Room] })
}

func compareDown(a, b int64) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return 0
}

// expression is the condition in an engine's language: one of the rooms, one of the senders, and all words.
func (q *SearchQuery) expression(rooms []int64, quote, or, and string) string {
	var sb strings.Builder
	list := func(nids []int64, mark func(int64) string) {
		for i, n := range nids {
			if i == 0 {
				sb.WriteByte('(')
			} else {
				sb.WriteString(or)
			}
			sb.WriteString(quote + mark(n) + quote)
		}
		if len(nids) > 0 {
			sb.WriteString(")" + and)
		}
	}
	list(rooms, roomMark)
	list(q.Senders, senderMark)
	for i, w := range q.Words {
		if i > 0 {
			sb.WriteString(and)
		}
		sb.WriteString(quote + w + quote)
	}
	return sb.String()
}

func (h *SearchHit) scan(r *sql.Rows) error {
	return r.Scan(&h.ID, &h.Event, &h.Room, &h.Field, &h.Words)
}

const searchColumns = `d.id, d.event, d.room, d.field, d.words`

func (db *DB) searchHits(ctx context.Context, text string, args ...any) ([]SearchHit, error) {
	var out []SearchHit
	err := db.each(ctx, text, args, func(r *sql.Rows) error {
		var h SearchHit
		err := h.scan(r)
		out = append(out, h)
		return err
	})
	return out, err
}

// Why OFFSET 0: else PostgreSQL walks the newest rows for the order's sake, where the index would find the few.
const (
	searchSQLite = `SELECT ` + searchColumns + ` FROM search_words w CROSS JOIN search_docs d
		WHERE search_words MATCH $1 AND w.rowid < $2 AND d.id = w.rowid ORDER BY w.rowid DESC LIMIT $3`
	searchPostgres = `SELECT ` + searchColumns + ` FROM (SELECT * FROM search_docs WHERE index_words @@ $1::text::tsquery OFFSET 0) d
		WHERE d.id < $2 ORDER BY d.id DESC LIMIT $3`
)

// searchInRooms looks for the marks of rooms together with the words.
func (db *DB) searchInRooms(ctx context.Context, q *SearchQuery, rooms []int64) ([]SearchHit, error) {
	if db.dialect.arrays {
		return db.searchHits(ctx, searchPostgres, q.expression(rooms, "'", "|", "&"), q.Before, int64(q.Limit))
	}
	return db.searchHits(ctx, searchSQLite, q.expression(rooms, `"`, " OR ", " AND "), q.Before, int64(q.Limit))
}

// searchNewestSQLite walks the index from its newest row on. all says that it came to the end.
func (db *DB) searchNewestSQLite(ctx context.Context, q *SearchQuery) (hits []SearchHit, all bool, err error) {
	hits, err = db.searchHits(ctx, searchSQLite, q.expression(nil, `"`, " OR ", " AND "), q.Before, int64(searchScan))
	all = len(hits) < searchScan
	return q.here(hits), all, err
}

// searchNewestPostgres looks through the newest rows in the rooms, then at the index unless the words are frequent there
// or the rooms hold little.
func (db *DB) searchNewestPostgres(ctx context.Context, q *SearchQuery) (hits []SearchHit, all bool, err error) {
	match, rooms, before := q.expression(nil, "'", "|", "&"), int64Array(q.Rooms), q.Before
	window := int64(searchWindow)
	for range searchTries {
		var last, here int64
		err = db.row(ctx, `SELECT COALESCE(MIN(id), $3), COUNT(*) FILTER (WHERE room = ANY($4))
			FROM (SELECT id, room FROM search_docs WHERE id < $1 ORDER BY id DESC LIMIT $2) w`,
			[]any{before, window, int64(math.MinInt64), rooms}, &last, &here)
		if err != nil {
			return nil, false, err
		}
		// Why the two conditions apart: the first is cheap and spares most rows the second.
		some, err := db.searchHits(ctx, `SELECT `+searchColumns+` FROM (SELECT * FROM search_docs WHERE id < $2 AND id >= $3 AND room = ANY($4)
			OFFSET 0) d WHERE d.index_words @@ $1::text::tsquery ORDER BY d.id DESC LIMIT $5`, match, before, last, rooms, int64(q.Limit))
		hits, before = append(hits, some...), last
		switch {
		case err != nil || len(hits) >= q.Limit:
			return hits, false, err
		case here < window/10:
			return nil, false, nil
		case int64(len(some)) < here/searchSeldom:
			rest, err := db.searchHits(ctx, `SELECT `+searchColumns+` FROM (SELECT * FROM search_docs WHERE index_words @@ $1::text::tsquery
				OFFSET 0) d WHERE d.id < $2 AND d.room = ANY($3) ORDER BY d.id DESC LIMIT $4`, match, before, rooms, int64(q.Limit))
			return append(hits, rest...), true, err
		}
		window *= searchGrowth
	}
	return nil, false, nil
}
