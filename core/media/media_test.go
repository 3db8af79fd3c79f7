package media

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rempart/internal/matrix"
)

func TestWhatWasUploadedIsServed(t *testing.T) {
	each(t, nil, func(r *rig) {
		for _, n := range []int{0, 1, bufferSize, bufferSize + 1, testLimit} {
			data := someBytes(n, 1)
			r.serves(r.upload(user(1), data), data)
		}
		f, err := r.Open(r.t.Context(), r.upload(user(2), []byte("0123456789")), 0)
		if err != nil {
			r.t.Fatal(err)
		}
		defer f.Content.Close()
		if _, err := f.Content.Seek(7, io.SeekStart); err != nil {
			r.t.Fatal(err)
		}
		if rest, _ := io.ReadAll(f.Content); string(rest) != "789" || f.Name != "a.bin" {
			r.t.Errorf("from 7 on: %q of %q", rest, f.Name)
		}
		r.refuses(Address{"hs1", "nobody"}, matrix.CodeNotFound)
		r.refuses(Address{"elsewhere", "nobody"}, matrix.CodeNotFound)
	})
}

func TestTooLargeAndTruncatedUploadsLeaveNothing(t *testing.T) {
	each(t, nil, func(r *rig) {
		over := someBytes(testLimit+1, 1)
		for name, c := range map[string]struct {
			u    Upload
			code string
		}{
			"announced":   {file(over), matrix.CodeTooLarge},
			"unannounced": {Upload{Size: -1, Body: bytes.NewReader(over)}, matrix.CodeTooLarge},
			"cut":         {Upload{Size: 500, Body: io.MultiReader(strings.NewReader("half"), broken{io.ErrUnexpectedEOF})}, matrix.CodeUnknown},
			"reset":       {Upload{Size: -1, Body: io.MultiReader(bytes.NewReader(over[:bufferSize]), broken{errors.New("reset by peer")})}, matrix.CodeUnknown},
		} {
			if _, err := r.Upload(r.t.Context(), user(1), c.u); !matrix.HasCode(err, c.code) {
				r.t.Errorf("%s: %v, want %s", name, err, c.code)
			}
		}
		if done, not := r.files(); done+not != 0 {
			r.t.Errorf("%d files and %d unfinished ones are left", done, not)
		}
		if used, err := r.DB.GetMediaUsage(r.t.Context(), 1); used != 0 || err != nil {
			r.t.Errorf("%d bytes are counted: %v", used, err)
		}
	})
}

// broken is a body that fails.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func TestUploadsAtOnceCannotPassTheQuota(t *testing.T) {
	each(t, nil, func(r *rig) {
		var stored atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 { // each has room for itself when it begins; four have in the end
			wg.Go(func() {
				_, err := r.Upload(r.t.Context(), user(1), file(someBytes(testQuota/4, uint64(i))))
				if err == nil {
					stored.Add(1)
				} else if !matrix.HasCode(err, matrix.CodeForbidden) {
					r.t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := stored.Load(); n != 4 {
			r.t.Errorf("%d uploads passed, want 4", n)
		}
		if used, err := r.DB.GetMediaUsage(r.t.Context(), 1); used != testQuota || err != nil {
			r.t.Errorf("%d bytes are counted: %v", used, err)
		}
		if _, err := r.Upload(r.t.Context(), user(1), file([]byte("x"))); !matrix.HasCode(err, matrix.CodeForbidden) {
			r.t.Errorf("one more byte: %v", err)
		}
		r.upload(user(2), []byte("another account has its own"))
	})
}

func TestDeletionGivesTheQuotaBack(t *testing.T) {
	each(t, nil, func(r *rig) {
		a := r.upload(user(1), someBytes(1000, 1))
		if err := r.Delete(r.t.Context(), a); err != nil {
			r.t.Fatal(err)
		}
		r.refuses(a, matrix.CodeNotFound)
		if used, err := r.DB.GetMediaUsage(r.t.Context(), 1); used != 0 || err != nil {
			r.t.Errorf("%d bytes are counted: %v", used, err)
		}
		if err := r.Delete(r.t.Context(), a); !matrix.HasCode(err, matrix.CodeNotFound) {
			r.t.Errorf("deleted twice: %v", err)
		}
	})
}

func TestQuarantine(t *testing.T) {
	each(t, nil, func(r *rig) {
		data := someBytes(1000, 1)
		a, other := r.upload(user(1), data), r.upload(user(2), data)
		if err := r.Quarantine(r.t.Context(), a, "@admin:hs1"); err != nil {
			r.t.Fatal(err)
		}
		r.refuses(a, matrix.CodeNotFound)
		r.serves(other, data)
		if err := r.Quarantine(r.t.Context(), a, ""); err != nil {
			r.t.Fatal(err)
		}
		r.serves(a, data)
	})
}

func TestAnAddressIsFilledOnce(t *testing.T) {
	now := time.Now()
	var later atomic.Int64
	clock := func(o *Options) { o.Clock = func() time.Time { return now.Add(time.Duration(later.Load())) } }
	each(t, clock, func(r *rig) {
		later.Store(0)
		a, expires, err := r.Create(r.t.Context(), user(1))
		if err != nil || !expires.Equal(now.Add(pendingLife)) {
			r.t.Fatalf("expires %v: %v", expires, err)
		}
		r.refuses(a, matrix.CodeNotYetUploaded)
		if err := r.Fill(r.t.Context(), user(2), a, file(nil)); !matrix.HasCode(err, matrix.CodeForbidden) {
			r.t.Errorf("filled by another: %v", err)
		}
		var filled atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := r.Fill(r.t.Context(), user(1), a, file([]byte("content"))); err == nil {
					filled.Add(1)
				} else if !matrix.HasCode(err, matrix.CodeCannotOverwriteMedia) {
					r.t.Error(err)
				}
			})
		}
		wg.Wait()
		if filled.Load() != 1 {
			r.t.Errorf("filled %d times", filled.Load())
		}
		r.serves(a, []byte("content"))

		late, _, err := r.Create(r.t.Context(), user(1))
		if err != nil {
			r.t.Fatal(err)
		}
		later.Store(int64(pendingLife))
		if err := r.Fill(r.t.Context(), user(1), late, file(nil)); !matrix.HasCode(err, matrix.CodeNotFound) {
			r.t.Errorf("filled too late: %v", err)
		}
		r.refuses(late, matrix.CodeNotFound)
		r.sweep()
		r.serves(a, []byte("content"))
	})
}

