package picture

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/webp"
)

// Want says what picture is asked for.
type Want struct {
	Width, Height int
	// Crop cuts the picture to the shape of Width by Height; without it the whole picture is shown.
	Crop bool
	// Animated keeps movement where that is possible.
	Animated bool
}

// Made is a finished picture.
type Made struct {
	Data   []byte
	Format Format
}

// Enough reports whether the original itself is the answer: nothing is ever made larger, and nothing smaller than
// what was asked for. Spec: client-server-api/#thumbnails
func (i Info) Enough(w Want) bool {
	return (i.Width <= w.Width || i.Height <= w.Height) && (!i.Animated || w.Animated)
}

// Make reads a picture from its beginning and makes the one that is wanted. The caller has looked at its cost.
func Make(r io.ReadSeeker, i Info, w Want) (Made, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Made{}, err
	}
	if w.Animated && i.Format == GIF && i.Animated {
		if made, err := makeGIF(r, i, w); err == nil {
			return made, nil
		}
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return Made{}, err
		}
	}
	m, err := decode(bufio.NewReaderSize(r, 64<<10), i, w)
	if err != nil {
		return Made{}, err
	}
	b := m.Bounds()
	seen := Info{Width: b.Dx(), Height: b.Dy(), Orientation: i.Orientation}
	p := seen.turned().plan(w)
	if photo, ok := m.(*image.YCbCr); ok {
		if small, ok := scalePlanes(photo, p); ok {
			return encodeJPEG(turnPlanes(small, i.Orientation))
		}
	}
	return encode(turn(scale(m, p), i.Orientation), i.Format == PNG)
}

// decode decodes a still, or the first picture of a moving one, not larger than need be.
func decode(r *bufio.Reader, i Info, w Want) (m image.Image, err error) {
	defer func() { // Why: decoders of others have panicked on hostile files before
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrFormat, p)
		}
	}()
	switch i.Format {
	case JPEG:
		if n := i.eighthsFor(w); i.scalable && n < 8 {
			h, err := readJPEGHeader(r)
			if err != nil {
				return nil, err
			}
			if h.progressive {
				return decodeProgressive(h, r, n)
			}
			return decodeScaled(h, r, n)
		}
		return jpeg.Decode(r)
	case PNG:
		return png.Decode(r)
	case GIF:
		return gif.Decode(r)
	case WebP:
		if i.Animated {
			return decodeFirstFrame(r, i)
		}
		return webp.Decode(r)
	}
	return nil, ErrFormat
}

// eighthsFor is the least size to decode a JPEG at, in eighths, that is not smaller than what is wanted.
func (i Info) eighthsFor(w Want) int {
	p := i.plan(w)
	for _, n := range []int{1, 2, 4} {
		if i.Width*n/8 >= p.fullWidth && i.Height*n/8 >= p.fullHeight {
			return n
		}
	}
	return 8
}

// smallPNG is how many pixels of a drawing stay PNG.
const smallPNG = 96 * 96

// encode writes JPEG, or PNG where something shows through.
// Why PNG also for a small one made of PNG: those are drawings and screenshots, whose edges JPEG would blur, and it costs
// next to nothing at that size.
func encode(m *image.RGBA, drawing bool) (Made, error) {
	if m.Opaque() && !(drawing && m.Bounds().Dx()*m.Bounds().Dy() <= smallPNG) {
		return encodeJPEG(m)
	}
	var out bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestSpeed}
	err := e.Encode(&out, m)
	return Made{Data: out.Bytes(), Format: PNG}, err
}

func encodeJPEG(m image.Image) (Made, error) {
	var out bytes.Buffer
	err := jpeg.Encode(&out, m, &jpeg.Options{Quality: 82})
	return Made{Data: out.Bytes(), Format: JPEG}, err
}
