package picture

import (
	"bytes"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"
)

// progressives are photos that another program wrote, in several samplings, with and without restarts.
func progressives(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.jpg")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	out := map[string][]byte{}
	for _, file := range files {
		if out[file], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestProgressivePhotosLookLikeTheAverageOfTheWhole(t *testing.T) {
	for name, data := range progressives(t) {
		i, err := Probe(bytes.NewReader(data))
		if err != nil || !i.scalable || !i.progressive {
			t.Fatalf("%s: %+v, %v", name, i, err)
		}
		whole, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range []Want{{Width: 41, Height: 27}, {Width: 80, Height: 50}, {Width: 160, Height: 100}} {
			_, _, got := produce(t, data, w)
			b := got.Bounds()
			want := scale(whole, plan{fullWidth: b.Dx(), fullHeight: b.Dy(), width: b.Dx(), height: b.Dy()})
			if d := difference(t, want, got); d > 4 {
				t.Errorf("%s at %v differs by %.2f", name, b, d)
			}
		}
	}
}

// Cameras write marks from which a decoder can begin again.
func TestPhotosWithRestarts(t *testing.T) {
	data, err := os.ReadFile("testdata/sequential/restart.jpg")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []Want{{Width: 41, Height: 27}, {Width: 80, Height: 50}, {Width: 160, Height: 100}} {
		i, _, got := produce(t, data, w)
		b := got.Bounds()
		want := scale(whole, plan{fullWidth: b.Dx(), fullHeight: b.Dy(), width: b.Dx(), height: b.Dy()})
		if d := difference(t, want, got); d > 4 || !i.scalable {
			t.Errorf("%v differs by %.2f", b, d)
		}
	}
}

// The same photo with marks and without is the same. Why not compared with the standard library: it does not read these.
func TestProgressivePhotosWithRestarts(t *testing.T) {
	for _, name := range []string{"wide.jpg", "grey.jpg"} {
		plain, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		marked, err := os.ReadFile(filepath.Join("testdata/restarts", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range []Want{{Width: 41, Height: 27}, {Width: 80, Height: 50}, {Width: 160, Height: 100}} {
			_, a, _ := produce(t, plain, w)
			_, b, _ := produce(t, marked, w)
			if !bytes.Equal(a.Data, b.Data) {
				t.Errorf("%s at %v is another with marks", name, w)
			}
		}
	}
}

// A progressive photo that ends early, or is damaged, is refused or shown, and never breaks anything.
func TestDamagedProgressivePhotos(t *testing.T) {
	for name, data := range progressives(t) {
		i, err := Probe(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Make(bytes.NewReader(data[:len(data)/2]), i, Want{Width: 80, Height: 50}); err == nil {
			t.Errorf("%s: half of it makes a picture", name)
		}
		for at := 20; at < len(data); at += 7 {
			broken := bytes.Clone(data)
			broken[at] ^= 0x55
			if i, err := Probe(bytes.NewReader(broken)); err == nil && i.Cost(Want{Width: 80, Height: 50}) < 1<<24 {
				_, _ = Make(bytes.NewReader(broken), i, Want{Width: 80, Height: 50})
			}
		}
	}
}
