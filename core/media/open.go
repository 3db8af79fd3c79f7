package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"rempart/core/border"
	"rempart/core/ledger"
	"rempart/internal/matrix"
	"rempart/storage"
)

// File is a file on its way out. Whoever gets it closes Content.
type File struct {
	// Type and Name are what the uploader said; Name may be empty.
	Type, Name string
	Created    time.Time
	// Tag tells versions of what is served under an address apart.
	Tag     string
	Content io.ReadSeekCloser
}

// Visit asks a server of this installation in the name of another one of it whether a file of its may be read.
func (s *Service) Visit(ctx context.Context, from matrix.ServerName, a Address) error {
	return s.Border.Ask(ctx, from, a.Origin, border.Media, "media", ledger.File("mxc://"+string(a.Origin)+"/"+a.ID))
}

// Open finds a file. For one that is not there yet, or not yet scanned, it waits: below 0 for the usual time.
func (s *Service) Open(ctx context.Context, a Address, wait time.Duration) (*File, error) {
	m, err := s.ready(ctx, a, wait)
	if err != nil {
		return nil, err
	}
	content, err := s.openBlob(ctx, m.Tenant, m.Digest)
	if err != nil {
		return nil, err
	}
	s.used.note(a, s.Clock())
	return &File{Type: m.Type, Name: m.Name, Created: time.UnixMilli(m.Created), Tag: m.ID, Content: content}, nil
}

func (s *Service) openBlob(ctx context.Context, tenant int64, digest []byte) (io.ReadSeekCloser, error) {
	content, err := s.Store.Open(ctx, tenant, digest)
	if errors.Is(err, ErrNoFile) {
		s.Log.Error("a media file is missing from the store", "tenant", tenant, "digest", fmt.Sprintf("%x", digest))
		return nil, unknown().Wrap(err)
	}
	return content, err
}

// ready is the row of media that may be served.
// Spec: client-server-api/#get_matrixclientv1mediadownloadservernamemediaid
func (s *Service) ready(ctx context.Context, a Address, wait time.Duration) (storage.Media, error) {
	if !s.Local(a.Origin) {
		if m, err := s.remote(ctx, a); err != nil || m.State == storage.MediaReady {
			return m, err
		}
	}
	if wait < 0 {
		wait = defaultWait
	}
	timeout := time.NewTimer(min(wait, longestWait))
	defer timeout.Stop()
	again := time.NewTicker(time.Second) // another node may have filled it
	defer again.Stop()
	for {
		changed, leave := s.waiting.enter(a)
		m, err := s.find(ctx, a)
		if err != nil || m.State == storage.MediaReady {
			leave()
			return m, err
		}
		select {
		case <-changed:
		case <-again.C:
		case <-timeout.C:
			leave()
			return m, notYet()
		case <-s.run.Done():
			leave()
			return m, notYet()
		case <-ctx.Done():
			leave()
			return m, ctx.Err()
		}
		leave()
	}
}

// find is the row of media that is there or may come.
func (s *Service) find(ctx context.Context, a Address) (storage.Media, error) {
	m, err := s.DB.FindMedia(ctx, a.Origin, a.ID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return m, unknown()
	case err != nil:
		return m, fmt.Errorf("find media: %w", err)
	case m.Quarantined != "", m.State == storage.MediaPending && m.Expires <= s.nowMS():
		return m, unknown()
	case m.State == storage.MediaInfected:
		return m, matrix.Forbidden("The virus scanner refused this file.").French("L'antivirus a refusé ce fichier.")
	}
	return m, nil
}

func unknown() *matrix.Error { return matrix.NotFound("There is no such media.") }

func notYet() *matrix.Error {
	return matrix.NewError(http.StatusGatewayTimeout, matrix.CodeNotYetUploaded, "The content is not there yet.")
}
