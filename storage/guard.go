package storage

import (
	"context"
	"strings"
)

// reads reports whether the guard only looks.
func (g *Guard) reads() bool { return strings.HasPrefix(g.sql, "SELECT") }

// returns reports whether the statement yields rows, which are then what is counted.
// Why: a driver's count of affected rows says nothing about a SELECT.
func (g *Guard) returns() bool {
	return g.scan != nil || g.reads() || strings.Contains(g.sql, "RETURNING")
}

func (g *Guard) holds(n int) bool {
	return g.want == anyRows || n == g.want || g.want == someRows && n > 0
}

// needSavepoint reports whether a guard may fail after an earlier one has written something.
func needSavepoint(guards []Guard) bool {
	written := false
	for i := range guards {
		if written && guards[i].want != anyRows {
			return true
		}
		written = written || !guards[i].reads()
	}
	return false
}

// runGuards reports whether all guards of the Change hold; if not, nothing that they did stays.
func (w *writer) runGuards(ctx context.Context, ch *Change) (bool, error) {
	if len(ch.Guards) == 0 {
		return true, nil
	}
	if w.touches(ch.Guards) {
		if err := w.flush(ctx, false); err != nil {
			return false, err
		}
	}
	if !needSavepoint(ch.Guards) {
		failed, n, err := w.firstFailing(ctx, ch)
		if failed != nil && n > 0 && !failed.reads() {
			return false, ch.err // what it wrote can only go with the transaction
		}
		return failed == nil, err
	}
	if err := w.c.control(ctx, "SAVEPOINT guards"); err != nil {
		return false, err
	}
	failed, _, err := w.firstFailing(ctx, ch)
	if err != nil {
		return false, err
	}
	if failed != nil {
		if err := w.c.control(ctx, "ROLLBACK TO SAVEPOINT guards"); err != nil {
			return false, err
		}
	}
	return failed == nil, w.c.control(ctx, "RELEASE SAVEPOINT guards")
}

// firstFailing runs the guards up to the first that does not hold; its error is then the Change's.
func (w *writer) firstFailing(ctx context.Context, ch *Change) (failed *Guard, n int, err error) {
	for i := range ch.Guards {
		g := &ch.Guards[i]
		n, err := w.runGuard(ctx, g)
		if err != nil {
			return nil, n, err
		}
		if g.holds(n) {
			continue
		}
		if ch.err = g.fail; ch.err == nil {
			ch.err = ErrGuard
		}
		return g, n, nil
	}
	return nil, 0, nil
}

func (w *writer) runGuard(ctx context.Context, g *Guard) (int, error) {
	if g.begin != nil {
		g.begin()
	}
	if g.returns() {
		return w.c.query(ctx, g.sql, g.args, g.scan)
	}
	return w.c.exec(ctx, g.sql, g.args...)
}

// touches reports whether a guard speaks of a table that has rows waiting: it must see those of the Changes before it.
func (w *writer) touches(guards []Guard) bool {
	for _, p := range w.active {
		for i := range guards {
			if strings.Contains(guards[i].sql, p.t.name) {
				return true
			}
		}
	}
	return false
}
