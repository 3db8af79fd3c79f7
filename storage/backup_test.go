package storage

import (
	"context"
	"path/filepath"
	"testing"
)

func TestSnapshotOfARunningDatabaseBeginsAnew(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	source, copied := filepath.Join(dir, "a.db"), filepath.Join(dir, "b.db")
	running, err := Open(ctx, Options{URL: source})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = running.Close() }()
	second := &DB{opts: Options{URL: source, Readers: 1}}
	if err := second.connect(ctx); err != nil {
		t.Fatal(err)
	}
	for id, claimed := range map[string]int{"fresh": 0, "used": 1} {
		if _, err := second.write.ExecContext(ctx,
			`INSERT INTO one_time_keys (device, algorithm, key_id, seq, body, claimed) VALUES (1, 'a', $1, 1, $2, $3)`, id, []byte("{}"), claimed); err != nil {
			t.Fatal(err)
		}
	}
	if err := second.closePools(); err != nil {
		t.Fatal(err)
	}
	if err := Snapshot(ctx, source, copied); err != nil {
		t.Fatal(err)
	}
	if err := Snapshot(ctx, source, copied); err == nil {
		t.Error("a copy was overwritten")
	}
	var epochs []int64
	for range 2 {
		if err := BeginAnew(ctx, copied); err != nil {
			t.Fatal(err)
		}
		again, err := Open(ctx, Options{URL: copied})
		if err != nil {
			t.Fatal(err)
		}
		epochs = append(epochs, again.Epoch())
		var keys string
		if err := again.read.QueryRowContext(ctx, `SELECT key_id FROM one_time_keys`).Scan(&keys); err != nil || keys != "used" {
			t.Errorf("one-time keys left: %q, %v", keys, err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if epochs[0] <= running.Epoch() || epochs[1] <= epochs[0] {
		t.Errorf("epochs %d, then %v", running.Epoch(), epochs)
	}
}
