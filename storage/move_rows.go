package storage

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// list is the table's columns as they stand in a statement.
func (t movedTable) list() string {
	quoted := make([]string, len(t.columns))
	for i, c := range t.columns {
		quoted[i] = quoteName(c)
	}
	return strings.Join(quoted, ", ")
}

// carry copies the rows of a table, reads them again from the other database, and compares.
func (m *mover) carry(ctx context.Context, t movedTable) (int64, error) {
	if _, err := m.tx.ExecContext(ctx, `DELETE FROM `+quoteName(t.name)); err != nil { //nolint:gosec // the name is quoted; the rows are what a new database has from its start
		return 0, err
	}
	read := `SELECT ` + t.list() + ` FROM ` + quoteName(t.name) //nolint:gosec // the names are quoted
	written, err := m.pour(ctx, t, read)
	if err != nil {
		return 0, err
	}
	var kept rowsDigest
	rows, err := m.tx.QueryContext(ctx, read)
	if err != nil {
		return 0, err
	}
	if err := eachRow(rows, len(t.columns), func(row []any) error { return kept.add(row) }); err != nil {
		return 0, err
	}
	if kept != written {
		return 0, fmt.Errorf("what arrived is not what was sent (%d rows of %d): nothing was kept", kept.rows, written.rows)
	}
	return kept.rows, nil
}

// pour copies the rows and says what they were.
func (m *mover) pour(ctx context.Context, t movedTable, read string) (written rowsDigest, err error) {
	rows, err := m.from.QueryContext(ctx, read)
	if err != nil {
		return written, plainly(err)
	}
	defer func() { _ = rows.Close() }()
	into, err := m.tx.PrepareContext(ctx, `COPY `+quoteName(t.name)+` (`+t.list()+`) FROM STDIN`)
	if err != nil {
		return written, err
	}
	defer func() { err = errors.Join(err, into.Close()) }()
	err = eachRow(rows, len(t.columns), func(row []any) error {
		if err := written.add(row); err != nil {
			return err
		}
		_, err := into.ExecContext(ctx, row...)
		return err
	})
	if err == nil {
		_, err = into.ExecContext(ctx) // Spec: pkg.go.dev/github.com/lib/pq: a last Exec without values ends the copy
	}
	return written, plainly(err)
}

// eachRow hands over the values of each row: int64, string, []byte or nil.
func eachRow(rows *sql.Rows, columns int, fn func(row []any) error) error {
	defer func() { _ = rows.Close() }()
	row, into := make([]any, columns), make([]any, columns)
	for i := range row {
		into[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := fn(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// rowsDigest says what rows there are, in whatever order they are read: it counts them and adds up their digests.
type rowsDigest struct {
	rows int64
	sum  [4]uint64
}

func (d *rowsDigest) add(row []any) error {
	h := sha256.New()
	var head [9]byte
	for _, v := range row {
		var kind byte
		var number uint64
		var body []byte
		switch v := v.(type) {
		case nil:
		case int64:
			kind, number = 'i', uint64(v)
		case string:
			kind, number, body = 't', uint64(len(v)), []byte(v)
		case []byte:
			kind, number, body = 'b', uint64(len(v)), v
		default:
			return fmt.Errorf("a value of an unknown kind: %T", v)
		}
		head[0] = kind
		binary.BigEndian.PutUint64(head[1:], number)
		_, _ = h.Write(head[:]) // Why no error: a hash has none
		_, _ = h.Write(body)
	}
	sum := h.Sum(nil)
	d.rows++
	for i := range d.sum {
		d.sum[i] += binary.BigEndian.Uint64(sum[8*i:])
	}
	return nil
}
