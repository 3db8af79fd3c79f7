package media

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Disk is a [Store] in a folder:
//
//	TENANT/ab/cd/abcd…   a file, named by its SHA-256
//	tmp/                 files that are being written
//	away/TENANT-abcd…    files that a deletion is deciding upon
//
// Several processes may share the folder.
type Disk struct {
	root    string
	files   layer
	buffers sync.Pool  // of *[]byte
	dirs    sync.Mutex // held while folders are made
}

// bufferSize is how much of a stream is held in memory: half of it arrives while the other half is written.
const bufferSize = 512 << 10

// NewDisk opens the folder, made if it is new, and puts back what an interrupted deletion moved away.
func NewDisk(root string) (*Disk, error) { return newDisk(root, osFiles{}) }

func newDisk(root string, on layer) (*Disk, error) {
	d := diskAt(root, on)
	for _, dir := range []string{"tmp", "away"} {
		if err := d.makeDir(filepath.Join(root, dir)); err != nil {
			return nil, fmt.Errorf("make media folder: %w", err)
		}
	}
	return d, d.putBack(time.Time{})
}

// diskAt is the folder as it is.
func diskAt(root string, on layer) *Disk {
	d := &Disk{root: root, files: on}
	d.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	return d
}

func (d *Disk) path(tenant int64, digest []byte) string {
	name := hex.EncodeToString(digest)
	return filepath.Join(d.root, strconv.FormatInt(tenant, 10), name[:2], name[2:4], name)
}

// Put writes a stream to a file of its own, syncs it, and only then gives it its name.
func (d *Disk) Put(ctx context.Context, tenant int64, r io.Reader) (Blob, error) {
	name := filepath.Join(d.root, "tmp", rand.Text())
	f, err := d.files.Create(name)
	if err != nil {
		return Blob{}, fmt.Errorf("store media: %w", err)
	}
	buffer, _ := d.buffers.Get().(*[]byte)
	defer d.buffers.Put(buffer)
	blob, err := receive(ctx, f, r, *buffer)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = d.move(name, d.path(tenant, blob.Digest))
	}
	if err != nil {
		_ = d.files.Remove(name) // else Clean does it
		return Blob{}, fmt.Errorf("store media: %w", err)
	}
	return blob, nil
}

// Open opens a file. It is an *os.File, which the kernel can send by itself.
func (d *Disk) Open(_ context.Context, tenant int64, digest []byte) (io.ReadSeekCloser, error) {
	f, err := os.Open(d.path(tenant, digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoFile
	}
	if err != nil {
		return nil, fmt.Errorf("open media: %w", err)
	}
	return f, nil
}

// Delete moves the file away before it asks whether anything refers to it.
// Why: an upload of the same content may put the file and commit its row at any moment. Either the row is seen here,
// or the file that was put after the move stays, or the one that was put before it is young.
func (d *Disk) Delete(_ context.Context, tenant int64, digest []byte, before time.Time, unused func() (bool, error)) (bool, error) {
	path := d.path(tenant, digest)
	away := d.awayPath(tenant, digest)
	if old, err := olderThan(path, before); err != nil || !old {
		return false, err
	}
	if err := d.files.Rename(path, away); err != nil {
		return false, ignoreMissing(err)
	}
	old, err := olderThan(away, before)
	free := false
	if err == nil && old {
		free, err = unused()
	}
	if err != nil || !free {
		return false, errors.Join(err, d.move(away, path))
	}
	if err := d.files.Remove(away); err != nil { // another process may have put it back
		return false, ignoreMissing(err)
	}
	return true, nil
}

func (d *Disk) awayPath(tenant int64, digest []byte) string {
	return filepath.Join(d.root, "away", strconv.FormatInt(tenant, 10)+"-"+hex.EncodeToString(digest))
}

// olderThan reports whether a file is there and was put before an instant.
func olderThan(path string, before time.Time) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, ignoreMissing(err)
	}
	return info.ModTime().Before(before), nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
