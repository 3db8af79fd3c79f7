package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// query runs a read with a statement that stays prepared.
// Why without cancellation: a context that may end starts a watching goroutine for each statement, which costs more
// than the reads that it would cut short; statement_timeout bounds them on PostgreSQL.
func (db *DB) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st, err := db.prepared(ctx, text)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(context.WithoutCancel(ctx), clean(args)...)
}

// row reads a single row into dest; ErrNotFound when there is none.
func (db *DB) row(ctx context.Context, text string, args []any, dest ...any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	st, err := db.prepared(ctx, text)
	if err != nil {
		return err
	}
	err = st.QueryRowContext(context.WithoutCancel(ctx), clean(args)...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// each runs a read and calls fn for every row. fn must not write to the database or wait: it holds a reader.
func (db *DB) each(ctx context.Context, text string, args []any, fn func(*sql.Rows) error) error {
	rows, err := db.query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// prepared returns a statement of the read pool. There are as many as texts in the program, so none is ever closed.
func (db *DB) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if st, ok := db.stmts.Load(text); ok {
		return st.(*sql.Stmt), nil
	}
	st, err := db.read.PrepareContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("prepare %.60q: %w", text, err)
	}
	if old, loaded := db.stmts.LoadOrStore(text, st); loaded {
		_ = st.Close()
		return old.(*sql.Stmt), nil
	}
	return st, nil
}
