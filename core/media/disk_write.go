package media

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
)

// syncEvery is after how many bytes a file that is being written is sent to the disk, so that little is left to wait
// for at its end.
const syncEvery = 32 << 20

// receive writes a stream to a file and syncs it. The stream is hashed while it is written.
func receive(ctx context.Context, f openFile, r io.Reader, buffer []byte) (Blob, error) {
	behind := newSyncer(f)
	blob, err := copyHashed(ctx, f, r, buffer, behind)
	if failed := behind.stop(); err == nil {
		err = failed
	}
	if err != nil {
		return Blob{}, err
	}
	return blob, f.Sync()
}

func copyHashed(ctx context.Context, f io.Writer, r io.Reader, buffer []byte, behind *syncer) (Blob, error) {
	h, size := sha256.New(), int64(0)
	for {
		n, err := fill(r, buffer)
		if n > 0 {
			_, _ = h.Write(buffer[:n]) // a hash takes everything
			if _, werr := f.Write(buffer[:n]); werr != nil {
				return Blob{}, werr
			}
			size += int64(n)
			behind.wrote(int64(n))
		}
		if err == io.EOF { //nolint:errorlint // Why: a wrapped end of file is an error of what the stream comes from
			return Blob{Digest: h.Sum(nil), Size: size}, ctx.Err()
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return Blob{}, err
		}
	}
}

// fill reads until the buffer is full or the stream ends.
// Why not io.ReadFull: it answers a stream that ended in its middle, io.ErrUnexpectedEOF, as it does one that is over.
func fill(r io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var more int
		more, err = r.Read(buffer[n:])
		n += more
	}
	return n, err
}

// syncer syncs a file in the background while it grows. It belongs to one goroutine, which must stop it.
type syncer struct {
	wake  chan struct{}
	done  chan error
	since int64
}

func newSyncer(f openFile) *syncer {
	s := &syncer{wake: make(chan struct{}, 1), done: make(chan error, 1)}
	go func() {
		var err error
		for range s.wake {
			if err == nil {
				err = f.Sync()
			}
		}
		s.done <- err
	}()
	return s
}

// wrote counts bytes, and starts a sync when there are many and none is under way.
func (s *syncer) wrote(n int64) {
	if s.since += n; s.since < syncEvery {
		return
	}
	select {
	case s.wake <- struct{}{}:
		s.since = 0
	default:
	}
}

func (s *syncer) stop() error {
	close(s.wake)
	return <-s.done
}

// move gives a synced file its name and returns when the name is on disk too.
func (d *Disk) move(from, to string) error {
	if err := d.ensureDir(filepath.Dir(to)); err != nil {
		return err
	}
	if err := d.files.Rename(from, to); err != nil {
		return err
	}
	return d.files.SyncDir(filepath.Dir(to))
}

// ensureDir returns when the folder is there and on disk.
// Why the lock: who finds a folder that another upload has just made must not go on before that one has synced it.
func (d *Disk) ensureDir(path string) error {
	d.dirs.Lock()
	defer d.dirs.Unlock()
	return d.makeDir(path)
}

// makeDir makes a folder and those above it, each on disk before the next.
func (d *Disk) makeDir(path string) error {
	err := d.files.Mkdir(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = d.makeDir(filepath.Dir(path)); err == nil {
			err = d.files.Mkdir(path)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.files.SyncDir(filepath.Dir(path))
}
