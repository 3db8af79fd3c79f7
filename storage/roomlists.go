package storage

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"slices"
)

// A list of rooms in one piece: numbers in the order of the rooms: how far a room's number is from the one before, the
// membership, its position, and that of the room's last event; for a room that the user is out of also his last event there,
// and 1 if somebody else made it. The list is right as of its position: what changed since stands in the stream.
type roomList struct {
	pos   int64
	rooms []Standing
}

// maxCatchUp is how many entries of the stream are read to bring a list up to date; beyond, it is read anew from its rows.
const maxCatchUp = 10_000

// KeepRoomList stores the list of the rooms that a user is in in one piece.
func (db *DB) KeepRoomList(ctx context.Context, user int64) error {
	pos, err := db.StreamPosition(ctx) // Why first: what changes while the rows are read is looked at again
	if err != nil {
		return err
	}
	rows, err := db.standingRows(ctx, user)
	if err != nil {
		return err
	}
	c := &Change{}
	c.Guard(Guard{sql: `INSERT INTO room_lists (usr, pos, body) VALUES ($1, $2, $3)
		ON CONFLICT (usr) DO UPDATE SET pos = excluded.pos, body = excluded.body`, args: []any{user, pos, packStandings(rows)}, want: anyRows})
	return db.Commit(ctx, c)
}

// RoomListAt is the position of a user's list in one piece; 0 when there is none.
func (db *DB) RoomListAt(ctx context.Context, user int64) (pos int64, err error) {
	err = db.row(ctx, `SELECT pos FROM room_lists WHERE usr = $1`, []any{user}, &pos)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return pos, err
}

func byRoom(a, b Standing) int { return cmp.Compare(a.Room, b.Room) }

// findRoomList reads a user's list in one piece; nil when there is none.
func (db *DB) findRoomList(ctx context.Context, user int64) (*roomList, error) {
	l, body := &roomList{}, []byte(nil)
	err := db.row(ctx, `SELECT pos, body FROM room_lists WHERE usr = $1`, []any{user}, &l.pos, &body)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	l.rooms, _ = unpackStandings(body)
	if l.rooms == nil {
		return nil, nil // empty, or written by a version that writes it otherwise
	}
	return l, nil
}

func packStandings(rows []Standing) []byte {
	slices.SortFunc(rows, byRoom)
	body, last := make([]byte, 0, 8*len(rows)), int64(0)
	for _, s := range rows {
		for _, n := range [...]int64{s.Room - last, int64(s.Membership), s.Pos, s.Last} {
			body = binary.AppendVarint(body, n)
		}
		if s.isOut() {
			body = binary.AppendVarint(binary.AppendVarint(body, s.Event), asInt(s.Removed))
		}
		last = s.Room
	}
	return body
}

// isOut reports whether the user was in the room, or asked into it, and is no longer.
func (s *Standing) isOut() bool {
	return s.Membership == MemberLeave || s.Membership == MemberBan || s.Membership == MemberNone
}

func unpackStandings(body []byte) (rows []Standing, ok bool) {
	rows = make([]Standing, 0, len(body)/7+64)
	next := func() (n int64) {
		n, size := binary.Varint(body)
		ok = ok && size > 0
		body = body[max(size, 0):]
		return n
	}
	ok = true
	for room := int64(0); len(body) > 0; {
		room += next()
		s := Standing{Room: room, Membership: Membership(next()), Pos: next(), Last: next()}
		if s.isOut() {
			s.Event, s.Removed = next(), next() != 0
		}
		if !ok {
			return nil, false
		}
		rows = append(rows, s)
	}
	return rows, true
}

// replace puts rows in the place of those of their rooms, and keeps the order.
func (l *roomList) replace(rows []Standing) {
	slices.SortFunc(rows, byRoom)
	if len(rows) > 0 {
		l.rooms = slices.DeleteFunc(l.rooms, func(s Standing) bool {
			_, changed := slices.BinarySearchFunc(rows, s, byRoom)
			return changed
		})
		l.rooms = append(l.rooms, rows...)
		slices.SortFunc(l.rooms, byRoom)
	}
}

// standingsByList is [DB.ListStandings] by the list in one piece; nil where there is none, or it is too old.
func (db *DB) standingsByList(ctx context.Context, user, known int64) ([]Standing, error) {
	l, err := db.findRoomList(ctx, user)
	if err != nil || l == nil {
		return nil, err
	}
	var head, first int64
	err = db.row(ctx, `SELECT pos, COALESCE((SELECT MIN(pos) FROM changes), pos + 1) FROM stream WHERE id = 1`, nil, &head, &first)
	if err != nil || first > l.pos+1 || l.pos < known && head-l.pos > maxCatchUp {
		return nil, err
	}
	if l.pos < known {
		if err := db.catchUp(ctx, l); err != nil {
			return nil, err
		}
	}
	rows, err := db.standingsSince(ctx, user, l.pos)
	if err != nil {
		return nil, err
	}
	l.replace(rows)
	return slices.DeleteFunc(l.rooms, func(s Standing) bool { return s.Last == 0 }), nil
}

// standingsSince lists how a user stands to the rooms where that changed behind a position. What is not to be listed has no Last.
func (db *DB) standingsSince(ctx context.Context, user, after int64) ([]Standing, error) {
	var out []Standing
	err := db.each(ctx, `SELECT m.room, m.membership, m.event, m.pos, m.forgotten, COALESCE(r.last_pos, 0), COALESCE(e.sender, -1)
		FROM memberships m LEFT JOIN rooms r ON r.nid = m.room LEFT JOIN events e ON e.nid = m.event
		WHERE m.usr = $1 AND m.room IN (SELECT c.room FROM changes c WHERE c.usr = $1 AND c.usr <> 0 AND c.pos > $2)`,
		[]any{user, after}, func(r *sql.Rows) error {
			var s Standing
			var event, forgotten, sender int64
			if err := r.Scan(&s.Room, &s.Membership, &event, &s.Pos, &forgotten, &s.Last, &sender); err != nil {
				return err
			}
			if s.isOut() {
				s.Event, s.Removed, s.Last = event, sender >= 0 && sender != user, s.Pos
				if forgotten != 0 || sender < 0 && event != 0 {
					s.Last = 0
				}
			}
			out = append(out, s)
			return nil
		})
	return out, err
}

// catchUp takes in which events came in the rooms since.
func (db *DB) catchUp(ctx context.Context, l *roomList) error {
	return db.each(ctx, `SELECT room, MAX(pos) FROM changes WHERE pos > $1 AND kind = $2 GROUP BY room`,
		[]any{l.pos, int64(KindEvent)}, func(r *sql.Rows) error {
			var room, pos int64
			if err := r.Scan(&room, &pos); err != nil {
				return err
			}
			i, ok := slices.BinarySearchFunc(l.rooms, Standing{Room: room}, byRoom)
			if ok && !l.rooms[i].isOut() {
				l.rooms[i].Last = max(l.rooms[i].Last, pos)
			}
			return nil
		})
}

// joinedByList is [DB.ListJoinedPositions] by the list in one piece; nil where there is none.
func (db *DB) joinedByList(ctx context.Context, user int64) ([]JoinedRoom, error) {
	rows, err := db.standingsByList(ctx, user, 0)
	if err != nil || rows == nil {
		return nil, err
	}
	out := make([]JoinedRoom, 0, len(rows))
	for i := range rows {
		if s := &rows[i]; s.Membership == MemberJoin {
			out = append(out, JoinedRoom{s.Room, s.Pos})
		}
	}
	return out, nil
}
