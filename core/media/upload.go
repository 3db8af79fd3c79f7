package media

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Upload is a file on its way in.
type Upload struct {
	Type, Name string
	Size       int64 // as announced; below 0 when unknown
	Body       io.Reader
}

// Address is where a file is found: mxc://Origin/ID.
type Address struct {
	Origin matrix.ServerName
	ID     string
}

// String is the mxc URI.
func (a Address) String() string { return "mxc://" + string(a.Origin) + "/" + a.ID }

// Upload takes a file in and makes its address.
func (s *Service) Upload(ctx context.Context, c matrix.Caller, u Upload) (Address, error) {
	a := newAddress(c)
	err := s.take(ctx, c, u, func(m storage.Media, change *storage.Change) {
		m.Origin, m.ID = a.Origin, a.ID
		change.Add(&storage.MediaRow{Media: m})
	})
	return a, err
}

// Create makes an address that waits for its file until an instant.
// Spec: client-server-api/#post_matrixmediav1create
func (s *Service) Create(ctx context.Context, c matrix.Caller) (Address, time.Time, error) {
	a, now := newAddress(c), s.Clock()
	expires := now.Add(pendingLife)
	change := &storage.Change{}
	tooMany := matrix.LimitExceeded(time.Minute).French("Trop d'adresses attendent leur fichier.")
	change.Guard(storage.LimitPendingMedia(c.UserNID, now.UnixMilli(), now.Add(-pendingLife).UnixMilli(), pendingLimit).OrElse(tooMany))
	change.Add(&storage.MediaRow{Media: storage.Media{Origin: a.Origin, ID: a.ID, Tenant: c.Tenant, User: c.UserNID,
		Created: now.UnixMilli(), Expires: expires.UnixMilli()}})
	return a, expires, s.DB.Commit(ctx, change)
}

// Fill gives an address that was made by [Service.Create] its file.
// Spec: client-server-api/#put_matrixmediav3uploadservernamemediaid
func (s *Service) Fill(ctx context.Context, c matrix.Caller, a Address, u Upload) error {
	if err := s.fillable(ctx, c, a); err != nil {
		return err
	}
	err := s.take(ctx, c, u, func(m storage.Media, change *storage.Change) {
		m.Origin, m.ID = a.Origin, a.ID
		change.Guard(storage.FillMedia(m).OrElse(cannotOverwrite()))
	})
	if err == nil {
		s.waiting.wake(a)
	}
	return err
}

// fillable answers why a user may not give an address its file.
func (s *Service) fillable(ctx context.Context, c matrix.Caller, a Address) error {
	m, err := s.DB.FindMedia(ctx, a.Origin, a.ID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return unknown()
	case err != nil:
		return fmt.Errorf("find media: %w", err)
	case m.User != c.UserNID:
		return matrix.Forbidden("Another user made this media address.")
	case m.State != storage.MediaPending:
		return cannotOverwrite()
	case m.Expires <= s.nowMS():
		return unknown()
	}
	return nil
}

func cannotOverwrite() *matrix.Error {
	return matrix.NewError(http.StatusConflict, matrix.CodeCannotOverwriteMedia, "This media address has its content already.")
}

// take stores a file and commits what place adds, in this order: a file without a row is garbage, a row without a file
// would be a loss.
func (s *Service) take(ctx context.Context, c matrix.Caller, u Upload, place func(storage.Media, *storage.Change)) error {
	if err := s.admit(ctx, c, u.Size); err != nil {
		return err
	}
	release, err := s.uploads.take(c.User)
	if err != nil {
		return err
	}
	defer release()
	body := &bounded{r: u.Body, left: s.MaxUpload, max: s.MaxUpload}
	blob, err := s.Store.Put(ctx, c.Tenant, body)
	if body.err != nil {
		return body.err
	}
	if err != nil {
		return err
	}
	m := storage.Media{Tenant: c.Tenant, User: c.UserNID, State: storage.MediaReady, Digest: blob.Digest, Size: blob.Size,
		Type: cleanType(u.Type), Name: cleanName(u.Name), Created: s.nowMS()}
	if s.Scanner != nil {
		m.State = storage.MediaHeld
	}
	change := &storage.Change{}
	if err := s.charge(change, c, blob.Size); err != nil {
		return err
	}
	place(m, change)
	if err := s.DB.Commit(ctx, change); err != nil {
		return err
	}
	s.wakeScanner()
	return nil
}

// admit refuses what is known to be too much before it is sent.
func (s *Service) admit(ctx context.Context, c matrix.Caller, size int64) error {
	if size > s.MaxUpload {
		return tooLarge(s.MaxUpload)
	}
	if s.Quota == 0 || c.UserNID == 0 {
		return nil
	}
	used, err := s.DB.GetMediaUsage(ctx, c.UserNID)
	if err != nil {
		return fmt.Errorf("read media quota: %w", err)
	}
	if used+max(size, 0) > s.Quota {
		return overQuota()
	}
	return nil
}

// charge counts a file against the quota, in the same commit as the file's row, so that uploads at once cannot pass it.
func (s *Service) charge(change *storage.Change, c matrix.Caller, size int64) error {
	if c.UserNID == 0 {
		return nil // a picture of a preview is nobody's
	}
	quota := s.Quota
	if quota == 0 {
		quota = 1 << 62
	}
	if size > quota {
		return overQuota()
	}
	change.Guard(storage.UseMediaQuota(c.UserNID, size, quota).OrElse(overQuota()))
	return nil
}

func overQuota() *matrix.Error {
	return matrix.Forbidden("Your account has no room left for uploads. Ask an administrator.").
		French("Votre compte n'a plus de place pour des fichiers. Demandez à un administrateur.")
}

// newAddress makes an address that nobody can guess.
func newAddress(c matrix.Caller) Address {
	var b [18]byte
	_, _ = rand.Read(b[:]) // never fails, as crypto/rand promises
	return Address{Origin: c.Server, ID: base64.RawURLEncoding.EncodeToString(b[:])}
}
