package picture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"image/gif"
	"io"
	"math"
)

// ErrFormat says that the file is no picture of a kind that is known here, or a damaged one.
var ErrFormat = errors.New("picture: not a JPEG, PNG, GIF or WebP picture")

// Format is the kind of a picture, by its content type.
type Format string

// The formats.
const (
	JPEG Format = "image/jpeg"
	PNG  Format = "image/png"
	GIF  Format = "image/gif"
	WebP Format = "image/webp"
)

// Info is what the headers of a picture say.
type Info struct {
	Format        Format
	Width, Height int // as seen, that is after turning
	Orientation   int // 1 to 8, as EXIF counts
	Animated      bool
	// scalable: a JPEG that can be decoded at a part of its size.
	scalable    bool
	progressive bool
	// bytesPerPixel is what decoding takes, in eighths of a byte.
	eighths int64
}

// Cost is how many bytes decoding takes to make a picture of about that size.
func (i Info) Cost(w Want) int64 {
	pixels := int64(i.Width) * int64(i.Height)
	if pixels > mostPixels {
		return math.MaxInt64
	}
	if i.scalable {
		n, kept := int64(i.eighthsFor(w)), int64(0)
		if i.progressive {
			kept = 2*(n*n+n*n/2+1) + 8 // about what stands in [blocks] of each
		}
		if n < 8 {
			return pixels * 3 * (n*n + kept) / 64
		}
	}
	return pixels * i.eighths / 8
}

// mostPixels bounds the time that a picture takes, also where it takes little memory.
const mostPixels = 200_000_000

// Probe reads the headers of a picture and nothing else.
func Probe(r io.ReadSeeker) (Info, error) {
	var magic [12]byte
	if _, err := io.ReadFull(r, magic[:]); err != nil {
		return Info{}, ErrFormat
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Info{}, err
	}
	b := bufio.NewReader(r)
	switch {
	case magic[0] == 0xff && magic[1] == markSOI:
		return probeJPEG(b)
	case string(magic[:8]) == "\x89PNG\r\n\x1a\n":
		return probePNG(b)
	case string(magic[:6]) == "GIF87a" || string(magic[:6]) == "GIF89a":
		return probeGIF(r)
	case string(magic[:4]) == "RIFF" && string(magic[8:12]) == "WEBP":
		return probeWebP(b)
	}
	return Info{}, ErrFormat
}

func probeJPEG(r *bufio.Reader) (Info, error) {
	h, err := readJPEGHeader(r)
	if err != nil {
		return Info{}, err
	}
	i := Info{Format: JPEG, Width: h.width, Height: h.height, Orientation: h.orientation, scalable: h.scalable(), progressive: h.progressive, eighths: 24}
	if len(h.components) == 4 {
		i.eighths = 64
	}
	if h.process >= markSOF2 { // coefficients of the whole picture are kept while it arrives, four bytes each
		i.eighths = 40 * int64(len(h.components))
	}
	return i.turned(), nil
}

// turned swaps the measures of a picture that lies on its side.
func (i Info) turned() Info {
	if i.Orientation > 4 {
		i.Width, i.Height = i.Height, i.Width
	}
	return i
}

// probePNG reads the header, and looks for what makes a PNG move: an acTL chunk before the first data.
// Spec: www.w3.org/TR/png-3/#11IHDR, #acTL-chunk
func probePNG(r *bufio.Reader) (Info, error) {
	head, err := r.Peek(33)
	if err != nil || string(head[12:16]) != "IHDR" {
		return Info{}, ErrFormat
	}
	i := Info{Format: PNG, Orientation: 1, eighths: 40}
	i.Width, i.Height = int(binary.BigEndian.Uint32(head[16:])), int(binary.BigEndian.Uint32(head[20:]))
	if i.Width < 1 || i.Height < 1 || i.Width > mostSide || i.Height > mostSide {
		return Info{}, ErrFormat
	}
	if head[24] == 16 {
		i.eighths *= 2
	}
	if head[28] != 0 { // interlaced: passes are decoded apart
		i.eighths *= 2
	}
	_, _ = r.Discard(33) // it was peeked
	for range 64 {
		var chunk [8]byte
		if _, err := io.ReadFull(r, chunk[:]); err != nil {
			break
		}
		name := string(chunk[4:])
		if i.Animated = name == "acTL"; i.Animated || name == "IDAT" {
			break
		}
		if _, err := r.Discard(int(binary.BigEndian.Uint32(chunk[:])) + 4); err != nil {
			break
		}
	}
	return i, nil
}

// mostSide is the longest side of a picture that is looked at further.
const mostSide = 1 << 17

func probeGIF(r io.ReadSeeker) (Info, error) {
	c, err := gif.DecodeConfig(bufio.NewReader(r))
	if err != nil || c.Width == 0 || c.Height == 0 {
		return Info{}, ErrFormat
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Info{}, err
	}
	frames, _ := countFrames(bufio.NewReader(r), 2)
	return Info{Format: GIF, Width: c.Width, Height: c.Height, Orientation: 1, Animated: frames > 1, eighths: 40}, nil
}
