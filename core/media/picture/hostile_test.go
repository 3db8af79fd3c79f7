package picture

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"testing"
)

// costly reports whether decoding is refused by its cost, or the file as no picture.
func costly(data []byte, budget int64) bool {
	i, err := Probe(bytes.NewReader(data))
	return err != nil || i.Cost(Want{Width: 96, Height: 96}) > budget
}

// bombs are small files that say that they are large.
func bombs(t testing.TB) map[string][]byte {
	t.Helper()
	p := asPNG(t, image.NewGray(image.Rect(0, 0, 1, 1)))
	binary.BigEndian.PutUint32(p[16:], 60000)
	binary.BigEndian.PutUint32(p[20:], 60000)
	g := film(t, 1)
	binary.LittleEndian.PutUint16(g[6:], 65000)
	binary.LittleEndian.PutUint16(g[8:], 65000)
	j := asJPEG(t, image.NewRGBA(image.Rect(0, 0, 8, 8)))
	at := bytes.Index(j, []byte{0xff, markSOF0})
	binary.BigEndian.PutUint16(j[at+5:], 65000)
	binary.BigEndian.PutUint16(j[at+7:], 65000)
	progressive := bytes.Clone(j)
	progressive[at+1] = markSOF2
	w := stillWebP(t)
	large := bytes.Clone(w)
	large[21], large[22], large[23], large[24] = 0xff, 0xff, 0xff, 0x0f // VP8L: 16384 by 16384
	// lying: the container says that it is small, the picture is not.
	lying := append([]byte("RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x01\x00\x00"), large[12:]...)
	return map[string][]byte{"png": p, "gif": g, "jpeg": j, "progressive": progressive, "webp": large, "lying webp": lying}
}

// stillWebP is a lossless WebP.
func stillWebP(t testing.TB) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBombsAreRefusedBeforeTheyAreDecoded(t *testing.T) {
	for name, data := range bombs(t) {
		if !costly(data, 256<<20) {
			t.Errorf("%s passed", name)
		}
	}
	if costly(asJPEG(t, photo(400, 300)), 256<<20) || costly(stillWebP(t), 256<<20) {
		t.Error("honest pictures were refused")
	}
}

func TestWebP(t *testing.T) {
	i, _, m := produce(t, stillWebP(t), Want{Width: 96, Height: 96})
	if i.Format != WebP || i.Width != 1 || m.Bounds().Dx() != 1 {
		t.Errorf("%+v, %v", i, m.Bounds())
	}
	// The same as the first picture of a film.
	still := stillWebP(t)
	size := binary.LittleEndian.Uint32(still[16:])
	frame := append(make([]byte, 16), still[12:20+size+size&1]...)
	film := append([]byte("RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "ANIM\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	film = append(film, "ANMF"...)
	film = binary.LittleEndian.AppendUint32(film, uint32(len(frame)))
	film = append(film, frame...)
	i, made, _ := produce(t, film, Want{Width: 96, Height: 96})
	if !i.Animated || made.Format != JPEG && made.Format != PNG {
		t.Errorf("%+v made a %s", i, made.Format)
	}
}

func TestDamagedPicturesAreRefused(t *testing.T) {
	whole := asJPEG(t, photo(640, 480))
	for name, data := range map[string][]byte{
		"empty": nil, "text": []byte("hello, world, this is no picture"), "svg": []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`),
		"cut": whole[:len(whole)/2], "header only": whole[:300], "cut film": film(t, 3)[:60], "cut webp": stillWebP(t)[:24],
	} {
		i, err := Probe(bytes.NewReader(data))
		if err == nil {
			_, err = Make(bytes.NewReader(data), i, Want{Width: 32, Height: 32})
		}
		if err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

func TestColourModels(t *testing.T) {
	deep := image.NewNRGBA64(image.Rect(0, 0, 60, 60))
	wheel := image.NewPaletted(image.Rect(0, 0, 60, 60), color.Palette{color.RGBA{255, 0, 0, 255}})
	for y := range 60 {
		for x := range 60 {
			deep.Set(x, y, color.RGBA{255, 0, 0, 255})
		}
	}
	for _, m := range []image.Image{deep, wheel} {
		_, _, got := produce(t, asPNG(t, m), Want{Width: 30, Height: 30})
		if r, g, b, a := got.At(15, 15).RGBA(); r < 0xf000 || g > 0x0800 || b > 0x0800 || a != 0xffff {
			t.Errorf("%T: %v, want red", m, got.At(15, 15))
		}
	}
}

func FuzzPictures(f *testing.F) {
	f.Add(asJPEG(f, photo(64, 48)), 16, true)
	f.Add(asPNG(f, photo(64, 48)), 16, false)
	f.Add(film(f, 3), 16, true)
	f.Add(stillWebP(f), 16, false)
	for _, b := range bombs(f) {
		f.Add(b, 32, false)
	}
	f.Fuzz(func(t *testing.T, data []byte, side int, flag bool) {
		w := Want{Width: 1 + side&1023, Height: 1 + side>>10&1023, Crop: flag, Animated: !flag}
		i, err := Probe(bytes.NewReader(data))
		if err != nil || i.Cost(w) > 4<<20 || i.Enough(w) && int64(i.Width)*int64(i.Height) > 1<<20 {
			return
		}
		made, err := Make(bytes.NewReader(data), i, w)
		if err != nil {
			return
		}
		if _, _, err := image.Decode(bytes.NewReader(made.Data)); err != nil {
			t.Errorf("made what cannot be decoded: %v", err)
		}
	})
}

func TestDecodersAgreeOnRefusal(t *testing.T) {
	data := asJPEG(t, photo(64, 64))
	data = append(data[:len(data)-40], 0xff, markEOI)
	if _, err := jpeg.Decode(bytes.NewReader(data)); err == nil {
		t.Skip("the standard decoder takes it")
	}
	i, err := Probe(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Make(bytes.NewReader(data), i, Want{Width: 16, Height: 16}); !errors.Is(err, ErrFormat) {
		t.Errorf("a picture that ends early: %v", err)
	}
}
