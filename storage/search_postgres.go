package storage

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
)

// PostgreSQL's index knows no order, and to fetch all that it finds by a usual word takes long. So it is asked by eras, which
// are marks among the words too: for the newest ones first, then for ever more of them.
const (
	eraBits    = 12  // Why never another: schema 0017 writes the marks
	eraFirst   = 2   // eras in the first question
	eraGrowth  = 4   // by so much the next question asks for more
	eraMost    = 512 // eras in one question; what is older still is asked for without
	searchLook = 2000
	// searchOwn: when at most one of so many of the newest events is in the rooms, these are named to the index.
	searchOwn = 10
)

func eraMark(era int64) string { return "\ue002" + strconv.FormatUint(uint64(era), 16) }

// Why OFFSET 0: else PostgreSQL walks the newest rows for the order's sake, where the index would find the few.
const searchPostgres = `SELECT ` + searchColumns + ` FROM (SELECT * FROM search_docs WHERE index_words @@ $1::text::tsquery OFFSET 0) d
	WHERE d.id < $2 AND d.id >= $3 AND d.room = ANY($4) ORDER BY d.id DESC LIMIT $5`

// eras is a search on PostgreSQL under way.
type eras struct {
	*SearchQuery
	db    *DB
	rooms []byte
	// named are the rooms in the parts in which they are named to the index; one empty part names none.
	named [][]int64
	hits  []SearchHit
}

// searchPostgres looks through the live stream, then through history from before it.
func (db *DB) searchPostgres(ctx context.Context, q *SearchQuery) ([]SearchHit, error) {
	e := &eras{SearchQuery: q, db: db, rooms: int64Array(q.Rooms), named: [][]int64{nil}}
	for _, floor := range []int64{0, historyBase} {
		var last, seen, here int64
		err := db.row(ctx, `SELECT COALESCE(MAX(id), $2), COUNT(*), COUNT(*) FILTER (WHERE room = ANY($4))
			FROM (SELECT id, room FROM search_docs WHERE id < $1 AND id >= $2 ORDER BY id DESC LIMIT $3) w`,
			[]any{q.Before, floor, int64(searchLook), e.rooms}, &last, &seen, &here)
		if err != nil {
			return nil, err
		}
		if seen == 0 {
			continue
		}
		if here*searchOwn < seen {
			e.named = slices.Collect(slices.Chunk(q.Rooms, searchRooms))
		}
		if err := e.down(ctx, last>>eraBits, floor>>eraBits); err != nil {
			return nil, err
		}
		if len(e.hits) >= q.Limit {
			break
		}
	}
	return q.newest(e.hits), nil
}

// down asks from one era down to another, until enough is found.
func (e *eras) down(ctx context.Context, top, floor int64) error {
	for span := int64(eraFirst); top >= floor; span *= eraGrowth {
		if span > eraMost {
			return e.ask(ctx, "", floor, top)
		}
		from := max(top-span+1, floor)
		var marks strings.Builder
		for era := from; era <= top; era++ {
			if era > from {
				marks.WriteByte('|')
			}
			marks.WriteString("'" + eraMark(era) + "'")
		}
		if err := e.ask(ctx, "&("+marks.String()+")", from, top); err != nil || len(e.hits) >= e.Limit {
			return err
		}
		top = from - 1
	}
	return nil
}

// ask adds what the index finds in some eras, under a further condition.
func (e *eras) ask(ctx context.Context, condition string, from, to int64) error {
	before := e.Before
	if to < math.MaxInt64>>eraBits {
		before = min(before, (to+1)<<eraBits)
	}
	for _, part := range e.named {
		some, err := e.db.searchHits(ctx, searchPostgres, e.expression(part, "'", "|", "&")+condition, before, from<<eraBits, e.rooms, int64(e.Limit))
		if err != nil {
			return err
		}
		e.hits = append(e.hits, some...)
	}
	return nil
}
