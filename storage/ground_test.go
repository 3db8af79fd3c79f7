package storage

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"rempart/internal/testkit/pgtest"
)

// sample is a table of the tests only: it has every type of column.
type sample struct {
	At
	id   int64
	text string
	data []byte
}

var (
	samplePlain  = newTable("sample", "id:i pos:i text:t data:b", 1, "")
	sampleUpsert = newTable("sample", "id:i pos:i text:t data:b", 1, "update")
	sampleIgnore = newTable("sample", "id:i pos:i text:t data:b", 1, "ignore")
	sampleJoined = newTable("sample", "id:i pos:i text:t data:b", 1,
		"ON CONFLICT (id) DO UPDATE SET pos = excluded.pos, text = sample.text || excluded.text")
)

func (r *sample) args(dst []any) []any { return append(dst, r.id, r.Pos, r.text, r.data) }
func (*sample) table() *table          { return samplePlain }

type upserted struct{ sample }

func (*upserted) table() *table { return sampleUpsert }

type ignored struct{ sample }

func (*ignored) table() *table { return sampleIgnore }

type joined struct{ sample }

func (*joined) table() *table { return sampleJoined }

func row(id int64, text string) *sample { return &sample{id: id, text: text, data: []byte{}} }

// rig is an open database with the sample table and a record of what it published.
type rig struct {
	*DB
	mu      sync.Mutex
	batches []Batch
	wake    chan struct{} // has a token when a batch came
}

func (r *rig) heard(b Batch) {
	r.mu.Lock()
	r.batches = append(r.batches, b)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// published lists the entries heard so far, in order.
func (r *rig) published() []Live {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Live
	for _, b := range r.batches {
		all = append(all, b.Lives...)
	}
	return all
}

func openRig(t testing.TB, o Options) *rig {
	t.Helper()
	r := &rig{wake: make(chan struct{}, 1)}
	if o.Publish == nil {
		o.Publish = r.heard
	}
	db, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	r.DB = db
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	bytesType := db.dialect.words["bytes"]
	r.sql(t, `CREATE TABLE IF NOT EXISTS sample (id BIGINT NOT NULL PRIMARY KEY, pos BIGINT NOT NULL, text TEXT NOT NULL, data `+bytesType+`)`)
	return r
}

// sql runs a statement as a guard, the one way that the committer's connection offers.
func (r *rig) sql(t testing.TB, text string, args ...any) {
	t.Helper()
	c := &Change{}
	c.Guard(Guard{sql: text, args: args, want: anyRows})
	if err := r.Commit(context.Background(), c); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) commit(t testing.TB, c *Change) {
	t.Helper()
	if err := r.Commit(context.Background(), c); err != nil {
		t.Fatal(err)
	}
}

// texts gives the sample rows as id → text.
func (r *rig) texts(t testing.TB) map[int64]string {
	t.Helper()
	out := map[int64]string{}
	err := r.each(context.Background(), `SELECT id, text FROM sample`, nil, func(rows *sql.Rows) error {
		var id int64
		var text string
		err := rows.Scan(&id, &text)
		out[id] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// together queues Changes so that they share a transaction, and gives their outcomes.
func (r *rig) together(t testing.TB, changes ...*Change) []error {
	t.Helper()
	r.committer.publishing.Lock() // the first Change is stuck before its COMMIT until all others wait
	blocker, stuck := &Change{}, make(chan struct{})
	blocker.Guard(onceWritten(func() { close(stuck) }))
	submit := func(c *Change) {
		slot, err := r.Reserve(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		slot.Submit(c)
	}
	submit(blocker)
	<-stuck
	for _, c := range changes {
		submit(c)
	}
	r.committer.publishing.Unlock()
	errs := []error{}
	if err := blocker.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		errs = append(errs, c.Wait())
	}
	return errs
}

// onceWritten is a guard that calls fn when its Change is written for the first time.
func onceWritten(fn func()) Guard {
	var once sync.Once
	return Guard{sql: `SELECT 1`, want: anyRows, begin: func() { once.Do(fn) }}
}

func live(rows ...Row) *Change {
	c := &Change{}
	c.Live(Live{Kind: KindProfile, User: 7, Value: "v"})
	c.Add(rows...)
	return c
}

// eachEngine runs a test on an empty database of each engine.
func eachEngine(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Helper()
	eachURL(t, func(t *testing.T, url string) { fn(t, openRig(t, Options{URL: url})) })
}

// eachURL is eachEngine for tests that open the database themselves.
func eachURL(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	pgtest.EachFilled(t, func(url string) error {
		db, err := Open(context.Background(), Options{URL: url})
		if err != nil {
			return err
		}
		return db.Close()
	}, fn)
}

func wantTexts(t *testing.T, got, want map[int64]string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("rows %v, want %v", got, want)
	}
}

func TestRowsCarryTheirPosition(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		c := &Change{}
		c.Live(Live{Kind: KindProfile, User: 1})
		second := c.Live(Live{Kind: KindProfile, User: 2, Value: "kept"})
		c.Add(&sample{At: At{Live: second + 1}, id: 5, text: "é", data: []byte{0, 1}})
		r.commit(t, c)
		var pos int64
		var text string
		var data []byte
		if err := r.row(t.Context(), `SELECT pos, text, data FROM sample WHERE id = $1`, []any{int64(5)}, &pos, &text, &data); err != nil {
			t.Fatal(err)
		}
		if pos != 2 || text != "é" || !bytes.Equal(data, []byte{0, 1}) || c.LastPos() != 2 || r.Position() != 2 {
			t.Errorf("row (%d, %q, %v), change at %d, database at %d", pos, text, data, c.LastPos(), r.Position())
		}
		if got := r.published(); len(got) != 2 || got[1] != (Live{KindProfile, 0, 2, 2, "kept"}) {
			t.Errorf("published %v", got)
		}
	})
}

func TestMissingBytesAreNull(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		r.commit(t, live(&sample{id: 1, data: nil}, &sample{id: 2, data: []byte{}}))
		var nulls int64
		if err := r.row(t.Context(), `SELECT SUM(id) FROM sample WHERE data IS NULL`, nil, &nulls); err != nil || nulls != 1 {
			t.Errorf("NULL in %d, %v; want 1", nulls, err)
		}
	})
}

