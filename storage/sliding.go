package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// SlidingConnection names a connection of sliding sync: an id of the client's choice, within a device.
type SlidingConnection struct {
	User, Device int64
	Conn         string
}

// BeginSliding stores a connection that begins, in place of the one of that name before. keep bounds how many a device may
// have: those used last stay.
func BeginSliding(c SlidingConnection, life, now, keep int64) []Guard {
	return []Guard{
		{sql: `INSERT INTO sliding_connections (usr, device, conn, life, body, used) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (usr, device, conn) DO UPDATE SET life = excluded.life, body = excluded.body, used = excluded.used`,
			args: []any{c.User, c.Device, c.Conn, life, []byte{}, now}, want: 1},
		{sql: `DELETE FROM sliding_connections WHERE usr = $1 AND device = $2 AND conn <> $3 AND conn NOT IN (
			SELECT s.conn FROM sliding_connections s WHERE s.usr = $1 AND s.device = $2 AND s.conn <> $3
			ORDER BY s.used DESC, s.conn LIMIT $4)`,
			args: []any{c.User, c.Device, c.Conn, keep - 1}, want: anyRows},
	}
}

// SaveSliding stores what a connection was sent, unless it has ended meanwhile.
func SaveSliding(c SlidingConnection, life int64, body []byte, now int64) Guard {
	return Guard{sql: `UPDATE sliding_connections SET body = $5, used = $6 WHERE usr = $1 AND device = $2 AND conn = $3 AND life = $4`,
		args: []any{c.User, c.Device, c.Conn, life, body, now}, want: anyRows}
}

// ExpireSliding forgets the connections that were last used before a time, in bites.
func (db *DB) ExpireSliding(ctx context.Context, before int64) error {
	return db.eatAll(ctx, before-1, bite{table: "sliding_connections", column: "used"})
}

// FindSliding reads a connection; ErrNotFound when there is none.
func (db *DB) FindSliding(ctx context.Context, c SlidingConnection) (life int64, body []byte, err error) {
	err = db.row(ctx, `SELECT life, body FROM sliding_connections WHERE usr = $1 AND device = $2 AND conn = $3`,
		[]any{c.User, c.Device, c.Conn}, &life, &body)
	return life, body, err
}

// Standing is how a user stands to a room that a list of rooms may show.
type Standing struct {
	Room       int64
	Membership Membership
	// Event is the membership event of a room that the user is out of; 0 for all others, and where no event says that he is out.
	Event int64
	// Pos is the position of the membership, Last that of the room's last event.
	Pos, Last int64
	// Removed says that somebody else ended his membership.
	Removed bool
}

// ListStandings lists the rooms that a user is in, asked into, knocks at, or was in and has not forgotten. Of events behind
// known, Last may not tell: the caller knows of them.
func (db *DB) ListStandings(ctx context.Context, user, known int64) ([]Standing, error) {
	if rows, err := db.standingsByList(ctx, user, known); rows != nil || err != nil {
		return rows, err
	}
	return db.standingRows(ctx, user)
}

// standingRows is [DB.ListStandings] by the rows of all rooms.
func (db *DB) standingRows(ctx context.Context, user int64) ([]Standing, error) {
	// Why one text: of ten thousand rows, handing over each costs several times what finding it does.
	var all sql.NullString
	err := db.row(ctx, `SELECT string_agg(CAST(m.room AS TEXT) || ' ' || CAST(m.membership AS TEXT) || ' ' || CAST(m.pos AS TEXT) || ' ' ||
		CAST(r.last_pos AS TEXT) || ' ', '') FROM memberships m JOIN rooms r ON r.nid = m.room
		WHERE m.usr = $1 AND m.membership IN ($2, $3, $4)`,
		[]any{user, int64(MemberJoin), int64(MemberInvite), int64(MemberKnock)}, &all)
	if err != nil {
		return nil, err
	}
	n := packedNumbers(all.String)
	out := make([]Standing, 0, len(n)/4+8)
	for ; len(n) >= 4; n = n[4:] {
		out = append(out, Standing{Room: n[0], Membership: Membership(n[1]), Pos: n[2], Last: n[3]})
	}
	return out, db.each(ctx, `SELECT m.room, m.membership, m.event, m.pos, CASE WHEN COALESCE(e.sender, m.usr) = m.usr THEN 0 ELSE 1 END
		FROM memberships m LEFT JOIN events e ON e.nid = m.event
		WHERE m.usr = $1 AND m.membership IN ($2, $3, $4) AND m.forgotten = 0 AND (m.event = 0 OR e.nid IS NOT NULL)`,
		[]any{user, int64(MemberLeave), int64(MemberBan), int64(MemberNone)}, func(r *sql.Rows) error {
			var s Standing
			var removed int64
			err := r.Scan(&s.Room, &s.Membership, &s.Event, &s.Pos, &removed)
			s.Removed, s.Last = removed != 0, s.Pos
			out = append(out, s)
			return err
		})
}

