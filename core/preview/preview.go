// Package preview makes previews of web pages: what a page says of itself, with its picture kept among our media. Pages
// come through an interface of core/outside.go; nothing of a page is ever run or shown but texts and the picture.
package preview

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"rempart/core"
	"rempart/core/media"
	"rempart/core/media/picture"
	"rempart/core/preview/page"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds that no setting changes.
const (
	maxURL     = 2048
	maxPage    = 1 << 20  // bytes of a page that are looked at
	maxPicture = 10 << 20 // bytes of a picture
	atOnce     = 6        // pages at a time
	allTime    = 25 * time.Second
	// keepFor is how long a preview and its picture stay.
	keepFor    = 7 * 24 * time.Hour
	sweepEvery = time.Hour
	sweepMost  = 500
)

// Options say what the service rests on.
type Options struct {
	DB    *storage.DB
	Media *media.Service
	// Pages fetches; nil makes no previews.
	Pages core.Pages
	Log   *slog.Logger
	// Clock is the time; default time.Now.
	Clock func() time.Time
}

// Service makes previews. Its methods may be called concurrently.
type Service struct {
	Options
	slots chan struct{}
	mu    sync.Mutex
	under map[[sha256.Size]byte]*making // by hash of tenant and address

	run  context.Context //nolint:containedctx // Why: it ends the sweeping
	stop context.CancelFunc
	done sync.WaitGroup
}

// making is a preview under way, which all who ask for it share.
type making struct {
	done chan struct{}
	body json.RawMessage
	err  error
}

// New starts the service.
func New(ctx context.Context, o Options) *Service {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{Options: o, slots: make(chan struct{}, atOnce), under: map[[sha256.Size]byte]*making{}}
	s.run, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if o.Pages != nil {
		s.done.Go(s.sweepRegularly)
	}
	return s
}

// Close ends what is under way.
func (s *Service) Close() {
	s.stop()
	s.done.Wait()
}

// Off is the answer where there are no previews.
func Off() error {
	return matrix.NotFound("This server makes no previews of web pages.").French("Ce serveur ne prévisualise pas les pages web.")
}