func TestUnstorableTextIsReplacedAndFound(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		bad := "a\x00b\xffc"
		r.commit(t, live(row(1, bad)))
		r.sql(t, `INSERT INTO sample (id, pos, text) VALUES (2, 0, $1)`, bad)
		var n int64
		if err := r.row(t.Context(), `SELECT COUNT(*) FROM sample WHERE text = $1`, []any{bad}, &n); err != nil || n != 2 {
			t.Errorf("found %d, %v", n, err)
		}
		wantTexts(t, r.texts(t), map[int64]string{1: "a\ufffdb\ufffdc", 2: "a\ufffdb\ufffdc"})
	})
}

func TestManyRowsOfManyTables(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		c := live()
		for i := range int64(777) {
			c.Add(row(i, fmt.Sprint(i)))
		}
		r.commit(t, c)
		got := r.texts(t)
		if len(got) != 777 || got[776] != "776" || got[0] != "0" {
			t.Errorf("%d rows", len(got))
		}
	})
}

func TestUpsertsOfOneTransactionFollowEachOther(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		errs := r.together(t, live(&upserted{*row(1, "a")}, &joined{*row(2, "a")}, &ignored{*row(3, "a")}),
			live(&upserted{*row(1, "b")}, &joined{*row(2, "b")}, &ignored{*row(3, "b")}),
			live(&upserted{*row(1, "c")}, &joined{*row(2, "c")}, &joined{*row(9, "z")}),
			live(&upserted{*row(4, "a")}, &upserted{*row(4, "b")}, &joined{*row(5, "a")}, &joined{*row(5, "b")}))
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		wantTexts(t, r.texts(t), map[int64]string{1: "c", 2: "abc", 3: "a", 4: "b", 5: "ab", 9: "z"})
	})
}
