package media

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// rig is the service on a database and a folder of its own.
type rig struct {
	*Service
	t    testing.TB
	disk *Disk
}

const (
	testLimit = 1 << 20
	testQuota = 4 << 20
)

// each runs a test on both engines; change may adjust the options.
func each(t *testing.T, change func(*Options), fn func(r *rig)) {
	t.Helper()
	storagetest.Each(t, func(t *testing.T, db *storage.DB) { fn(newRig(t, db, t.TempDir(), change)) })
}

func newRig(t testing.TB, db *storage.DB, dir string, change func(*Options)) *rig {
	t.Helper()
	disk, err := NewDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{DB: db, Store: disk, Local: func(s matrix.ServerName) bool { return s == "hs1" || s == "hs2" },
		MaxUpload: testLimit, Quota: testQuota, ImageBytes: 64 << 20}
	if change != nil {
		change(&o)
	}
	s := New(t.Context(), o)
	t.Cleanup(s.Close)
	return &rig{s, t, disk}
}

func user(nid int64) matrix.Caller {
	return matrix.Caller{Tenant: 1, User: matrix.UserID("@u" + string(rune('a'+nid)) + ":hs1"), UserNID: nid, Server: "hs1"}
}

func someBytes(n int, seed uint64) []byte {
	var s [32]byte
	s[0], s[1] = byte(seed), byte(seed>>8)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(s).Read(b)
	return b
}

func file(data []byte) Upload {
	return Upload{Type: "application/octet-stream", Name: "a.bin", Size: int64(len(data)), Body: bytes.NewReader(data)}
}

func (r *rig) upload(c matrix.Caller, data []byte) Address {
	r.t.Helper()
	a, err := r.Upload(r.t.Context(), c, file(data))
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// content is what an address serves.
func (r *rig) content(a Address) ([]byte, error) {
	f, err := r.Open(r.t.Context(), a, 0)
	if err != nil {
		return nil, err
	}
	defer f.Content.Close()
	return io.ReadAll(f.Content)
}

func (r *rig) serves(a Address, data []byte) {
	r.t.Helper()
	if got, err := r.content(a); err != nil || !bytes.Equal(got, data) {
		r.t.Errorf("%s: %d bytes of %d, %v", a, len(got), len(data), err)
	}
}

func (r *rig) refuses(a Address, code string) {
	r.t.Helper()
	if _, err := r.content(a); !matrix.HasCode(err, code) {
		r.t.Errorf("%s: %v, want %s", a, err, code)
	}
}

// files counts the files of the store, finished ones and others.
func (r *rig) files() (finished, unfinished int) {
	r.t.Helper()
	err := r.disk.List(r.t.Context(), func(_ int64, _ []byte, digests [][]byte) error { finished += len(digests); return nil })
	if err != nil {
		r.t.Fatal(err)
	}
	for _, dir := range []string{"tmp", "away"} {
		list, err := os.ReadDir(filepath.Join(r.disk.root, dir))
		if err != nil {
			r.t.Fatal(err)
		}
		unfinished += len(list)
	}
	return finished, unfinished
}

// age makes the file of some content look old.
func (r *rig) age(tenant int64, data []byte) {
	r.t.Helper()
	digest := sha256.Sum256(data)
	old := time.Now().Add(-2 * sweepAge)
	if err := os.Chtimes(r.disk.path(tenant, digest[:]), old, old); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) sweep() int {
	r.t.Helper()
	n, err := r.Sweep(context.WithoutCancel(r.t.Context()))
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}