// packedNumbers reads positive numbers, each with a space behind it.
func packedNumbers(s string) []int64 {
	out := make([]int64, 0, len(s)/4)
	n := int64(0)
	for i := range len(s) {
		if s[i] == ' ' {
			out, n = append(out, n), 0
			continue
		}
		n = n*10 + int64(s[i]-'0')
	}
	return out
}

// ListMoves finds in which of a user's rooms receipts, state or his own data came behind a position, and the last of them.
func (db *DB) ListMoves(ctx context.Context, user, after int64) (map[int64]int64, error) {
	out := map[int64]int64{}
	for _, text := range [...]string{
		`SELECT r.room, MAX(r.pos) FROM memberships m JOIN receipts r ON r.room = m.room
			WHERE m.usr = $1 AND m.membership = $3 AND r.pos > 0 AND r.pos > $2 GROUP BY r.room`,
		`SELECT s.room, MAX(s.pos) FROM memberships m JOIN state_rows s ON s.room = m.room
			WHERE m.usr = $1 AND m.membership = $3 AND s.branch = 0 AND s.pos > $2 GROUP BY s.room`,
		`SELECT d.room, MAX(d.pos) FROM memberships m JOIN account_data d ON d.usr = m.usr AND d.room = m.room
			WHERE m.usr = $1 AND m.membership = $3 AND d.pos > $2 GROUP BY d.room`,
	} {
		err := db.each(ctx, text, []any{user, after, int64(MemberJoin)}, func(r *sql.Rows) error {
			var room, pos int64
			err := r.Scan(&room, &pos)
			out[room] = max(out[room], pos)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ListKeyHolders finds, of some rooms, the event that now holds a key of their state.
func (db *DB) ListKeyHolders(ctx context.Context, rooms []int64, key int64) (map[int64]int64, error) {
	out, seqs := map[int64]int64{}, map[int64]int64{}
	err := db.eachIn(ctx, `SELECT room, seq, event FROM state_rows WHERE branch = 0 AND skey = $1 AND room IN`, rooms, ``,
		func(r *sql.Rows) error {
			var room, seq, event int64
			err := r.Scan(&room, &seq, &event)
			if seq >= seqs[room] {
				seqs[room], out[room] = seq, event
			}
			return err
		}, key)
	return out, err
}

// FindRoomNID is the number of a room, or ErrNotFound.
func (db *DB) FindRoomNID(ctx context.Context, id matrix.RoomID) (int64, error) {
	var nid int64
	err := db.row(ctx, `SELECT nid FROM rooms WHERE room_id = $1`, []any{string(id)}, &nid)
	return nid, err
}

// ListAccountDataOfType lists a user's data of one type in all rooms.
func (db *DB) ListAccountDataOfType(ctx context.Context, user int64, typ string) ([]AccountData, error) {
	return db.accountData(ctx, `SELECT room, type, content, pos FROM account_data WHERE usr = $1 AND type = $2`, user, typ)
}

// ListReceiptsBehind lists the receipts of a room that point to events from a position on.
func (db *DB) ListReceiptsBehind(ctx context.Context, room, from int64) ([]ReceiptRow, error) {
	// Why both: a receipt comes after its event, so that the index leads past those that were sent long ago.
	return db.receipts(ctx, `SELECT `+receiptColumns+` FROM receipts WHERE room = $1 AND event_pos >= $2 AND pos > $2 AND pos > 0
		ORDER BY pos`, room, from)
}

// ListReceiptsBehindIn lists for each of some rooms what ListReceiptsBehind does for one.
func (db *DB) ListReceiptsBehindIn(ctx context.Context, list []RoomFrom) (map[int64][]ReceiptRow, error) {
	out := map[int64][]ReceiptRow{}
	err := db.eachFrom(ctx, list, `SELECT r.room, r.usr, r.type, r.thread, r.event_id, r.event_pos, r.notify, r.tnotify, r.ts, r.pos
		FROM w JOIN receipts r ON r.room = w.room AND r.event_pos >= w.place AND r.pos > w.place AND r.pos > 0 ORDER BY r.pos`, nil,
		func(rows *sql.Rows) error {
			var r ReceiptRow
			err := r.scan(rows)
			out[r.Room] = append(out[r.Room], r)
			return err
		})
	return out, err
}
