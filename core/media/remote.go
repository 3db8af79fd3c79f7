package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Peers are the other servers, as far as media goes.
type Peers interface {
	// Download fetches a file of at most limit bytes; reading more is an error.
	Download(ctx context.Context, from, to matrix.ServerName, id string, limit int64) (*RemoteFile, error)
}

// RemoteFile is a file of another server on its way here. Whoever gets it closes Content.
type RemoteFile struct {
	Type, Name string
	Content    io.ReadCloser
}

// fetchesAtOnce bounds how many files are fetched at a time.
const fetchesAtOnce = 16

// fetches keeps requests for one address together. It may be used concurrently.
type fetches struct {
	mu    sync.Mutex
	under map[Address]*fetch
	slots chan struct{}
}

type fetch struct {
	done chan struct{}
	err  error
}

func newFetches() *fetches {
	return &fetches{under: map[Address]*fetch{}, slots: make(chan struct{}, fetchesAtOnce)}
}

// remote has a file of another server here, fetching it if it is not, and gives its row.
func (s *Service) remote(ctx context.Context, a Address) (storage.Media, error) {
	m, err := s.DB.FindMedia(ctx, a.Origin, a.ID)
	if err == nil {
		return s.find(ctx, a)
	}
	if !errors.Is(err, storage.ErrNotFound) {
		return m, fmt.Errorf("find media: %w", err)
	}
	if s.Peers == nil {
		return m, matrix.NotFound("Media of other servers cannot be fetched.")
	}
	if err := s.fetchOnce(ctx, a); err != nil {
		return m, err
	}
	return s.find(ctx, a)
}

// fetchOnce fetches an address, or waits for who does. The fetch goes on for the others when who began it leaves.
func (s *Service) fetchOnce(ctx context.Context, a Address) error {
	s.fetches.mu.Lock()
	f := s.fetches.under[a]
	if f == nil {
		f = &fetch{done: make(chan struct{})}
		s.fetches.under[a] = f
		s.ending.Go(func() {
			f.err = s.fetch(s.run, a)
			s.fetches.mu.Lock()
			delete(s.fetches.under, a)
			s.fetches.mu.Unlock()
			close(f.done)
		})
	}
	s.fetches.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// remoteTenant keeps files of other servers apart from those of our tenants.
const remoteTenant = 0

// fetch takes a file of another server in: the content first, then its row.
func (s *Service) fetch(ctx context.Context, a Address) error {
	select {
	case s.fetches.slots <- struct{}{}:
	case <-ctx.Done():
		return notYet()
	}
	defer func() { <-s.fetches.slots }()
	file, err := s.Peers.Download(ctx, s.Server, a.Origin, a.ID, s.MaxUpload)
	if err != nil {
		return unreachable(err)
	}
	defer func() { _ = file.Content.Close() }()
	body := &bounded{r: file.Content, left: s.MaxUpload, max: s.MaxUpload}
	blob, err := s.Store.Put(ctx, remoteTenant, body)
	if body.err != nil {
		return unreachable(body.err)
	}
	if err != nil {
		return err
	}
	m := storage.Media{Origin: a.Origin, ID: a.ID, Tenant: remoteTenant, State: storage.MediaReady, Digest: blob.Digest, Size: blob.Size,
		Type: cleanType(file.Type), Name: cleanName(file.Name), Created: s.nowMS()}
	if s.Scanner != nil {
		m.State = storage.MediaHeld
	}
	change := &storage.Change{}
	change.Add(&storage.MediaRow{Media: m})
	err = s.DB.Commit(ctx, change)
	if err != nil && s.DB.IsDuplicate(err) {
		err = nil // another node was quicker
	}
	s.wakeScanner()
	return err
}

// unreachable is what a client is told when the file's own server did not give it.
func unreachable(err error) error {
	if e := matrix.RefusalOf(err); e != nil {
		return e
	}
	var e *matrix.Error
	if errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Code == matrix.CodeTooLarge || e.Code == matrix.CodeNotYetUploaded) {
		return err
	}
	return matrix.NewError(http.StatusBadGateway, matrix.CodeUnknown, "The file's own server did not give it. Try again later.").
		French("Le serveur de ce fichier ne l'a pas fourni. Réessayez plus tard.").Wrap(err)
}
