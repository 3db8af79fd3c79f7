package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"

	"rempart/core/media/picture"
	"rempart/internal/matrix"
)

func photo(t testing.TB) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 1000, 700))
	for y := range 700 {
		for x := range 1000 {
			m.Set(x, y, color.RGBA{byte(x), byte(y), byte(x + y), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (r *rig) thumb(a Address, w picture.Want) (contentType string, size image.Point) {
	r.t.Helper()
	f, err := r.Thumbnail(r.t.Context(), a, w, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Content.Close()
	m, _, err := image.Decode(f.Content)
	if err != nil {
		r.t.Fatal(err)
	}
	return f.Type, m.Bounds().Size()
}

func TestThumbnailSizes(t *testing.T) {
	each(t, nil, func(r *rig) {
		a := r.upload(user(1), photo(t))
		for _, c := range []struct {
			w    picture.Want
			size image.Point
		}{
			{picture.Want{Width: 300, Height: 200}, image.Pt(343, 240)},
			{picture.Want{Width: 90, Height: 90, Crop: true}, image.Pt(96, 96)},
			{picture.Want{Width: 90, Height: 90, Crop: true}, image.Pt(96, 96)}, // the stored one
			{picture.Want{Width: 2000, Height: 2000}, image.Pt(1000, 700)},
			{picture.Want{Width: 99999999, Height: 99999999, Crop: true}, image.Pt(1000, 700)},
		} {
			if kind, size := r.thumb(a, c.w); size != c.size || kind != "image/jpeg" {
				r.t.Errorf("%+v: %s of %v, want %v", c.w, kind, size, c.size)
			}
		}
		for _, w := range []picture.Want{{Width: 0, Height: 5}, {Width: -1, Height: 5}} {
			if _, err := r.Thumbnail(r.t.Context(), a, w, 0); !matrix.HasCode(err, matrix.CodeInvalidParam) {
				r.t.Errorf("%+v: %v", w, err)
			}
		}
	})
}

func TestWhatHasNoThumbnail(t *testing.T) {
	each(t, nil, func(r *rig) {
		var b bytes.Buffer
		if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
			r.t.Fatal(err)
		}
		bomb := b.Bytes()
		binary.BigEndian.PutUint32(bomb[16:], 60000)
		binary.BigEndian.PutUint32(bomb[20:], 60000)
		for code, data := range map[string][]byte{matrix.CodeTooLarge: bomb, matrix.CodeUnknown: []byte("<html>no picture</html>")} {
			a := r.upload(user(1), data)
			if _, err := r.Thumbnail(r.t.Context(), a, picture.Want{Width: 32, Height: 32}, 0); !matrix.HasCode(err, code) {
				r.t.Errorf("%v, want %s", err, code)
			}
		}
		if done, _ := r.files(); done != 2 {
			r.t.Errorf("%d files", done)
		}
	})
}
