package storage

import (
	"context"
	"database/sql"
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

// searchRooms bounds how many rooms one statement looks through.
const searchRooms = 128

// Search finds events by their words, newest first.
func (db *DB) Search(ctx context.Context, q SearchQuery) ([]SearchHit, error) {
	if len(q.Words) == 0 {
		return nil, nil
	}
	var out []SearchHit
	for part := range slices.Chunk(q.Rooms, searchRooms) {
		find := db.searchSQLite
		if db.dialect.arrays {
			find = db.searchPostgres
		}
		hits, err := find(ctx, q, part)
		if err != nil {
			return nil, err
		}
		out = append(out, hits...)
	}
	slices.SortFunc(out, func(a, b SearchHit) int { return compareDown(a.ID, b.ID) })
	return out[:min(len(out), q.Limit)], nil
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

const searchColumns = `d.id, d.event, d.room, d.field, d.words`

func (db *DB) searchHits(ctx context.Context, text string, args ...any) ([]SearchHit, error) {
	var out []SearchHit
	err := db.each(ctx, text, args, func(r *sql.Rows) error {
		var h SearchHit
		err := r.Scan(&h.ID, &h.Event, &h.Room, &h.Field, &h.Words)
		out = append(out, h)
		return err
	})
	return out, err
}

// searchSQLite walks the index from its newest row on and stops when there are enough.
func (db *DB) searchSQLite(ctx context.Context, q SearchQuery, rooms []int64) ([]SearchHit, error) {
	return db.searchHits(ctx, `SELECT `+searchColumns+` FROM search_words w CROSS JOIN search_docs d
		WHERE search_words MATCH $1 AND w.rowid < $2 AND d.id = w.rowid ORDER BY w.rowid DESC LIMIT $3`,
		q.expression(rooms, `"`, " OR ", " AND "), q.Before, int64(q.Limit))
}

// Bounds of a search on PostgreSQL, whose index knows no order.
const (
	searchFew    = 3000  // so many hits are fetched and sorted
	searchWindow = 20000 // so many of the newest rows are looked through at once when there are more
	searchTries  = 4
)

// searchPostgres takes all hits when they are few. When they are many the newest rows hold enough of them, mostly.
func (db *DB) searchPostgres(ctx context.Context, q SearchQuery, rooms []int64) ([]SearchHit, error) {
	match := q.expression(rooms, "'", "|", "&")
	few, err := db.numbers(ctx, `SELECT id FROM search_docs WHERE index_words @@ $1::text::tsquery AND id < $2 LIMIT $3`,
		match, q.Before, int64(searchFew))
	if err != nil {
		return nil, err
	}
	if len(few) < searchFew {
		slices.SortFunc(few, compareDown)
		return db.searchTheseHits(ctx, few[:min(len(few), q.Limit)])
	}
	var out []SearchHit
	for range searchTries {
		hits, last, err := db.searchNewest(ctx, match, q.Before, q.Limit-len(out))
		if err != nil {
			return nil, err
		}
		if out = append(out, hits...); len(out) >= q.Limit {
			return out, nil
		}
		q.Before = last
	}
	rest, err := db.searchHits(ctx, `SELECT `+searchColumns+` FROM search_docs d WHERE index_words @@ $1::text::tsquery AND id < $2
		ORDER BY id DESC LIMIT $3`, match, q.Before, int64(q.Limit-len(out)))
	return append(out, rest...), err
}

// searchNewest looks through a number of rows, whatever their words; last is the oldest of them.
func (db *DB) searchNewest(ctx context.Context, match string, before int64, limit int) (hits []SearchHit, last int64, err error) {
	err = db.row(ctx, `SELECT COALESCE(MIN(id), $3) FROM (SELECT id FROM search_docs WHERE id < $1 ORDER BY id DESC LIMIT $2) w`,
		[]any{before, int64(searchWindow), int64(historyBase)}, &last)
	if err != nil {
		return nil, 0, err
	}
	hits, err = db.searchHits(ctx, `SELECT `+searchColumns+` FROM (SELECT * FROM search_docs WHERE id < $2 AND id >= $3
		ORDER BY id DESC OFFSET 0) d WHERE d.index_words @@ $1::text::tsquery LIMIT $4`, match, before, last, int64(limit))
	return hits, last, err
}

func (db *DB) searchTheseHits(ctx context.Context, ids []int64) ([]SearchHit, error) {
	var out []SearchHit
	err := db.eachIn(ctx, `SELECT `+searchColumns+` FROM search_docs d WHERE d.id IN`, ids, ``, func(r *sql.Rows) error {
		var h SearchHit
		err := r.Scan(&h.ID, &h.Event, &h.Room, &h.Field, &h.Words)
		out = append(out, h)
		return err
	})
	return out, err
}
