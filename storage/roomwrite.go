package storage

import (
	"context"
	"database/sql"
	"encoding/binary"
	"slices"

	"github.com/lib/pq"
)

// roomState is a room's row as the transaction sees it, moved on by each Change of the batch.
type roomState struct {
	version, depth, stateSeq, notify, tnotify, lastPos int64
	heads                                              []int64
	fresh, moved                                       bool // added by this batch; changed by it
}

const roomColumns = `nid, version, heads, depth, state_seq, notify, tnotify, last_pos`

const updateRoomSQL = `UPDATE rooms SET version = $2, heads = $3, depth = $4, state_seq = $5, notify = $6, tnotify = $7,
	last_pos = $8 WHERE nid = $1`

const updateRoomsArraysSQL = `UPDATE rooms SET version = v.version, heads = v.heads, depth = v.depth, state_seq = v.state_seq,
	notify = v.notify, tnotify = v.tnotify, last_pos = v.last_pos
	FROM unnest($%d::bigint[], $%d::bigint[], $%d::bytea[], $%d::bigint[], $%d::bigint[], $%d::bigint[], $%d::bigint[], $%d::bigint[])
	AS v(nid, version, heads, depth, state_seq, notify, tnotify, last_pos) WHERE rooms.nid = v.nid`

// loadRooms reads the rows of all rooms that the batch moves; the stream's lock keeps them still.
func (w *writer) loadRooms(ctx context.Context) error {
	w.rooms = map[int64]*roomState{}
	var nids pq.Int64Array
	for _, ch := range w.batch {
		for i := range ch.Rooms {
			if r := &ch.Rooms[i]; r.NewRoom == nil && !slices.Contains(nids, r.Room) {
				nids = append(nids, r.Room)
			}
		}
	}
	scan := func(r *sql.Rows) error {
		var nid int64
		var heads []byte
		s := &roomState{}
		err := r.Scan(&nid, &s.version, &heads, &s.depth, &s.stateSeq, &s.notify, &s.tnotify, &s.lastPos)
		s.heads = decodeNIDs(heads)
		w.rooms[nid] = s
		return err
	}
	if len(nids) == 0 {
		return nil
	}
	if w.c.db.dialect.arrays {
		_, err := w.c.query(ctx, `SELECT `+roomColumns+` FROM rooms WHERE nid = ANY($1)`, []any{nids}, scan)
		return err
	}
	for _, nid := range nids {
		if _, err := w.c.query(ctx, `SELECT `+roomColumns+` FROM rooms WHERE nid = $1`, []any{nid}, scan); err != nil {
			return err
		}
	}
	return nil
}

// checkRooms says whether the rooms are still what the Change was built on.
func (w *writer) checkRooms(ctx context.Context, ch *Change) error {
	for i := range ch.Rooms {
		r := &ch.Rooms[i]
		if r.After != nil && r.After.err != nil {
			return ErrStale
		}
		if r.NewRoom != nil {
			continue
		}
		now := w.rooms[r.Room]
		if now == nil {
			return ErrNotFound
		}
		if now.version == r.BaseVersion {
			continue
		}
		if r.Exact || r.StateSeq != 0 || now.stateSeq != r.BaseStateSeq {
			return ErrStale
		}
		if err := w.checkTwins(ctx, r.Events); err != nil {
			return err
		}
	}
	return nil
}

// checkTwins refuses events that another node has stored since they were built: the same words of the same user in the
// same millisecond on the same heads are the same event. Built again, on the new heads, it is another one.
func (w *writer) checkTwins(ctx context.Context, events []*EventRow) error {
	for _, e := range events {
		n, err := w.c.query(ctx, `SELECT 1 FROM events WHERE id_hash = $1`, []any{e.IDHash}, func(*sql.Rows) error { return nil })
		if err != nil {
			return err
		}
		if n > 0 {
			return ErrStale
		}
	}
	return nil
}

// applyRooms moves the rooms and gives events their running counts.
func (w *writer) applyRooms(ch *Change) {
	for i := range ch.Rooms {
		r := &ch.Rooms[i]
		now := w.rooms[r.Room]
		if r.NewRoom != nil {
			now = &roomState{fresh: true}
			w.rooms[r.Room] = now
			r.NewRoom.take(now)
		}
		now.moved = !now.fresh
		now.version++
		now.heads = slices.DeleteFunc(now.heads, func(h int64) bool { return slices.Contains(r.Remove, h) })
		now.heads = append(now.heads, r.Add...)
		now.depth = max(now.depth, r.Depth)
		if r.StateSeq != 0 {
			now.stateSeq = r.StateSeq
		}
		for _, e := range r.Events {
			if e.Flags&FlagNotify != 0 {
				now.notify++
				if e.Thread != 0 {
					now.tnotify++
				}
			}
			e.Notify, e.TNotify = now.notify, now.tnotify
			now.lastPos = max(now.lastPos, e.Pos)
		}
	}
}

// movedRooms gives the columns of all moved rooms as arrays; nil when there are none.
func (w *writer) movedRooms() []any {
	var ints [7]pq.Int64Array
	var heads pq.ByteaArray
	for nid, r := range w.rooms {
		if !r.moved {
			continue
		}
		for i, v := range []int64{nid, r.version, r.depth, r.stateSeq, r.notify, r.tnotify, r.lastPos} {
			ints[i] = append(ints[i], v)
		}
		heads = append(heads, encodeNIDs(r.heads))
	}
	if len(heads) == 0 {
		return nil
	}
	return []any{ints[0], ints[1], heads, ints[2], ints[3], ints[4], ints[5], ints[6]}
}

// encodeNIDs is how lists of event numbers are stored: 8 bytes each, big endian.
func encodeNIDs(nids []int64) []byte {
	b := make([]byte, 0, 8*len(nids))
	for _, n := range nids {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

func decodeNIDs(b []byte) []int64 {
	nids := make([]int64, 0, len(b)/8)
	for ; len(b) >= 8; b = b[8:] {
		nids = append(nids, int64(binary.BigEndian.Uint64(b)))
	}
	return nids
}
