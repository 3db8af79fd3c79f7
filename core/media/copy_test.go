package media

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// shelved is a store with three files, one of which a deletion has taken away.
func shelved(t *testing.T) (*Disk, []Blob) {
	t.Helper()
	d, err := NewDisk(filepath.Join(t.TempDir(), "media"))
	if err != nil {
		t.Fatal(err)
	}
	var blobs []Blob
	for i := range 3 {
		b, err := d.Put(t.Context(), int64(1+i%2), bytes.NewReader(someBytes(1000+i, uint64(i))))
		if err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, b)
	}
	if err := os.Rename(d.path(1, blobs[2].Digest), d.awayPath(1, blobs[2].Digest)); err != nil {
		t.Fatal(err)
	}
	return d, blobs
}

func TestCopy(t *testing.T) {
	for _, link := range []bool{true, false} {
		d, blobs := shelved(t)
		to := filepath.Join(t.TempDir(), "copy")
		got, err := Copy(t.Context(), d.root, to, link)
		if err != nil || got.Files != 3 || got.Bytes != 3003 || len(got.Damaged) > 0 {
			t.Fatalf("link %v: %+v, %v", link, got, err)
		}
		if got, err := Copy(t.Context(), d.root, to, link); err != nil || got.Files != 0 {
			t.Errorf("link %v: again %+v, %v", link, got, err)
		}
		// What happens to the store from now on does not reach the copy.
		if err := os.RemoveAll(d.root); err != nil {
			t.Fatal(err)
		}
		copied, err := NewDisk(to)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range blobs {
			f, err := copied.Open(t.Context(), int64(1+i%2), b.Digest)
			if err != nil {
				t.Fatalf("link %v: file %d: %v", link, i, err)
			}
			data, err := io.ReadAll(f)
			if err != nil || !bytes.Equal(data, someBytes(1000+i, uint64(i))) {
				t.Errorf("link %v: file %d has another content (%v)", link, i, err)
			}
			_ = f.Close()
		}
	}
}

func TestCopyLeavesOutWhatIsDamaged(t *testing.T) {
	d, blobs := shelved(t)
	if err := os.WriteFile(d.path(1, blobs[0].Digest), []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy")
	got, err := Copy(t.Context(), d.root, to, false)
	if err != nil || got.Files != 2 || len(got.Damaged) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	copied, err := NewDisk(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := copied.Open(t.Context(), 1, blobs[0].Digest); err == nil {
		t.Error("the damaged file came along under its name")
	}
}
