package storage

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// Sizes of the lists that eachIn asks for at once.
const (
	inListMax  = 256  // SQLite: each power of two up to it is a statement that stays prepared
	inArrayMax = 8192 // PostgreSQL
)

// eachIn runs a read for many numbers and calls fn for every row found:
//
//	db.eachIn(ctx, `SELECT nid, json FROM event_json WHERE nid IN`, nids, ``, fn)
//
// The list stands between the texts. Parameters of the texts themselves are numbered from $1 on and come last. Long
// lists are asked for in pieces, so an ORDER BY holds only within one.
func (db *DB) eachIn(ctx context.Context, before string, ids []int64, after string, fn func(*sql.Rows) error, args ...any) error {
	step := inListMax
	if db.dialect.arrays {
		step = inArrayMax
	}
	for len(ids) > 0 {
		n := min(step, len(ids))
		text, all := db.inList(before, ids[:n], after, args)
		if err := db.each(ctx, text, all, fn); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

func (db *DB) inList(before string, ids []int64, after string, args []any) (string, []any) {
	all := append(make([]any, 0, len(args)+inListMax), args...)
	if db.dialect.arrays {
		before = strings.TrimSuffix(strings.TrimSpace(before), "IN")
		return before + "= ANY($" + strconv.Itoa(len(args)+1) + ")" + after, append(all, int64Array(ids))
	}
	size := 1
	for size < len(ids) {
		size *= 2
	}
	var sb strings.Builder
	sb.WriteString(before + " (")
	for i := range size {
		sb.WriteString(comma(i) + "$" + strconv.Itoa(len(args)+i+1))
		all = append(all, ids[min(i, len(ids)-1)]) // the last one fills up the list
	}
	sb.WriteString(")" + after)
	return sb.String(), all
}

// int64Array is a bigint[] in PostgreSQL's binary form.
func int64Array(ids []int64) []byte {
	flat := make([]any, len(ids))
	for i, id := range ids {
		flat[i] = id
	}
	return appendArray(make([]byte, 0, 20+12*len(ids)), intCol, flat, 0, 1, len(ids))
}

// RoomFrom is a room and a position in it, as statements look at many rooms, each from its own place on.
type RoomFrom struct{ Room, From int64 }

// eachFrom runs a read for many rooms and calls fn for every row found. The text joins them by the name w (room, place);
// its own parameters are numbered from $1 on.
func (db *DB) eachFrom(ctx context.Context, list []RoomFrom, text string, args []any, fn func(*sql.Rows) error) error {
	for len(list) > 0 {
		n := min(inListMax, len(list))
		with, all := db.withRooms(list[:n], args)
		if err := db.each(ctx, with+text, all, fn); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

func (db *DB) withRooms(list []RoomFrom, args []any) (string, []any) {
	all := append(make([]any, 0, len(args)+2*len(list)), args...)
	if db.dialect.arrays {
		rooms, places := make([]int64, len(list)), make([]int64, len(list))
		for i, x := range list {
			rooms[i], places[i] = x.Room, x.From
		}
		n := len(args)
		return `WITH w (room, place) AS (SELECT * FROM unnest($` + strconv.Itoa(n+1) + `::bigint[], $` + strconv.Itoa(n+2) + `::bigint[])) `,
			append(all, int64Array(rooms), int64Array(places))
	}
	var sb strings.Builder
	sb.WriteString(`WITH w (room, place) AS (VALUES `)
	for size, i := 1, 0; i < size; i++ {
		for size < len(list) {
			size *= 2
		}
		x := RoomFrom{} // no room fills up the list
		if i < len(list) {
			x = list[i]
		}
		sb.WriteString(comma(i) + "($" + strconv.Itoa(len(args)+2*i+1) + ", $" + strconv.Itoa(len(args)+2*i+2) + ")")
		all = append(all, x.Room, x.From)
	}
	sb.WriteString(") ")
	return sb.String(), all
}
