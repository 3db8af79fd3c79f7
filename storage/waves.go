package storage

import (
	"context"
	"database/sql"
	"strings"

	"rempart/internal/matrix"
)

// Wave is a transaction under way to many servers at once.
type Wave struct {
	// ID is its transaction id, the same for all of them.
	ID     string
	Origin matrix.ServerName
	// FlightPos is how far it goes, Flight what it holds.
	FlightPos int64
	Flight    []byte
	Servers   []matrix.ServerName
}

// WaveRow adds a wave.
type WaveRow struct{ *Wave }

var wavesTable = newTable("waves", "id:t origin:t flight_pos:i flight:b servers:t", 1, "")

func (*WaveRow) table() *table { return wavesTable }
func (r *WaveRow) args(dst []any) []any {
	var sb strings.Builder
	for i, name := range r.Servers {
		if i > 0 {
			sb.WriteByte(' ')
		}
		sb.WriteString(string(name))
	}
	return append(dst, r.ID, string(r.Origin), r.FlightPos, r.Flight, sb.String())
}

// ListWaves lists all waves in the order of the stream.
func (db *DB) ListWaves(ctx context.Context) ([]*Wave, error) {
	var out []*Wave
	err := db.each(ctx, `SELECT id, origin, flight_pos, flight, servers FROM waves ORDER BY flight_pos, id`, nil, func(r *sql.Rows) error {
		w := &Wave{}
		var servers string
		err := r.Scan(&w.ID, &w.Origin, &w.FlightPos, &w.Flight, &servers)
		for name := range strings.FieldsSeq(servers) {
			w.Servers = append(w.Servers, matrix.ServerName(name))
		}
		out = append(out, w)
		return err
	})
	return out, err
}

// DeleteWave forgets a wave whose destinations are all written.
func DeleteWave(id string) Guard {
	return Guard{sql: `DELETE FROM waves WHERE id = $1`, args: []any{id}, want: anyRows}
}
