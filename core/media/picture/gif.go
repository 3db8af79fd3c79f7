package picture

import (
	"bufio"
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"io"
)

// Bounds of a moving picture; larger ones become stills.
const (
	mostFrames     = 300
	mostFramePixel = 60 << 20 // of all frames together
)

var errTooLong = errors.New("picture: too long a film")

// countFrames counts the pictures of a GIF without decoding them, up to a most. Spec: GIF89a, appendix B
func countFrames(r *bufio.Reader, most int) (int, error) {
	head := make([]byte, 13)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, ErrFormat
	}
	if err := skipPalette(r, head[10]); err != nil {
		return 0, err
	}
	for n := 0; ; {
		kind, err := r.ReadByte()
		switch {
		case err != nil || kind == ';' || n >= most:
			return n, nil // a film that is cut short still has its first pictures
		case kind == '!':
			_, err = r.Discard(1)
		case kind == ',':
			n++
			err = skipDescriptor(r)
		default:
			return n, nil
		}
		if err == nil {
			err = skipBlocks(r)
		}
		if err != nil {
			return n, nil //nolint:nilerr // as above
		}
	}
}

func skipDescriptor(r *bufio.Reader) error {
	d := make([]byte, 9)
	if _, err := io.ReadFull(r, d); err != nil {
		return err
	}
	if err := skipPalette(r, d[8]); err != nil {
		return err
	}
	_, err := r.Discard(1) // the size of codes
	return err
}

func skipPalette(r *bufio.Reader, flags byte) error {
	if flags&0x80 == 0 {
		return nil
	}
	_, err := r.Discard(3 << (1 + flags&7))
	return err
}

func skipBlocks(r *bufio.Reader) error {
	for {
		n, err := r.ReadByte()
		if err != nil || n == 0 {
			return err
		}
		if _, err := r.Discard(int(n)); err != nil {
			return err
		}
	}
}

// makeGIF shrinks every picture of a film.
func makeGIF(r io.ReadSeeker, i Info, w Want) (made Made, err error) {
	defer func() { // as in decode
		if p := recover(); p != nil {
			err = ErrFormat
		}
	}()
	frames, err := countFrames(bufio.NewReader(r), mostFrames+1)
	if err != nil || frames > mostFrames || int64(frames)*int64(i.Width)*int64(i.Height) > mostFramePixel {
		return Made{}, errTooLong
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Made{}, err
	}
	film, err := gif.DecodeAll(bufio.NewReader(r))
	if err != nil {
		return Made{}, err
	}
	small := shrinkFilm(film, i, i.plan(w))
	var out bytes.Buffer
	if err := gif.EncodeAll(&out, small); err != nil {
		return Made{}, err
	}
	return Made{Data: out.Bytes(), Format: GIF}, nil
}

// shrinkFilm plays the film on a canvas and takes a small picture of the whole canvas for each of its pictures.
func shrinkFilm(film *gif.GIF, i Info, p plan) *gif.GIF {
	canvas := image.NewRGBA(image.Rect(0, 0, i.Width, i.Height))
	out := &gif.GIF{LoopCount: film.LoopCount}
	for k, frame := range film.Image {
		var before *image.RGBA
		if film.Disposal[k] == gif.DisposalPrevious {
			before = image.NewRGBA(canvas.Rect)
			copy(before.Pix, canvas.Pix)
		}
		draw.Draw(canvas, frame.Rect, frame, frame.Rect.Min, draw.Over)
		out.Image = append(out.Image, paletted(scale(canvas, p), frame.Palette))
		out.Delay = append(out.Delay, film.Delay[k])
		out.Disposal = append(out.Disposal, gif.DisposalBackground)
		switch film.Disposal[k] {
		case gif.DisposalBackground:
			draw.Draw(canvas, frame.Rect, image.Transparent, image.Point{}, draw.Src)
		case gif.DisposalPrevious:
			canvas = before
		}
	}
	return out
}

// paletted takes the nearest colours of the palette that the picture had. Colours are looked up by their upper five
// bits, each of which is compared with the palette once.
func paletted(m *image.RGBA, palette color.Palette) *image.Paletted {
	p := append(color.Palette(nil), palette...)
	if len(p) < 256 {
		p = append(p, color.RGBA{})
	}
	nothing := p.Index(color.RGBA{})
	out := image.NewPaletted(m.Rect, p)
	var known [1 << 15]int16 // index + 1
	for k := range out.Pix {
		c := m.Pix[4*k : 4*k+4]
		if c[3] < 128 {
			out.Pix[k] = uint8(nothing)
			continue
		}
		key := int(c[0]>>3)<<10 | int(c[1]>>3)<<5 | int(c[2]>>3)
		if known[key] == 0 {
			known[key] = int16(p.Index(color.RGBA{c[0], c[1], c[2], 255})) + 1
		}
		out.Pix[k] = uint8(known[key] - 1)
	}
	return out
}
