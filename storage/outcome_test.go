package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"rempart/internal/testkit/pgtest"
)

// unknownOutcome commits Changes while commits fail and checks that each is there once and published once.
func unknownOutcome(t *testing.T, r *rig, fail func()) {
	t.Helper()
	r.commit(t, guarded(live(row(1, "first")), onceWritten(fail)))
	for i := range int64(3) {
		errs := r.together(t, guarded(live(row(10+i, "a")), onceWritten(fail)), live(row(20+i, "b")))
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
	}
	if got := r.texts(t); len(got) != 7 {
		t.Errorf("rows %v", got)
	}
	for i, l := range r.published() {
		if l.Pos != int64(i+1) {
			t.Fatalf("published %v: not every position once", r.published())
		}
	}
	if len(r.published()) != 7 || r.Position() != 7 {
		t.Errorf("%d published, at %d; want 7", len(r.published()), r.Position())
	}
}

func TestCommitsWhoseAnswerIsLost(t *testing.T) {
	for _, taken := range []bool{false, true} {
		t.Run(fmt.Sprintf("took effect %t", taken), func(t *testing.T) {
			eachURL(t, func(t *testing.T, url string) {
				f := &faults{}
				r := openRig(t, Options{URL: url, wrap: f.wrap})
				unknownOutcome(t, r, func() {
					if taken {
						f.after.Store(1)
					} else {
						f.before.Store(1)
					}
				})
			})
		})
	}
}

func TestConnectionsCutAtCommit(t *testing.T) {
	for _, taken := range []bool{false, true} {
		t.Run(fmt.Sprintf("took effect %t", taken), func(t *testing.T) {
			p, through := newProxy(t, postgresOnly(t))
			r := openRig(t, Options{URL: through})
			unknownOutcome(t, r, func() {
				if taken {
					p.cutAfter.Store(1)
				} else {
					p.cutBefore.Store(1)
				}
			})
		})
	}
}

func TestManyFailuresInARow(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		f := &faults{}
		r := openRig(t, Options{URL: url, wrap: f.wrap})
		unknownOutcome(t, r, func() { f.before.Store(1); f.after.Store(1) })
	})
}

func TestADeadConnectionIsReplaced(t *testing.T) {
	r := openRig(t, Options{URL: postgresOnly(t)})
	r.commit(t, live(row(1, "a")))
	if _, err := r.read.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	r.commit(t, live(row(2, "b")))
	wantTexts(t, r.texts(t), map[int64]string{1: "a", 2: "b"})
}

// postgresOnly gives an empty PostgreSQL database, or skips where tests were asked to do without.
func postgresOnly(t *testing.T) (url string) {
	t.Helper()
	if !pgtest.Wanted() {
		t.Skip("REMPART_TEST_ENGINES=sqlite")
	}
	return pgtest.New(t)
}

// TestANodeThatHangsIsLeftBehind holds the stream's row in a session that does nothing more, as a stopped process
// does. The server ends it by idle_in_transaction_session_timeout, before the other's statement_timeout.
func TestANodeThatHangsIsLeftBehind(t *testing.T) {
	url := postgresOnly(t)
	r := openRig(t, Options{URL: url})
	dsn, err := postgresSession(url)
	if err != nil {
		t.Fatal(err)
	}
	hung, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hung.Close() }()
	tx, err := hung.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `UPDATE stream SET pos = pos + 5 WHERE id = 1`); err != nil {
		t.Fatal(err)
	}
	r.commit(t, live(row(1, "a")))
	if err := tx.Commit(); err == nil {
		t.Error("the session that hung was not ended")
	}
	if r.Position() != 1 {
		t.Errorf("position %d: what the hung session took was kept", r.Position())
	}
}

// TestANodeThatHungGoesOn stops a node in the middle of its transaction until another has committed, which that one
// can only after the server ended the first one's session.
func TestANodeThatHungGoesOn(t *testing.T) {
	url := postgresOnly(t)
	hung, other := openRig(t, Options{URL: url}), openRig(t, Options{URL: url})
	inside, goOn := make(chan struct{}), make(chan struct{})
	c := guarded(live(row(1, "hung")), onceWritten(func() { close(inside); <-goOn }))
	submit(t, hung, c)
	<-inside
	other.commit(t, live(row(2, "other")))
	close(goOn)
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, hung.texts(t), map[int64]string{1: "hung", 2: "other"})
	for _, r := range []*rig{hung, other} {
		if got := r.await(t, 2); got[0].Pos != 1 || got[1].Pos != 2 || len(got) != 2 {
			t.Errorf("published %v", got)
		}
	}
	if c.LastPos() != 2 {
		t.Errorf("the change that was repeated is at %d, want 2", c.LastPos())
	}
}

func TestARestoredDatabaseIsRefused(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		if err := r.beginAnewForTest(); err != nil {
			t.Fatal(err)
		}
		errs := r.oneByOne(t, live(row(1, "a")), live(row(2, "b")))
		for _, err := range errs {
			if !errors.Is(err, ErrRestored) {
				t.Errorf("outcome %v, want ErrRestored", err)
			}
		}
		if len(r.texts(t)) != 0 {
			t.Error("something was written")
		}
	})
}

// beginAnewForTest moves the epoch as a restore would, past the committer.
func (r *rig) beginAnewForTest() error {
	other := &DB{opts: Options{URL: r.opts.URL, Readers: 1}}
	if err := other.connect(context.Background()); err != nil {
		return err
	}
	_, err := other.write.ExecContext(context.Background(), `UPDATE stream SET epoch = epoch + 1`)
	return errors.Join(err, other.closePools())
}

// oneByOne commits Changes one after another and gives their outcomes.
func (r *rig) oneByOne(t *testing.T, changes ...*Change) []error {
	t.Helper()
	errs := make([]error, len(changes))
	for i, c := range changes {
		errs[i] = r.Commit(t.Context(), c)
	}
	return errs
}