// Of is what a page says of itself, as JSON. Spec: client-server-api/#get_matrixclientv1mediapreview_url
func (s *Service) Of(ctx context.Context, c matrix.Caller, address string) (json.RawMessage, error) {
	if s == nil || s.Pages == nil {
		return nil, Off()
	}
	u, err := parse(address)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(u.String()))
	known, err := s.DB.FindPreview(ctx, c.Tenant, hash[:])
	if err == nil && known.Created > s.Clock().Add(-keepFor).UnixMilli() {
		return known.Body, nil
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	m := s.share(c, u, hash) //nolint:contextcheck // others may wait for it when this one goes
	select {
	case <-m.done:
		return m.body, m.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// parse admits addresses of web pages. What follows # is the reader's own affair.
func parse(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || len(address) > maxURL || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, matrix.InvalidParam("url must be the address of a web page.")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// share makes a preview once, however many ask. Why it does not end with who asked first: others wait for it.
func (s *Service) share(c matrix.Caller, u *url.URL, hash [sha256.Size]byte) *making {
	key := sha256.Sum256(append([]byte(c.Server+" "), hash[:]...))
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.under[key]; m != nil {
		return m
	}
	m := &making{done: make(chan struct{})}
	s.under[key] = m
	s.done.Go(func() {
		ctx, cancel := context.WithTimeout(s.run, allTime)
		defer cancel()
		m.body, m.err = s.make(ctx, c, u, hash[:])
		s.mu.Lock()
		delete(s.under, key)
		s.mu.Unlock()
		close(m.done)
	})
	return m
}

func (s *Service) make(ctx context.Context, c matrix.Caller, u *url.URL, hash []byte) (json.RawMessage, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, matrix.LimitExceeded(10 * time.Second)
	}
	p, err := s.Pages.Fetch(ctx, u.String(), maxPicture)
	if err != nil {
		return nil, unreachable(err)
	}
	out := map[string]any{}
	kept := storage.Preview{Tenant: c.Tenant, Hash: hash, Created: s.Clock().UnixMilli()}
	if kind := strings.ToLower(p.Type); strings.HasPrefix(kind, "image/") {
		err = s.keepPicture(ctx, c, p, &kept, out)
	} else if isPage(kind) {
		err = s.read(ctx, c, p, &kept, out)
	}
	if err != nil {
		return nil, err
	}
	if kept.Body, err = json.Marshal(out); err != nil {
		return nil, err
	}
	change := &storage.Change{}
	change.Guard(storage.DeletePreview(c.Tenant, hash))
	change.Add(&storage.PreviewRow{Preview: kept})
	return kept.Body, s.DB.Commit(ctx, change)
}

func isPage(kind string) bool {
	return strings.HasPrefix(kind, "text/html") || strings.HasPrefix(kind, "application/xhtml")
}

// unreachable says that a page could not be had; a refusal of our own judge is told as what it is.
func unreachable(err error) error {
	var e *matrix.Error
	if errors.As(err, &e) && e.Status < http.StatusInternalServerError {
		return err
	}
	return matrix.NewError(http.StatusBadGateway, matrix.CodeUnknown, "The page could not be fetched.").
		French("La page n'a pas pu être lue.").Wrap(err)
}

// read takes the properties out of a page, and its picture.
func (s *Service) read(ctx context.Context, c matrix.Caller, p *core.Page, kept *storage.Preview, out map[string]any) error {
	found := page.Read(p.Body[:min(len(p.Body), maxPage)], p.Type)
	image := found["og:image"]
	if image == "" {
		image = found["og:image:url"]
	}
	for name, value := range found {
		if !strings.HasPrefix(name, "og:image") && !strings.HasPrefix(name, "og:video") && !strings.HasPrefix(name, "og:audio") {
			out[name] = value
		}
	}
	at, err := p.URL.Parse(image)
	if image == "" || err != nil || at.Scheme != "http" && at.Scheme != "https" || at.User != nil {
		return nil
	}
	shown, err := s.Pages.Fetch(ctx, at.String(), maxPicture)
	if err != nil {
		s.Log.Debug("picture of a page", "error", err) // a preview without a picture is one still
		return nil
	}
	return s.keepPicture(ctx, c, shown, kept, out)
}

// keepPicture stores a picture in nobody's name. What is none, or too large, is left out.
func (s *Service) keepPicture(ctx context.Context, c matrix.Caller, p *core.Page, kept *storage.Preview, out map[string]any) error {
	info, err := picture.Probe(bytes.NewReader(p.Body))
	if err != nil || p.Cut {
		return nil
	}
	owner := matrix.Caller{Tenant: c.Tenant, Server: c.Server, User: "preview"}
	a, err := s.Media.Upload(ctx, owner, media.Upload{Type: string(info.Format), Size: int64(len(p.Body)), Body: bytes.NewReader(p.Body)})
	if err != nil {
		return err
	}
	kept.Origin, kept.ID = a.Origin, a.ID
	out["og:image"], out["og:image:type"], out["matrix:image:size"] = a.String(), info.Format, len(p.Body)
	out["og:image:width"], out["og:image:height"] = info.Width, info.Height
	return nil
}

// sweepRegularly forgets previews that are old, with their pictures.
func (s *Service) sweepRegularly() {
	again := time.NewTicker(sweepEvery)
	defer again.Stop()
	for {
		if err := s.Sweep(s.run); err != nil && s.run.Err() == nil {
			s.Log.Error("forget previews", "error", err)
		}
		select {
		case <-s.run.Done():
			return
		case <-again.C:
		}
	}
}

// Sweep forgets previews that are old, with their pictures.
func (s *Service) Sweep(ctx context.Context) error {
	for {
		old, err := s.DB.ListOldPreviews(ctx, s.Clock().Add(-keepFor).UnixMilli(), sweepMost)
		if err != nil || len(old) == 0 {
			return err
		}
		for _, p := range old {
			if p.ID != "" {
				err := s.Media.Delete(ctx, media.Address{Origin: p.Origin, ID: p.ID})
				if err != nil && !matrix.HasCode(err, matrix.CodeNotFound) {
					return err
				}
			}
			change := &storage.Change{}
			change.Guard(storage.DeletePreview(p.Tenant, p.Hash))
			if err := s.DB.Commit(ctx, change); err != nil {
				return err
			}
		}
	}
}
