package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
)

// session is the one connection that writes, with its prepared statements. It is used by the committer only.
type session struct {
	db    *DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	order []string // texts of stmts, oldest first
}

// maxStatements bounds the statements that stay prepared. On PostgreSQL their texts vary with the tables of a batch.
const maxStatements = 512

func newSession(db *DB) *session { return &session{db: db} }

// reconnect replaces the connection and forgets its statements.
func (s *session) reconnect(ctx context.Context) error {
	s.discard()
	conn, err := s.db.write.Conn(ctx)
	if err != nil {
		return err
	}
	s.conn, s.stmts, s.order = conn, map[string]*sql.Stmt{}, nil
	return nil
}

// discard closes the connection for good. Why ErrBadConn: a plain Close hands it to the next user of the pool, with
// whatever transaction may still be open on it.
func (s *session) discard() {
	if s.conn == nil {
		return
	}
	for _, st := range s.stmts { // Why: database/sql leaves statements of a Conn open, and SQLite then the file and its log
		_ = st.Close()
	}
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = s.conn.Close()
}

// prepared returns a statement that stays prepared.
func (s *session) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if st, ok := s.stmts[text]; ok {
		return st, nil
	}
	if len(s.order) >= maxStatements {
		_ = s.stmts[s.order[0]].Close()
		delete(s.stmts, s.order[0])
		s.order = s.order[1:]
	}
	st, err := s.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("prepare %.80q: %w", text, err)
	}
	s.stmts[text] = st
	s.order = append(s.order, text)
	return st, nil
}

// control runs BEGIN, COMMIT, ROLLBACK and savepoints.
// Why not prepared on PostgreSQL: as a simple query they cost one round trip from the first time on.
func (s *session) control(ctx context.Context, text string) error {
	if s.db.dialect.arrays {
		_, err := s.conn.ExecContext(ctx, text)
		return err
	}
	_, err := s.exec(ctx, text)
	return err
}

// exec runs a statement without result and counts the rows that it affected.
func (s *session) exec(ctx context.Context, text string, args ...any) (int, error) {
	st, err := s.prepared(ctx, text)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, clean(args)...)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// query runs a statement and counts the rows that it returned.
func (s *session) query(ctx context.Context, text string, args []any, scan func(*sql.Rows) error) (int, error) {
	st, err := s.prepared(ctx, text)
	if err != nil {
		return 0, err
	}
	rows, err := st.QueryContext(ctx, clean(args)...)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	n := 0
	for rows.Next() {
		n++
		if scan == nil {
			continue
		}
		if err := scan(rows); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}
