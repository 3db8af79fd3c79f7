package media

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"rempart/storage"
	"rempart/storage/storagetest"
)

// lossy does everything on the real file system, and keeps account of what a disk would have after a loss of power: of a
// file what was there at its last sync, of a folder the names it had at its last sync.
type lossy struct {
	osFiles
	mu    sync.Mutex
	names map[string]map[string]*inode // of folders, as they are
	disk  map[string]map[string]*inode // of folders, as the disk has them
}

// inode is a file or, with dir, a folder; a folder that is moved would need more than this.
type inode struct {
	dir    bool
	synced []byte
}

func newLossy(root string) *lossy {
	return &lossy{names: map[string]map[string]*inode{root: {}}, disk: map[string]map[string]*inode{root: {}}}
}

type lossyFile struct {
	openFile
	l       *lossy
	node    *inode
	mu      sync.Mutex
	written []byte
}

func (l *lossy) Create(path string) (openFile, error) {
	f, err := l.osFiles.Create(path)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	node := &inode{}
	l.names[filepath.Dir(path)][filepath.Base(path)] = node
	return &lossyFile{openFile: f, l: l, node: node}, nil
}

func (f *lossyFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written = append(f.written, p...)
	return f.openFile.Write(p)
}

func (f *lossyFile) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.l.mu.Lock()
	defer f.l.mu.Unlock()
	f.node.synced = bytes.Clone(f.written)
	return nil
}

func (l *lossy) Rename(from, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.osFiles.Rename(from, to); err != nil {
		return err
	}
	l.names[filepath.Dir(to)][filepath.Base(to)] = l.names[filepath.Dir(from)][filepath.Base(from)]
	delete(l.names[filepath.Dir(from)], filepath.Base(from))
	return nil
}

func (l *lossy) Mkdir(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.osFiles.Mkdir(path); err != nil {
		return err
	}
	l.names[filepath.Dir(path)][filepath.Base(path)] = &inode{dir: true}
	l.names[path], l.disk[path] = map[string]*inode{}, map[string]*inode{}
	return nil
}

func (l *lossy) Remove(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.names[filepath.Dir(path)], filepath.Base(path))
	return l.osFiles.Remove(path)
}

func (l *lossy) SyncDir(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.disk[path] = maps.Clone(l.names[path])
	return nil
}

// loss writes what is left of a folder after a loss of power.
func (l *lossy) loss(t *testing.T, from, to string) {
	t.Helper()
	for name, node := range l.disk[from] {
		path := filepath.Join(to, name)
		if !node.dir {
			if err := os.WriteFile(path, node.synced, 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		l.loss(t, filepath.Join(from, name), path)
	}
}

// TestPowerLossLosesNoAcknowledgedFile uploads from several sides, lets the power fail at many moments, and reads
// whatever was acknowledged before.
func TestPowerLossLosesNoAcknowledgedFile(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		root := t.TempDir()
		l := newLossy(root)
		disk, err := newDisk(root, l)
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, db, t.TempDir(), func(o *Options) { o.Store, o.Quota = disk, 0 })
		var mu sync.Mutex
		known := map[Address][]byte{}
		var wg sync.WaitGroup
		for side := range 4 {
			wg.Go(func() {
				for i := range 20 {
					data := someBytes(300+i*7000, uint64(side*100+i%15)) // some come twice
					a, err := r.Upload(t.Context(), user(int64(side)+1), Upload{Name: fmt.Sprint(i), Type: "image/png", Body: bytes.NewReader(data), Size: int64(len(data))})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					known[a] = data
					mu.Unlock()
				}
			})
		}
		losses := 0
		for done := false; !done; losses++ {
			mu.Lock()
			acknowledged := maps.Clone(known)
			mu.Unlock()
			done = len(acknowledged) == 80 || t.Failed()
			left := t.TempDir()
			l.mu.Lock()
			l.loss(t, root, left)
			l.mu.Unlock()
			after := newRig(t, db, left, nil)
			for a, data := range acknowledged {
				if got, err := after.content(a); err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%v was acknowledged: %d of %d bytes, %v", a, len(got), len(data), err)
				}
			}
			after.Close()
		}
		wg.Wait()
		t.Logf("%d losses", losses)
	})
}
