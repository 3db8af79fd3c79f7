package media

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"rempart/core/media/picture"
	"rempart/internal/matrix"
)

func TestGarbageOfACrashIsSwept(t *testing.T) {
	each(t, nil, func(r *rig) {
		kept, lost := someBytes(1000, 1), someBytes(1000, 2)
		a := r.upload(user(1), kept)
		// A crash between file and row leaves the file; one during the upload leaves an unfinished one.
		if _, err := r.disk.Put(r.t.Context(), 1, bytes.NewReader(lost)); err != nil {
			r.t.Fatal(err)
		}
		half := filepath.Join(r.disk.root, "tmp", "half")
		if err := os.WriteFile(half, lost[:10], 0o600); err != nil {
			r.t.Fatal(err)
		}
		if n := r.sweep(); n != 0 {
			r.t.Errorf("%d young files were swept", n)
		}
		if done, not := r.files(); done != 2 || not != 1 {
			r.t.Errorf("%d files, %d unfinished", done, not)
		}
		r.age(1, kept)
		r.age(1, lost)
		old := time.Now().Add(-2 * sweepAge)
		if err := os.Chtimes(half, old, old); err != nil {
			r.t.Fatal(err)
		}
		if n := r.sweep(); n != 1 {
			r.t.Errorf("%d files were swept, want 1", n)
		}
		if done, not := r.files(); done != 1 || not != 0 {
			r.t.Errorf("%d files, %d unfinished", done, not)
		}
		r.serves(a, kept)
	})
}

func TestAnInterruptedDeletionIsUndone(t *testing.T) {
	each(t, nil, func(r *rig) {
		data := someBytes(1000, 1)
		a := r.upload(user(1), data)
		digest := sha256.Sum256(data)
		if err := os.Rename(r.disk.path(1, digest[:]), r.disk.awayPath(1, digest[:])); err != nil {
			r.t.Fatal(err)
		}
		if _, err := NewDisk(r.disk.root); err != nil {
			r.t.Fatal(err)
		}
		r.serves(a, data)
	})
}

func TestSameContentIsKeptOnceForEachTenant(t *testing.T) {
	each(t, nil, func(r *rig) {
		data := someBytes(5000, 1)
		elsewhere := matrix.Caller{Tenant: 2, User: "@x:hs2", UserNID: 9, Server: "hs2"}
		a, b, c := r.upload(user(1), data), r.upload(user(2), data), r.upload(elsewhere, data)
		if done, _ := r.files(); done != 2 || a == b {
			r.t.Errorf("%d files, want one for each tenant", done)
		}
		for tenant := range int64(2) {
			r.age(tenant+1, data)
		}
		for i, gone := range []Address{a, c, b} {
			if err := r.Delete(r.t.Context(), gone); err != nil {
				r.t.Fatal(err)
			}
			if n := r.sweep(); n != min(i, 1) {
				r.t.Errorf("deletion %d swept %d files", i, n)
			}
			if i < 2 {
				r.serves(b, data)
			}
		}
	})
}

// TestUploadsMeetTheSweep uploads what is old garbage while it is being swept. Whatever comes first, what was
// acknowledged is there.
func TestUploadsMeetTheSweep(t *testing.T) {
	each(t, nil, func(r *rig) {
		for i := range 40 {
			data := someBytes(3000, uint64(i))
			if _, err := r.disk.Put(r.t.Context(), 1, bytes.NewReader(data)); err != nil {
				r.t.Fatal(err)
			}
			r.age(1, data)
			var wg sync.WaitGroup
			made := make([]Address, 3)
			for k := range made {
				wg.Go(func() { made[k] = r.upload(user(int64(k)), data) })
			}
			wg.Go(func() { r.sweep() })
			wg.Wait()
			for _, a := range made {
				r.serves(a, data)
			}
		}
		if _, not := r.files(); not != 0 {
			r.t.Errorf("%d unfinished files", not)
		}
	})
}

func TestThumbnailsAreMadeOnceAndGoWithTheirContent(t *testing.T) {
	each(t, nil, func(r *rig) {
		data := photo(t)
		a := r.upload(user(1), data)
		want := picture.Want{Width: 90, Height: 90, Crop: true}
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if f, err := r.Thumbnail(r.t.Context(), a, want, 0); err != nil {
					r.t.Error(err)
				} else {
					_ = f.Content.Close()
				}
			})
		}
		wg.Wait()
		if done, _ := r.files(); done != 2 {
			r.t.Errorf("%d files, want the picture and one thumbnail", done)
		}
		r.ageAll()
		if n := r.sweep(); n != 0 {
			r.t.Errorf("%d files in use were swept", n)
		}
		if err := r.Delete(r.t.Context(), a); err != nil {
			r.t.Fatal(err)
		}
		r.ageAll()
		r.sweep() // takes the content and forgets its thumbnails
		r.sweep()
		if done, _ := r.files(); done != 0 {
			r.t.Errorf("%d files are left", done)
		}
	})
}

// ageAll makes all files look old.
func (r *rig) ageAll() {
	r.t.Helper()
	err := r.disk.List(r.t.Context(), func(tenant int64, _ []byte, digests [][]byte) error {
		for _, d := range digests {
			old := time.Now().Add(-2 * sweepAge)
			if err := os.Chtimes(r.disk.path(tenant, d), old, old); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}
