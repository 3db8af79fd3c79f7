package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestBulkRowsComeInPiecesBetweenCommits(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		rows := make([]Row, 3000)
		for i := range rows {
			rows[i] = row(int64(i), "bulk")
		}
		done := make(chan error, 1)
		go func() { done <- r.Bulk(context.Background(), rows) }()
		live0 := int64(0)
		for err := error(nil); ; live0++ {
			select {
			case err = <-done:
			default:
				r.commit(t, live(row(100_000+live0, "live")))
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if got := int64(len(r.texts(t))); got != 3000+live0 {
			t.Errorf("%d rows, want %d", got, 3000+live0)
		}
		if r.Position() != live0 {
			t.Errorf("bulk rows took positions: %d, want %d", r.Position(), live0)
		}
	})
}

func TestBulkEndsWithItsContextAndTheDatabase(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		r.committer.publishing.Lock()
		stuck := make(chan struct{})
		c := guarded(&Change{}, onceWritten(func() { close(stuck) }))
		submit(t, r, c)
		<-stuck
		if err := r.Bulk(gone, []Row{row(1, "a")}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		r.committer.publishing.Unlock()
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
		if err := r.Bulk(t.Context(), []Row{row(1, "a"), row(1, "b")}); !r.isUnique(err) {
			t.Errorf("rows that collide: %v", err)
		}
		r.committer.close()
		if err := r.Bulk(t.Context(), []Row{row(1, "a")}); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

func TestEachInFindsAll(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		c := live()
		var even []int64
		for i := range int64(1000) {
			c.Add(row(i, fmt.Sprint(i%2)))
			if i%2 == 0 {
				even = append(even, i)
			}
		}
		r.commit(t, c)
		for _, ask := range [][]int64{nil, {4}, {4, 6, 8}, {5, 6, 7, 8, 9}, even, {2000, 2}} {
			var got []int64
			err := r.eachIn(t.Context(), `SELECT id FROM sample WHERE text = $1 AND id IN`, ask, ` AND id < $2`, func(rows *sql.Rows) error {
				got = append(got, 0)
				return rows.Scan(&got[len(got)-1])
			}, "0", int64(999))
			want := slices.DeleteFunc(slices.Clone(ask), func(id int64) bool { return id%2 == 1 || id >= 999 })
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("asked for %d, got %v, %v", len(ask), got, err)
			}
		}
	})
}
