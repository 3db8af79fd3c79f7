package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// ServerPlace is where another server was found when it was dialled last.
type ServerPlace struct {
	Server  matrix.ServerName
	Address string
	// Admitted is whether the policy of then admitted it.
	Admitted bool
}

// ServerPlaceRow keeps where a server was found.
type ServerPlaceRow struct{ ServerPlace }

var serverPlacesTable = newTable("server_places", "server:t address:t admitted:i", 1, "update")

func (*ServerPlaceRow) table() *table { return serverPlacesTable }
func (r *ServerPlaceRow) args(dst []any) []any {
	admitted := int64(0)
	if r.Admitted {
		admitted = 1
	}
	return append(dst, string(r.Server), r.Address, admitted)
}

// ListServerPlaces lists at most so many servers with where they were found.
func (db *DB) ListServerPlaces(ctx context.Context, limit int) ([]ServerPlace, error) {
	var out []ServerPlace
	err := db.each(ctx, `SELECT server, address, admitted FROM server_places ORDER BY server LIMIT $1`, []any{int64(limit)}, func(r *sql.Rows) error {
		var p ServerPlace
		var admitted int64
		err := r.Scan(&p.Server, &p.Address, &admitted)
		p.Admitted = admitted == 1
		out = append(out, p)
		return err
	})
	return out, err
}
