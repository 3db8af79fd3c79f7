package storage

import (
	"context"

	"rempart/internal/matrix"
)

// CallGrant says who a participant of a call is.
type CallGrant struct {
	Alias, Identity string
	Room            matrix.RoomID
	User            matrix.UserID
	Device          matrix.DeviceID
	Expires         int64 // milliseconds; afterwards it may be forgotten
}

// CallGrantRow adds a grant or renews it.
type CallGrantRow struct{ CallGrant }

var callGrantsTable = newTable("call_grants", "alias:t identity:t room:t usr:t device:t expires:i", 2, "update")

func (*CallGrantRow) table() *table { return callGrantsTable }
func (r *CallGrantRow) args(dst []any) []any {
	return append(dst, r.Alias, r.Identity, string(r.Room), string(r.User), string(r.Device), r.Expires)
}

// FindCallGrant finds who a participant is, or ErrNotFound.
func (db *DB) FindCallGrant(ctx context.Context, alias, identity string) (CallGrant, error) {
	g := CallGrant{Alias: alias, Identity: identity}
	err := db.row(ctx, `SELECT room, usr, device, expires FROM call_grants WHERE alias = $1 AND identity = $2`,
		[]any{alias, identity}, &g.Room, &g.User, &g.Device, &g.Expires)
	return g, err
}

// PruneCallGrants forgets grants that ended before an instant.
func PruneCallGrants(now int64) Guard {
	return Guard{sql: `DELETE FROM call_grants WHERE expires < $1`, args: []any{now}, want: anyRows}
}
