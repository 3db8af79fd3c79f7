package picture

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"rempart/internal/testkit/cputime"
)

// photo is a picture with shades, edges and noise.
func photo(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	rnd := rand.New(rand.NewPCG(1, 2))
	for y := range h {
		wave := math.Sin(float64(y)/53) * 60
		for x := range w {
			v := 128 + wave*math.Cos(float64(x)/37) + float64(rnd.IntN(16)-8)
			if (x/200+y/200)%7 == 0 {
				v = 40
			}
			c := func(d int) byte { return byte(max(0, min(255, int(v)+d))) }
			copy(m.Pix[m.PixOffset(x, y):], []byte{c(x * 50 / w), c(0), c(-y * 50 / h), 255})
		}
	}
	return m
}

func asJPEG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// make probes and makes.
func produce(t testing.TB, data []byte, w Want) (Info, Made, image.Image) {
	t.Helper()
	i, err := Probe(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	made, err := Make(bytes.NewReader(data), i, w)
	if err != nil {
		t.Fatal(err)
	}
	m, format, err := image.Decode(bytes.NewReader(made.Data))
	if err != nil || "image/"+format != string(made.Format) {
		t.Fatalf("%v is %s: %v", made.Format, format, err)
	}
	return i, made, m
}

// difference is the mean distance of two pictures' samples.
func difference(t testing.TB, a, b image.Image) float64 {
	t.Helper()
	if a.Bounds().Size() != b.Bounds().Size() {
		t.Fatalf("%v is not %v", a.Bounds(), b.Bounds())
	}
	sum := 0.0
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			ca := color.RGBAModel.Convert(a.At(a.Bounds().Min.X+x, a.Bounds().Min.Y+y)).(color.RGBA)
			cb := color.RGBAModel.Convert(b.At(b.Bounds().Min.X+x, b.Bounds().Min.Y+y)).(color.RGBA)
			sum += math.Abs(float64(ca.R)-float64(cb.R)) + math.Abs(float64(ca.G)-float64(cb.G)) +
				math.Abs(float64(ca.B)-float64(cb.B)) + math.Abs(float64(ca.A)-float64(cb.A))
		}
	}
	return sum / float64(a.Bounds().Dx()*a.Bounds().Dy()*4)
}

func TestScaledDecodingLooksLikeTheAverageOfTheWhole(t *testing.T) {
	for _, m := range []image.Image{photo(640, 480), photo(333, 217), grey(photo(301, 199))} {
		data := asJPEG(t, m)
		whole, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 2, 4} {
			r := bufio.NewReader(bytes.NewReader(data))
			h, err := readJPEGHeader(r)
			if err != nil || !h.scalable() {
				t.Fatalf("not scalable: %v", err)
			}
			got, err := decodeScaled(h, r, n)
			if err != nil {
				t.Fatal(err)
			}
			b := got.Bounds()
			want := scale(whole, plan{fullWidth: b.Dx(), fullHeight: b.Dy(), width: b.Dx(), height: b.Dy()})
			if d := difference(t, want, got); d > 4 {
				t.Errorf("%v at %d/8 differs by %.2f", m.Bounds(), n, d)
			}
		}
	}
}

func grey(m image.Image) image.Image {
	g := image.NewGray(m.Bounds())
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			g.Set(x, y, m.At(x, y))
		}
	}
	return g
}

func TestMeasures(t *testing.T) {
	data := asJPEG(t, photo(1200, 900))
	for _, c := range []struct {
		want          Want
		width, height int
	}{
		{Want{Width: 320, Height: 240}, 320, 240},
		{Want{Width: 320, Height: 100}, 320, 240},
		{Want{Width: 100, Height: 240}, 320, 240},
		{Want{Width: 96, Height: 96, Crop: true}, 96, 96},
		{Want{Width: 300, Height: 100, Crop: true}, 300, 100},
		{Want{Width: 1, Height: 1}, 2, 1},
	} {
		_, _, m := produce(t, data, c.want)
		if m.Bounds().Dx() != c.width || m.Bounds().Dy() != c.height {
			t.Errorf("%+v: %v, want %d×%d", c.want, m.Bounds(), c.width, c.height)
		}
	}
	i, _ := Probe(bytes.NewReader(data))
	if !i.Enough(Want{Width: 1200, Height: 1}) || i.Enough(Want{Width: 1199, Height: 899}) {
		t.Error("nothing may be made larger, and what is larger is made smaller")
	}
}

