package media

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"rempart/core/border"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Options is what the service is made of.
type Options struct {
	DB    *storage.DB
	Store Store
	// Local reports whether a server name is one of ours.
	Local func(matrix.ServerName) bool
	// Border stands between the servers of this installation; nil: there is one only.
	Border *border.Border
	// Peers fetches files of other servers in the name of Server; nil fetches none.
	Peers  Peers
	Server matrix.ServerName
	// MaxUpload bounds a file, and Quota all files of an account, in bytes; a Quota of 0 bounds nothing.
	MaxUpload, Quota int64
	// ImageBytes bounds the memory that decoding one picture may take; two are decoded at once.
	ImageBytes int64
	// Scanner judges each upload before it is served; nil serves all.
	Scanner Scanner
	Log     *slog.Logger
	// Clock may be nil for the wall clock.
	Clock func() time.Time
}

// Scanner is a virus scanner. An error means that it has no verdict: the file waits and is scanned again.
type Scanner interface {
	Scan(ctx context.Context, file io.Reader) (clean bool, err error)
}

// Bounds that no setting changes.
const (
	pendingLife    = 24 * time.Hour // how long an address may wait for its content
	pendingLimit   = 100            // addresses without content of one user
	uploadsOfUser  = 8              // uploads at once of one user
	uploadsAtOnce  = 256            // of all: 256 KiB each
	defaultWait    = 20 * time.Second
	longestWait    = time.Minute
	sweepEvery     = time.Hour
	sweepAge       = time.Hour // younger files may belong to an upload that is under way
	scanAgainEvery = 30 * time.Second
)

// Service owns the media. Its methods may be called concurrently.
type Service struct {
	Options
	uploads  *slots
	waiting  *waiters
	pictures *workshop
	fetches  *fetches
	used     uses
	scans    chan struct{} // wakes the worker that scans

	run    context.Context //nolint:containedctx // Why: it is the service's own life, which ends with Close
	stop   context.CancelFunc
	ending sync.WaitGroup
}

// New starts the service and its background work.
func New(ctx context.Context, o Options) *Service {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{Options: o, uploads: newSlots(), waiting: newWaiters(), pictures: newWorkshop(), fetches: newFetches(), scans: make(chan struct{}, 1)}
	s.run, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.ending.Go(s.sweepRegularly)
	s.ending.Go(s.noteRegularly)
	if o.Scanner != nil {
		s.ending.Go(s.scanRegularly)
	}
	return s
}

// Close answers whoever waits and stops the background work.
func (s *Service) Close() {
	s.stop()
	s.ending.Wait()
}

func (s *Service) nowMS() int64 { return s.Clock().UnixMilli() }

// Limit is the size of the largest file that may be uploaded.
func (s *Service) Limit() int64 { return s.MaxUpload }
