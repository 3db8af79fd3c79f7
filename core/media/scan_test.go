package media

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"rempart/internal/matrix"
)

// scanner finds files that say "virus".
type scanner struct {
	gate chan error // a scan takes one; it has no verdict but this failure, where there is one
}

func (s *scanner) Scan(ctx context.Context, file io.Reader) (bool, error) {
	select {
	case failed := <-s.gate:
		if failed != nil {
			return false, failed
		}
	case <-ctx.Done():
		return false, ctx.Err()
	}
	data, err := io.ReadAll(file)
	return !bytes.Contains(data, []byte("virus")), err
}

// judge lets one scan go on, to a verdict.
func (r *rig) judge(s *scanner) {
	r.t.Helper()
	r.scan(s, nil)
}

// scan lets one scan go on, and fail where that is said.
func (r *rig) scan(s *scanner, failed error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	select {
	case s.gate <- failed:
	case <-ctx.Done():
		r.t.Fatal("nothing is scanned")
	}
}

func TestFilesWaitForTheScanner(t *testing.T) {
	s := &scanner{}
	each(t, func(o *Options) { s.gate = make(chan error); o.Scanner = s }, func(r *rig) {
		clean := r.upload(user(1), []byte("a letter"))
		r.refuses(clean, matrix.CodeNotYetUploaded)
		r.judge(s)
		if f, err := r.Open(r.t.Context(), clean, time.Minute); err != nil {
			r.t.Error(err)
		} else {
			_ = f.Content.Close()
		}
		sick := r.upload(user(1), []byte("a virus"))
		r.judge(s)
		if _, err := r.Open(r.t.Context(), sick, time.Minute); !matrix.HasCode(err, matrix.CodeForbidden) {
			r.t.Errorf("a virus: %v", err)
		}
		if used, err := r.DB.GetMediaUsage(r.t.Context(), 1); used != 8 || err != nil {
			r.t.Errorf("%d bytes are counted, want those of the letter: %v", used, err)
		}
		r.ageAll()
		if n := r.sweep(); n != 1 {
			r.t.Errorf("%d files went, want the virus", n)
		}
	})
}

func TestFilesOutlastTheScannersAbsence(t *testing.T) {
	s := &scanner{}
	each(t, func(o *Options) { s.gate = make(chan error); o.Scanner = s }, func(r *rig) {
		a := r.upload(user(1), []byte("a letter"))
		r.scan(s, errors.New("no scanner"))
		r.refuses(a, matrix.CodeNotYetUploaded)
		b := r.upload(user(1), []byte("another letter"))
		r.judge(s)
		r.judge(s)
		for _, x := range []Address{a, b} {
			if f, err := r.Open(r.t.Context(), x, time.Minute); err != nil {
				r.t.Error(err)
			} else {
				_ = f.Content.Close()
			}
		}
	})
}
