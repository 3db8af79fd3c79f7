package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A closed database is one file: nothing is left in a log beside it that a copy of the file would lack.
func TestClosedDatabaseIsOneFile(t *testing.T) {
	dir, ctx := t.TempDir(), context.Background()
	db, err := Open(ctx, Options{URL: filepath.Join(dir, "a.db")})
	if err != nil {
		t.Fatal(err)
	}
	var nid int64
	c := &Change{}
	c.Guard(InsertTenant(1, "a.example", &nid))
	if err := errors.Join(db.Commit(ctx, c), db.Close()); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("left behind: %v %v", files, err)
	}
}

func TestDamageIsFound(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "a.db")
	db, err := Open(ctx, Options{URL: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Examine(ctx, path); err != nil {
		t.Fatalf("a sound file: %v", err)
	}
	for _, at := range []int64{8192, 0} { // a table's page, then the header
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt(make([]byte, 4096), at)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := Examine(ctx, path); !errors.Is(err, ErrDamaged) {
			t.Errorf("with zeros at %d: %v", at, err)
		}
	}
	if _, err := Open(ctx, Options{URL: path}); !errors.Is(err, ErrDamaged) {
		t.Errorf("opened: %v", err)
	}
}
