package media

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
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

// copyHashed reads into one half of the buffer while the other is hashed and written.
func copyHashed(ctx context.Context, f io.Writer, r io.Reader, buffer []byte, behind *syncer) (Blob, error) {
	half := len(buffer) / 2
	w := newHashWriter(f, behind)
	w.free <- buffer[:half:half]
	w.free <- buffer[half : 2*half : 2*half]
	var err error
	for err == nil {
		piece := <-w.free
		if piece == nil {
			break // it could not be written: stop says why
		}
		var n int
		n, err = fill(r, piece)
		w.full <- piece[:n]
		if err == nil {
			err = ctx.Err()
		}
	}
	blob, failed := w.stop()
	switch {
	case failed != nil:
		return Blob{}, failed
	case err == io.EOF: //nolint:errorlint // Why: a wrapped end of file is an error of what the stream comes from
		return blob, ctx.Err()
	}
	return Blob{}, errors.Join(err, ctx.Err())
}

// hashWriter hashes and writes pieces in their order, in a goroutine of its own, until it is stopped.
type hashWriter struct {
	full, free chan []byte
	hash       hash.Hash
	size       int64
	done       chan error
}

func newHashWriter(f io.Writer, behind *syncer) *hashWriter {
	w := &hashWriter{full: make(chan []byte, 2), free: make(chan []byte, 4), hash: sha256.New(), done: make(chan error, 1)}
	go func() {
		var err error
		for piece := range w.full {
			if err != nil {
				continue
			}
			_, _ = w.hash.Write(piece) // a hash takes everything
			if _, err = f.Write(piece); err != nil {
				w.free <- nil
				continue
			}
			w.size += int64(len(piece))
			behind.wrote(int64(len(piece)))
			w.free <- piece[:cap(piece)]
		}
		w.done <- err
	}()
	return w
}

// stop waits until all is written.
func (w *hashWriter) stop() (Blob, error) {
	close(w.full)
	err := <-w.done
	return Blob{Digest: w.hash.Sum(nil), Size: w.size}, err
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