func TestAddressesWithoutContentAreFew(t *testing.T) {
	each(t, nil, func(r *rig) {
		for range pendingLimit {
			if _, _, err := r.Create(r.t.Context(), user(1)); err != nil {
				r.t.Fatal(err)
			}
		}
		if _, _, err := r.Create(r.t.Context(), user(1)); !matrix.HasCode(err, matrix.CodeLimitExceeded) {
			r.t.Errorf("one more: %v", err)
		}
		if _, _, err := r.Create(r.t.Context(), user(2)); err != nil {
			r.t.Error(err)
		}
	})
}

func TestADownloadWaitsForTheUpload(t *testing.T) {
	each(t, nil, func(r *rig) {
		a, _, err := r.Create(r.t.Context(), user(1))
		if err != nil {
			r.t.Fatal(err)
		}
		got := make(chan error, 1)
		go func() {
			f, err := r.Open(r.t.Context(), a, time.Minute)
			if err == nil {
				err = f.Content.Close()
			}
			got <- err
		}()
		if err := r.Fill(r.t.Context(), user(1), a, file([]byte("at last"))); err != nil {
			r.t.Fatal(err)
		}
		if err := <-got; err != nil {
			r.t.Error(err)
		}
		other, _, err := r.Create(r.t.Context(), user(1))
		if err != nil {
			r.t.Fatal(err)
		}
		go func() {
			_, err := r.Open(r.t.Context(), other, time.Minute)
			got <- err
		}()
		r.Close()
		if err := <-got; !matrix.HasCode(err, matrix.CodeNotYetUploaded) {
			r.t.Errorf("who waits at the end is told %v", err)
		}
	})
}

func TestNames(t *testing.T) {
	for given, want := range map[string]string{
		"a.png": "a.png", "../../etc/passwd": "passwd", `C:\dir\x.txt`: "x.txt", "a\r\nSet-Cookie: b": "aSet-Cookie: b",
		"..": "", "é☕.jpg": "é☕.jpg", "exe\u202egnp.x": "exegnp.x", "a\x00b": "ab", "bad\xffutf": "badutf",
		strings.Repeat("é", 200): strings.Repeat("é", 127),
	} {
		if got := cleanName(given); got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
	for given, want := range map[string]string{
		"image/png": "image/png", "Text/Plain; charset=utf-8": "Text/Plain; charset=utf-8", "": "application/octet-stream",
		"no type at all;;": "application/octet-stream", "a/b\r\nX: y": "application/octet-stream",
	} {
		if got := cleanType(given); got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
	for _, id := range []string{"", "..", "a/b", "a.b", "a%2fb", strings.Repeat("a", 256)} {
		if _, err := ParseAddress("hs1", id); err == nil {
			t.Errorf("the id %q passed", id)
		}
	}
	if _, err := ParseAddress("../x", "abc"); err == nil {
		t.Error("a bad server name passed")
	}
}
