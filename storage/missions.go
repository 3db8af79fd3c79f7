package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// Mission is a permission to be abroad.
type Mission struct {
	NID, Tenant int64
	User        matrix.UserID
	Country     string
	// Since and Until bound it, in milliseconds; Until is the first instant at which it is over.
	Since, Until int64
	// Approver is who gave it.
	Approver, Note string
}

// MissionRow gives a mission, or sets its end.
type MissionRow struct{ Mission }

var missionsTable = newTable("missions", "nid:i tenant:i user_id:t country:t since:i until:i approver:t note:t", 1,
	"ON CONFLICT (nid) DO UPDATE SET until = excluded.until")

func (*MissionRow) table() *table { return missionsTable }
func (r *MissionRow) args(dst []any) []any {
	return append(dst, r.NID, r.Tenant, string(r.User), r.Country, r.Since, r.Until, r.Approver, r.Note)
}

// ListMissions lists the missions of a tenant's people, or of one of them unless user is "", the newest first.
func (db *DB) ListMissions(ctx context.Context, tenant int64, user matrix.UserID) ([]Mission, error) {
	return db.missions(ctx, `WHERE tenant = $1 AND ($2 = '' OR user_id = $2) ORDER BY nid DESC`, tenant, string(user))
}

// FindMission finds a mission of a tenant by its number; ErrNotFound.
func (db *DB) FindMission(ctx context.Context, tenant, nid int64) (Mission, error) {
	list, err := db.missions(ctx, `WHERE tenant = $1 AND nid = $2`, tenant, nid)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Mission{}, err
	}
	return list[0], nil
}

// DeleteMissions forgets somebody's missions.
func DeleteMissions(user matrix.UserID) Guard {
	return Guard{sql: `DELETE FROM missions WHERE user_id = $1`, args: []any{string(user)}, want: anyRows}
}

// FindMissionAt finds the mission under which somebody is in a country at an instant; ErrNotFound when he has none.
func (db *DB) FindMissionAt(ctx context.Context, user matrix.UserID, country string, at int64) (nid int64, err error) {
	err = db.row(ctx, `SELECT nid FROM missions WHERE user_id = $1 AND country = $2 AND since <= $3 AND until > $3 ORDER BY nid DESC LIMIT 1`,
		[]any{string(user), country, at}, &nid)
	return nid, err
}

func (db *DB) missions(ctx context.Context, where string, args ...any) ([]Mission, error) {
	var out []Mission
	err := db.each(ctx, `SELECT nid, tenant, user_id, country, since, until, approver, note FROM missions `+where, args, func(r *sql.Rows) error {
		var m Mission
		err := r.Scan(&m.NID, &m.Tenant, &m.User, &m.Country, &m.Since, &m.Until, &m.Approver, &m.Note)
		out = append(out, m)
		return err
	})
	return out, err
}