func TestCropTakesTheMiddle(t *testing.T) {
	m := image.NewRGBA(image.Rect(0, 0, 300, 100))
	for x := range 300 {
		for y := range 100 {
			m.Set(x, y, []color.Color{color.RGBA{255, 0, 0, 255}, color.RGBA{0, 255, 0, 255}, color.RGBA{0, 0, 255, 255}}[x/100])
		}
	}
	_, _, got := produce(t, asPNG(t, m), Want{Width: 50, Height: 50, Crop: true})
	for _, at := range []image.Point{{2, 2}, {47, 47}} {
		if r, g, b, _ := got.At(at.X, at.Y).RGBA(); g < 0xf000 || r > 0x1000 || b > 0x1000 {
			t.Errorf("%v is %v, want green", at, got.At(at.X, at.Y))
		}
	}
}

func TestOrientations(t *testing.T) {
	upright := image.NewRGBA(image.Rect(0, 0, 64, 32))
	for y := range 32 {
		for x := range 64 {
			upright.Set(x, y, color.RGBA{byte(x * 4), byte(y * 8), 128, 255})
		}
	}
	for o := 1; o <= 8; o++ {
		// lie is the picture as the camera stored it: turning it must give the upright one.
		w, h := 64, 32
		if o > 4 {
			w, h = 32, 64
		}
		lie := image.NewRGBA(image.Rect(0, 0, w, h))
		for y := range 32 {
			for x := range 64 {
				fx, fy := lying(o, x, y, w, h)
				lie.Set(fx, fy, upright.At(x, y))
			}
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, lie, &jpeg.Options{Quality: 100}); err != nil {
			t.Fatal(err)
		}
		i, _, got := produce(t, withOrientation(b.Bytes(), o), Want{Width: 32, Height: 16})
		if i.Orientation != o || i.Width != 64 || i.Height != 32 {
			t.Errorf("orientation %d read as %+v", o, i)
		}
		want := scale(upright, Info{Width: 64, Height: 32}.plan(Want{Width: 32, Height: 16}))
		if d := difference(t, want, got); d > 6 {
			t.Errorf("orientation %d is off by %.1f", o, d)
		}
	}
}

// corner names where the upper left of each orientation's upright picture is in the stored one. Spec: EXIF 2.3, 4.6.4
func TestOrientationsMeanWhatEXIFSays(t *testing.T) {
	for o, want := range map[int]image.Point{1: {0, 0}, 2: {9, 0}, 3: {9, 4}, 4: {0, 4}, 5: {0, 0}, 6: {0, 4}, 7: {9, 4}, 8: {9, 0}} {
		if x, y := lying(o, 0, 0, 10, 5); x != want.X || y != want.Y {
			t.Errorf("orientation %d begins at %d,%d, want %v", o, x, y, want)
		}
	}
}

// withOrientation puts an EXIF segment behind the first marker.
func withOrientation(data []byte, o int) []byte {
	tiff := []byte{'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, byte(o), 0, 0, 0, 0, 0, 0}
	segment := append([]byte("Exif\x00\x00"), tiff...)
	head := []byte{0xff, 0xd8, 0xff, 0xe1, 0, byte(len(segment) + 2)}
	return append(append(head, segment...), data[2:]...)
}

func TestWhatShowsThroughStaysSo(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 100, 100))
	for y := range 100 {
		for x := range 100 {
			m.Set(x, y, color.NRGBA{200, 100, 50, byte(x * 255 / 99)})
		}
	}
	_, made, got := produce(t, asPNG(t, m), Want{Width: 50, Height: 50})
	if made.Format != PNG {
		t.Fatalf("made a %s", made.Format)
	}
	if _, _, _, a := got.At(0, 25).RGBA(); a > 0x0a00 {
		t.Errorf("the left edge has alpha %x", a)
	}
	if r, _, _, a := got.At(49, 25).RGBA(); a < 0xf000 || r < 0xb000 {
		t.Errorf("the right edge is %v", got.At(49, 25))
	}
}

