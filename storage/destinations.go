package storage

import (
	"context"
	"database/sql"
	"errors"

	"rempart/internal/matrix"
)

// Destination is how far another server has been told what one of ours says.
type Destination struct {
	Origin, Server matrix.ServerName
	// Pos is how far everything has arrived.
	Pos int64
	// Txn is the transaction under way, "" when there is none; FlightPos is how far it goes, Flight what it holds.
	Txn       string
	FlightPos int64
	Flight    []byte
	// Since is when the server began to fail, 0 while it does not; Retry when it is tried next; Reason why it failed.
	Since, Retry int64
	Reason       string
	// Success is when it last took something.
	Success int64
}

// DestinationRow sets a destination.
type DestinationRow struct{ Destination }

var destinationsTable = newTable("destinations",
	"origin:t server:t pos:i txn:t flight_pos:i flight:b since:i retry:i success:i reason:t", 2, "update")

func (*DestinationRow) table() *table { return destinationsTable }
func (r *DestinationRow) args(dst []any) []any {
	flight := r.Flight
	if flight == nil {
		flight = []byte{}
	}
	return append(dst, string(r.Origin), string(r.Server), r.Pos, r.Txn, r.FlightPos, flight, r.Since, r.Retry, r.Success, r.Reason)
}

// ListDestinations lists all destinations.
func (db *DB) ListDestinations(ctx context.Context) ([]Destination, error) {
	var out []Destination
	err := db.each(ctx, `SELECT origin, server, pos, txn, flight_pos, flight, since, retry, success, reason FROM destinations
		ORDER BY server, origin`, nil, func(r *sql.Rows) error {
		var d Destination
		err := r.Scan(&d.Origin, &d.Server, &d.Pos, &d.Txn, &d.FlightPos, &d.Flight, &d.Since, &d.Retry, &d.Success, &d.Reason)
		out = append(out, d)
		return err
	})
	return out, err
}

// ErrLeaseLost says that another node does this work now.
var ErrLeaseLost = errors.New("storage: another node has taken over")

// TakeLease takes work for this node until an instant, or renews it; ErrLeaseLost while another node has it.
func (db *DB) TakeLease(name string, now, until int64) Guard {
	return Guard{sql: `INSERT INTO leases (name, holder, until) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE leases.holder = excluded.holder OR leases.until < $4`,
		args: []any{name, db.node, until, now}, want: 1, fail: ErrLeaseLost}
}

// HoldsLease is the guard for writes that only the holder of a lease may make.
func (db *DB) HoldsLease(name string) Guard {
	return Guard{sql: `UPDATE leases SET holder = holder WHERE name = $1 AND holder = $2`, args: []any{name, db.node}, want: 1, fail: ErrLeaseLost}
}

// ReleaseLease gives work back, for another node to take at once.
func (db *DB) ReleaseLease(name string) Guard {
	return Guard{sql: `UPDATE leases SET until = 0 WHERE name = $1 AND holder = $2`, args: []any{name, db.node}, want: anyRows}
}

// Alone reports whether no other process can use the database.
func (db *DB) Alone() bool { return !db.dialect.arrays }
