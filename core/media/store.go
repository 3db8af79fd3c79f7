package media

import (
	"context"
	"errors"
	"io"
	"time"
)

// Store keeps files by (tenant, digest). The disk is one; an object store may be another. Its methods may be called
// concurrently, also for the same content.
type Store interface {
	// Put takes a stream to its end and answers what it was. When it returns, the file survives a power cut. The same
	// content may be put again: that makes its file young.
	Put(ctx context.Context, tenant int64, r io.Reader) (Blob, error)
	// Open gives a file for reading from any offset, or ErrNoFile. A reader that is open outlives a deletion.
	Open(ctx context.Context, tenant int64, digest []byte) (io.ReadSeekCloser, error)
	// Delete removes a file that is older than an instant and that unused, asked once nobody can find the file any more,
	// says nothing refers to; any other is left, or put back.
	Delete(ctx context.Context, tenant int64, digest []byte, before time.Time, unused func() (bool, error)) (bool, error)
	// List calls fn with the digests of all files, group by group; all of a group share their first bytes, prefix.
	List(ctx context.Context, fn func(tenant int64, prefix []byte, digests [][]byte) error) error
	// Clean removes what interrupted writes left behind before an instant. It reports files that a deletion moved away
	// and did not end: they are put back, and may be deleted again.
	Clean(ctx context.Context, before time.Time) error
}

// Blob is what a stream turned out to be.
type Blob struct {
	Digest []byte // SHA-256
	Size   int64
}

// ErrNoFile says that the store has no file of that digest.
var ErrNoFile = errors.New("media: no such file")