func film(t testing.TB, n int) []byte {
	t.Helper()
	g := &gif.GIF{}
	for k := range n {
		p := image.NewPaletted(image.Rect(0, 0, 200, 100), color.Palette{color.Black, color.RGBA{255, 0, 0, 255}, color.RGBA{0, 0, 255, 255}})
		for x := range 200 {
			for y := range 100 {
				p.SetColorIndex(x, y, uint8((x/50+k)%3))
			}
		}
		g.Image, g.Delay = append(g.Image, p), append(g.Delay, 7)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFilms(t *testing.T) {
	data := film(t, 5)
	i, made, _ := produce(t, data, Want{Width: 50, Height: 20, Animated: true})
	if !i.Animated || made.Format != GIF {
		t.Fatalf("animated %v, made %s", i.Animated, made.Format)
	}
	small, err := gif.DecodeAll(bytes.NewReader(made.Data))
	if err != nil || len(small.Image) != 5 || small.Delay[3] != 7 || small.Config.Width != 50 || small.Config.Height != 25 {
		t.Errorf("%d pictures of %d×%d: %v", len(small.Image), small.Config.Width, small.Config.Height, err)
	}
	if r, _, b, _ := small.Image[1].At(6, 10).RGBA(); r != 0xffff || b != 0 {
		t.Errorf("the second picture begins with %v", small.Image[1].At(6, 10))
	}
	if _, made, _ := produce(t, data, Want{Width: 50, Height: 20}); made.Format == GIF {
		t.Error("a still was asked for")
	}
	if i.Enough(Want{Width: 500, Height: 500}) || !i.Enough(Want{Width: 500, Height: 500, Animated: true}) {
		t.Error("a small film is enough only where movement is wanted")
	}
	if _, made, _ := produce(t, data, Want{Width: 500, Height: 500}); made.Format == GIF {
		t.Error("a film that is small enough must be stilled too")
	}
	if i, made, _ := produce(t, film(t, 1), Want{Width: 50, Height: 20, Animated: true}); i.Animated || made.Format == GIF {
		t.Error("one picture is no film")
	}
}

// BenchmarkTwelveMegapixels makes thumbnails of a JPEG, of a PNG, and of the file that REMPART_BENCH_PICTURE names: a
// progressive JPEG, say, which nothing in Go writes.
func BenchmarkTwelveMegapixels(b *testing.B) {
	b.Run("jpeg", func(b *testing.B) { benchmarkPicture(b, asJPEG(b, photo(4000, 3000))) })
	b.Run("png", func(b *testing.B) {
		var data bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&data, photo(4000, 3000)); err != nil {
			b.Fatal(err)
		}
		benchmarkPicture(b, data.Bytes())
	})
	if path := os.Getenv("REMPART_BENCH_PICTURE"); path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("file", func(b *testing.B) { benchmarkPicture(b, data) })
	}
}

func benchmarkPicture(b *testing.B, data []byte) {
	for _, w := range []Want{{Width: 96, Height: 96, Crop: true}, {Width: 320, Height: 240}, {Width: 800, Height: 600}, {Width: 1600, Height: 1200}} {
		b.Run(fmt.Sprintf("%dx%d", w.Width, w.Height), func(b *testing.B) {
			before := cputime.Used()
			for b.Loop() {
				produceBench(b, data, w)
			}
			b.ReportMetric(float64((cputime.Used()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}

func produceBench(b *testing.B, data []byte, w Want) {
	i, err := Probe(bytes.NewReader(data))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := Make(bytes.NewReader(data), i, w); err != nil {
		b.Fatal(err)
	}
}
