package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// RoomRow adds a room.
type RoomRow struct {
	NID         int64
	RoomID      matrix.RoomID
	RoomVersion string
	Created     int64
	Kind        RoomKind
	state       *roomState // as it is at the end of the batch
}

var roomsTable = newTable("rooms", `nid:i room_id:t room_version:t created:i version:i heads:b depth:i state_seq:i notify:i
	tnotify:i last_pos:i public:i kind:t`, 1, "")

func (*RoomRow) table() *table { return roomsTable }

func (r *RoomRow) take(s *roomState) { r.state = s }

func (r *RoomRow) args(dst []any) []any {
	s := r.state
	return append(dst, r.NID, string(r.RoomID), r.RoomVersion, r.Created, s.version, encodeNIDs(s.heads), s.depth, s.stateSeq,
		s.notify, s.tnotify, s.lastPos, int64(0), string(r.Kind))
}

// RoomInfo is a room's row as it stands, with the sizes of its membership at the same moment.
type RoomInfo struct {
	NID                      int64
	RoomID                   matrix.RoomID
	RoomVersion              string
	Version, Depth, StateSeq int64
	Heads                    []int64
	Joined, Invited          int64
	LastPos                  int64
}

const roomInfoSQL = `SELECT nid, room_id, room_version, version, depth, state_seq, heads, last_pos,
	(SELECT count(*) FROM memberships m WHERE m.room = rooms.nid AND m.membership = 1),
	(SELECT count(*) FROM memberships m WHERE m.room = rooms.nid AND m.membership = 2) FROM rooms WHERE `

// GetRoom reads a room by its number; ErrNotFound when there is none.
func (db *DB) GetRoom(ctx context.Context, nid int64) (*RoomInfo, error) {
	return db.roomInfo(ctx, roomInfoSQL+`nid = $1`, nid)
}

// GetRoomByID reads a room by its id; ErrNotFound when there is none.
func (db *DB) GetRoomByID(ctx context.Context, id matrix.RoomID) (*RoomInfo, error) {
	return db.roomInfo(ctx, roomInfoSQL+`room_id = $1`, string(id))
}

func (db *DB) roomInfo(ctx context.Context, text string, arg any) (*RoomInfo, error) {
	r := &RoomInfo{}
	var heads []byte
	err := db.row(ctx, text, []any{arg}, &r.NID, &r.RoomID, &r.RoomVersion, &r.Version, &r.Depth, &r.StateSeq, &heads,
		&r.LastPos, &r.Joined, &r.Invited)
	if err != nil {
		return nil, err
	}
	r.Heads = decodeNIDs(heads)
	return r, nil
}

// IsDuplicate reports whether a Change failed because a key that it adds was taken.
func (db *DB) IsDuplicate(err error) bool { return db.isUnique(err) }

// ListPendingRedactions lists the redactions that wait for an event.
func (db *DB) ListPendingRedactions(ctx context.Context, room int64, target matrix.EventID) ([]int64, error) {
	var out []int64
	err := db.each(ctx, `SELECT redaction FROM pending_redactions WHERE room = $1 AND target = $2 ORDER BY redaction`,
		[]any{room, string(target)}, func(r *sql.Rows) error {
			var n int64
			err := r.Scan(&n)
			out = append(out, n)
			return err
		})
	return out, err
}

// ListLatestRooms lists the rooms in which events came last, the latest first: those of so many of the newest entries of the stream.
func (db *DB) ListLatestRooms(ctx context.Context, entries int) ([]int64, error) {
	var out []int64
	seen := map[int64]bool{}
	err := db.each(ctx, `SELECT room FROM changes WHERE kind = $1 ORDER BY pos DESC LIMIT $2`, []any{int64(KindEvent), int64(entries)},
		func(r *sql.Rows) error {
			var room int64
			err := r.Scan(&room)
			if !seen[room] {
				seen[room] = true
				out = append(out, room)
			}
			return err
		})
	return out, err
}
