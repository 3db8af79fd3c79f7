package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"rempart/core/media/picture"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Thumbnail finds or makes a small picture of a file that is one. Where the file itself is small enough, it is the
// answer. Spec: client-server-api/#thumbnails
func (s *Service) Thumbnail(ctx context.Context, a Address, w picture.Want, wait time.Duration) (*File, error) {
	w, err := rounded(w)
	if err != nil {
		return nil, err
	}
	m, err := s.ready(ctx, a, wait)
	if err != nil {
		return nil, err
	}
	job := thumbJob{m.Tenant, string(m.Digest), kindOf(w)}
	f, err := s.storedThumb(ctx, job)
	if errors.Is(err, storage.ErrNotFound) {
		f, err = s.pictures.once(ctx, job, func() (*File, error) { return s.makeThumb(ctx, job, w) })
	}
	if err != nil {
		return nil, err
	}
	f.Created, f.Tag = time.UnixMilli(m.Created), m.ID+"-"+job.kind
	return f, nil
}

// rounded takes the next of the sizes that are made, so that nobody can have a thousand made of one picture.
func rounded(w picture.Want) (picture.Want, error) {
	if w.Width < 1 || w.Height < 1 {
		return w, matrix.InvalidParam("A thumbnail needs a width and a height above 0.")
	}
	if w.Crop { // each side for itself, which keeps squares square
		w.Width, w.Height = step(w.Width), step(w.Height)
		return w, nil
	}
	for _, size := range [][2]int{{32, 32}, {96, 96}, {320, 240}, {640, 480}, {800, 600}, {1600, 1200}} {
		if w.Width <= size[0] && w.Height <= size[1] {
			w.Width, w.Height = size[0], size[1]
			return w, nil
		}
	}
	w.Width, w.Height = whole, whole
	return w, nil
}

// whole asks for the file itself: no picture is that large.
const whole = 1 << 20

func step(side int) int {
	for _, s := range []int{32, 48, 64, 96, 128, 192, 256, 320, 480, 640, 800, 1200} {
		if side <= s {
			return s
		}
	}
	return whole
}

// kindOf names a size and method in the database: it must stay as it is.
func kindOf(w picture.Want) string {
	kind := fmt.Sprintf("%dx%d", w.Width, w.Height)
	if w.Crop {
		kind += "-crop"
	}
	if w.Animated {
		kind += "-animated"
	}
	return kind
}

// storedThumb is a thumbnail that was made before, or storage.ErrNotFound.
func (s *Service) storedThumb(ctx context.Context, job thumbJob) (*File, error) {
	t, err := s.DB.FindThumb(ctx, job.tenant, []byte(job.digest), job.kind)
	if err != nil {
		return nil, err
	}
	content, err := s.Store.Open(ctx, job.tenant, t.Made)
	if errors.Is(err, ErrNoFile) {
		return nil, storage.ErrNotFound // it can be made again
	}
	if err != nil {
		return nil, err
	}
	return &File{Type: t.Type, Content: content}, nil
}

// makeThumb makes a thumbnail and keeps it, or answers the file itself.
func (s *Service) makeThumb(ctx context.Context, job thumbJob, w picture.Want) (*File, error) {
	if f, err := s.storedThumb(ctx, job); !errors.Is(err, storage.ErrNotFound) { // somebody was quicker
		return f, err
	}
	content, err := s.openBlob(ctx, job.tenant, []byte(job.digest))
	if err != nil {
		return nil, err
	}
	info, err := picture.Probe(content)
	if err != nil {
		_ = content.Close()
		return nil, noPicture(err)
	}
	if info.Enough(w) {
		_, err := content.Seek(0, io.SeekStart)
		return &File{Type: string(info.Format), Content: content}, err
	}
	defer func() { _ = content.Close() }()
	if info.Cost(w) > s.ImageBytes {
		return nil, matrix.TooLarge("The picture is too large to make a thumbnail of it.")
	}
	made, err := picture.Make(&patient{content, ctx, time.Now().Add(patience)}, info, w)
	if err != nil {
		return nil, noPicture(err)
	}
	if err := s.keepThumb(ctx, job, made); err != nil {
		return nil, err
	}
	return &File{Type: string(made.Format), Content: inMemory{bytes.NewReader(made.Data)}}, nil
}

// keepThumb stores a thumbnail: the file first, as with uploads.
func (s *Service) keepThumb(ctx context.Context, job thumbJob, made picture.Made) error {
	blob, err := s.Store.Put(ctx, job.tenant, bytes.NewReader(made.Data))
	if err != nil {
		return err
	}
	change := &storage.Change{}
	change.Add(&storage.ThumbRow{Thumb: storage.Thumb{Tenant: job.tenant, Digest: []byte(job.digest), Kind: job.kind,
		Made: blob.Digest, Size: blob.Size, Type: string(made.Format)}})
	return s.DB.Commit(ctx, change)
}

func noPicture(cause error) error {
	return matrix.NewError(http.StatusBadRequest, matrix.CodeUnknown, "There is no thumbnail of this content.").Wrap(cause)
}

// inMemory is a made picture as a file.
type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// patience is how long one picture may take. Why: a file of many tiny scans can keep a decoder busy for hours.
const patience = 20 * time.Second

// patient is a file whose reading ends with its reader's patience, which ends the decoder too.
type patient struct {
	io.ReadSeeker
	ctx   context.Context //nolint:containedctx // Why: decoders take none
	until time.Time
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	if time.Now().After(p.until) {
		return 0, context.DeadlineExceeded
	}
	return p.ReadSeeker.Read(b)
}
