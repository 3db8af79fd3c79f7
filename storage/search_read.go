package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
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
	ID, Event, Room, Sender int64
	Field                   SearchField
	// TS, Branch and Seq are those of the event.
	TS, Branch, Seq int64
	// Words are all that the event was indexed by, behind two marks.
	Words string
}

// Bounds of a search.
const (
	searchScan  = 3000 // SQLite: so many of the newest events with the words are looked at, whatever their room
	searchRooms = 128  // so many rooms are named in one question to the index
)

// Search finds events by their words, newest first.
func (db *DB) Search(ctx context.Context, q SearchQuery) ([]SearchHit, error) {
	if len(q.Words) == 0 || len(q.Rooms) == 0 {
		return nil, nil
	}
	if db.dialect.arrays {
		return db.searchPostgres(ctx, &q)
	}
	if db.indexer != nil {
		if err := db.indexer.catchUp(ctx); err != nil {
			return nil, err
		}
	}
	return db.searchSQLite(ctx, &q)
}

// searchSQLite walks the index from its newest row on, then asks for the marks of the rooms.
// Why in two steps: words that are seldom are quickly looked up with all their rooms, and of frequent ones there are
// enough among the newest; frequent words in rooms where little was said are left to the marks of the rooms.
func (db *DB) searchSQLite(ctx context.Context, q *SearchQuery) ([]SearchHit, error) {
	hits, all, err := db.searchNewest(ctx, q)
	if err != nil || all || len(hits) >= q.Limit {
		return hits, err
	}
	hits = nil
	for part := range slices.Chunk(q.Rooms, searchRooms) {
		some, err := db.searchHits(ctx, searchSQLite, q.expression(part, `"`, " OR ", " AND "), q.Before, int64(q.Limit))
		if err != nil {
			return nil, err
		}
		hits = q.newest(append(hits, some...))
	}
	return hits, nil
}

// searchNewest looks through the newest events with the words for those in the rooms, until there are enough; all reports that there are no
// others. Why row by row: an event can have 64 KiB of words, and thousands of such must not be in memory together.
func (db *DB) searchNewest(ctx context.Context, q *SearchQuery) (hits []SearchHit, all bool, err error) {
	rooms := make(map[int64]bool, len(q.Rooms))
	for _, r := range q.Rooms {
		rooms[r] = true
	}
	seen := 0
	err = db.each(ctx, searchSQLite, []any{q.expression(nil, `"`, " OR ", " AND "), q.Before, int64(searchScan)}, func(r *sql.Rows) error {
		var h SearchHit
		if err := h.scan(r); err != nil {
			return err
		}
		if seen++; rooms[h.Room] {
			hits = append(hits, h)
		}
		if len(hits) == q.Limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return hits, false, nil
	}
	return hits, seen < searchScan, err
}

// errEnough ends the reading of rows.
var errEnough = errors.New("enough was read")

// newest sorts and cuts what several questions found.
func (q *SearchQuery) newest(hits []SearchHit) []SearchHit {
	slices.SortFunc(hits, func(a, b SearchHit) int { return cmp.Compare(b.ID, a.ID) })
	return hits[:min(len(hits), q.Limit)]
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
	if err := r.Scan(&h.ID, &h.Event, &h.Room, &h.Field, &h.TS, &h.Branch, &h.Seq, &h.Words); err != nil {
		return err
	}
	h.Sender = markedSender(h.Words)
	return nil
}

const searchColumns = `d.id, d.event, d.room, d.field, d.ts, d.branch, d.seq, d.words`

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

const searchSQLite = `SELECT ` + searchColumns + ` FROM search_words w CROSS JOIN search_docs d
	WHERE search_words MATCH $1 AND w.rowid < $2 AND d.id = w.rowid ORDER BY w.rowid DESC LIMIT $3`
