package storage

import (
	"context"
	"slices"
	"strconv"
)

// PostgreSQL's index knows no order, and to fetch all that it finds by a usual word takes long. So it is asked by eras,
// stretches of ids whose marks are among the words too: by short ones for the newest events, then by ever longer ones.
const (
	eraLevels = 6 // Why never another, nor the two below: search_vector of schema 0085 writes the marks
	eraBits   = 12
	eraStep   = 2
	eraMarks  = 4  // so many marks are asked for at once, and one more
	eraGrowth = 16 // so many times longer than the one before may a stretch be

	searchLook = 2000 // so many of the newest events tell how many of all are in the rooms
	// searchOwn: when at most one of so many of those is, the rooms are named to the index.
	searchOwn = 10
)

// eraMark is the mark of an era of a level: ids that are the same from some bit on.
func eraMark(level int, era int64) string {
	return "\ue002" + string(rune('a'+level)) + strconv.FormatUint(uint64(era), 16)
}

// Why OFFSET 0: else PostgreSQL walks the newest rows for the order's sake, where the index would find the few.
const searchPostgres = `SELECT ` + searchColumns + ` FROM (SELECT * FROM search_docs WHERE search_vector(words, id) @@ $1::text::tsquery OFFSET 0) d
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
	upTo := q.Before
	for _, floor := range []int64{0, historyBase} {
		var last, seen, here int64
		err := db.row(ctx, `SELECT COALESCE(MAX(id), $2), COUNT(*), COUNT(*) FILTER (WHERE room = ANY($4))
			FROM (SELECT id, room FROM search_docs WHERE id < $1 AND id >= $2 ORDER BY id DESC LIMIT $3) w`,
			[]any{upTo, floor, int64(searchLook), e.rooms}, &last, &seen, &here)
		if err != nil {
			return nil, err
		}
		if upTo = min(upTo, floor); seen == 0 {
			continue
		}
		if here*searchOwn < seen {
			e.named = slices.Collect(slices.Chunk(q.Rooms, searchRooms))
		}
		if err := e.down(ctx, last, floor); err != nil {
			return nil, err
		}
		if len(e.hits) >= q.Limit {
			break
		}
	}
	return e.hits, nil
}

// down asks from one id down to another, until enough is found. How much was found in what was looked through says how
// long the next stretch must be. Why not longer: whatever the index finds there is fetched, be it in other rooms.
func (e *eras) down(ctx context.Context, top, floor int64) error {
	before, had, want := top+1, len(e.hits), int64(1)<<eraBits
	for {
		level := levelFor(want)
		if level == eraLevels {
			return e.ask(ctx, "", floor, before)
		}
		from, marks := stretch(level, before, want, floor)
		if err := e.ask(ctx, marks, from, before); err != nil || len(e.hits) >= e.Limit || from == floor {
			return err
		}
		before = from
		found := int64(max(len(e.hits)-had, 1))
		need := (top - from) / found * int64(e.Limit-len(e.hits))
		want = min(max(need+need/4, 2*want), eraGrowth*want)
	}
}

// levelFor is the level at which a few marks hold so many ids; one beyond the last when none does.
func levelFor(ids int64) int {
	level := 0
	for level < eraLevels && ids > eraMarks<<(eraBits+eraStep*level) {
		level++
	}
	return level
}

// stretch is the condition that an id is one of some before another, and the first of them.
func stretch(level int, before, ids, floor int64) (from int64, condition string) {
	bits := eraBits + eraStep*level
	last, first := (before-1)>>bits, max(before-ids, floor)>>bits
	for era := first; era <= last; era++ {
		condition += "|'" + eraMark(level, era) + "'"
	}
	return max(first<<bits, floor), "&(" + condition[1:] + ")"
}

// ask adds what the index finds in a stretch of ids, under a further condition.
func (e *eras) ask(ctx context.Context, condition string, from, before int64) error {
	for _, part := range e.named {
		some, err := e.db.searchHits(ctx, searchPostgres, e.expression(part, "'", "|", "&")+condition, before, from, e.rooms, int64(e.Limit))
		if err != nil {
			return err
		}
		e.hits = e.newest(append(e.hits, some...))
	}
	return nil
}
