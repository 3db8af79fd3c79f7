package storage

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"
	"sync/atomic"
)

// faults makes commits fail: the answer is lost before or after the commit took effect.
type faults struct {
	before, after atomic.Int64 // how many commits are still to fail
	deleted       atomic.Int64 // the most rows that a statement has deleted
}

var errFault = errors.New("injected fault")

func (f *faults) wrap(c driver.Connector) driver.Connector { return faultyConnector{c, f} }

func take(n *atomic.Int64) bool {
	for {
		left := n.Load()
		if left <= 0 || n.CompareAndSwap(left, left-1) {
			return left > 0
		}
	}
}

type faultyConnector struct {
	driver.Connector
	f *faults
}

func (c faultyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &faultyConn{conn.(fullConn), c.f}, nil
}

type fullConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.ConnBeginTx
}

type faultyConn struct {
	fullConn
	f *faults
}

// around runs a statement that may be a COMMIT.
func (c *faultyConn) around(text string, run func() (driver.Result, error)) (driver.Result, error) {
	if text != "COMMIT" {
		return run()
	}
	if take(&c.f.before) {
		return nil, errFault
	}
	res, err := run()
	if take(&c.f.after) {
		return nil, errFault
	}
	return res, err
}

func (c *faultyConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	return c.around(text, func() (driver.Result, error) { return c.fullConn.ExecContext(ctx, text, args) })
}

func (c *faultyConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	st, err := c.fullConn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return &faultyStmt{st.(fullStmt), c, text}, nil
}

type fullStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type faultyStmt struct {
	fullStmt
	c    *faultyConn
	text string
}

func (s *faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	res, err := s.c.around(s.text, func() (driver.Result, error) { return s.fullStmt.ExecContext(ctx, args) })
	if err == nil && strings.HasPrefix(s.text, "DELETE") {
		if n, _ := res.RowsAffected(); n > s.c.f.deleted.Load() {
			s.c.f.deleted.Store(n)
		}
	}
	return res, err
}
