package picture

import (
	"bufio"
	"encoding/binary"
	"io"
)

// Markers. Spec: ITU-T T.81, table B.1
const (
	markSOF0 = 0xc0 // baseline
	markSOF1 = 0xc1 // extended sequential
	markSOF2 = 0xc2 // progressive
	markDHT  = 0xc4
	markRST0 = 0xd0
	markSOI  = 0xd8
	markEOI  = 0xd9
	markSOS  = 0xda
	markDQT  = 0xdb
	markDRI  = 0xdd
	markAPP1 = 0xe1
	markAPPE = 0xee
)

// jpegHeader is what stands before the first scan of a JPEG.
type jpegHeader struct {
	width, height int
	orientation   int  // 1 to 8, as EXIF counts
	process       byte // the SOF marker
	precision     int
	components    []jpegComponent
	quant         [4][64]int32 // in natural order
	huff          [2][4]*huffman
	restart       int // MCUs between restart markers, 0 for none
	plainRGB      bool
	progressive   bool
	sos           []byte // the head of the first scan
}

type jpegComponent struct {
	id     byte
	h, v   int // sampling factors
	tq     byte
	td, ta byte
}

// readJPEGHeader reads up to the data of the first scan.
func readJPEGHeader(r *bufio.Reader) (*jpegHeader, error) {
	h := &jpegHeader{orientation: 1}
	var start [2]byte
	if _, err := io.ReadFull(r, start[:]); err != nil || start != [2]byte{0xff, markSOI} {
		return nil, ErrFormat
	}
	for {
		marker, err := nextMarker(r)
		if err != nil {
			return nil, ErrFormat
		}
		if marker >= markRST0 && marker <= markSOI {
			continue // without a length
		}
		if marker == markEOI {
			return nil, ErrFormat
		}
		segment, err := readSegment(r, wanted(marker))
		if err != nil {
			return nil, ErrFormat
		}
		if err := h.take(marker, segment); err != nil {
			return nil, err
		}
		if marker == markSOS {
			h.sos = segment
			return h, h.check()
		}
	}
}

func nextMarker(r *bufio.Reader) (byte, error) {
	b, err := r.ReadByte()
	if err != nil || b != 0xff {
		return 0, ErrFormat
	}
	for b == 0xff {
		if b, err = r.ReadByte(); err != nil {
			return 0, err
		}
	}
	return b, nil
}

func wanted(marker byte) bool {
	switch marker {
	case markDHT, markDQT, markDRI, markSOS, markAPP1, markAPPE:
		return true
	}
	return isFrame(marker)
}

// isFrame reports whether a marker begins a frame: SOF0 to SOF15, among which three mean something else.
func isFrame(marker byte) bool {
	return marker >= markSOF0 && marker <= 0xcf && marker != markDHT && marker != 0xc8 && marker != 0xcc
}

// readSegment reads a segment's content, or skips it.
func readSegment(r *bufio.Reader, keep bool) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(size[:])) - 2
	if n < 0 {
		return nil, ErrFormat
	}
	if !keep {
		_, err := r.Discard(n)
		return nil, err
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

func (h *jpegHeader) take(marker byte, b []byte) error {
	switch {
	case isFrame(marker):
		return h.frame(marker, b)
	case marker == markDQT:
		return h.quantTables(b)
	case marker == markDHT:
		return h.huffTables(b)
	case marker == markSOS:
		return h.scan(b)
	case marker == markDRI && len(b) >= 2:
		h.restart = int(binary.BigEndian.Uint16(b))
	case marker == markAPP1 && len(b) > 6 && string(b[:6]) == "Exif\x00\x00":
		h.orientation = exifOrientation(b[6:])
	case marker == markAPPE && len(b) >= 12 && string(b[:5]) == "Adobe":
		h.plainRGB = b[11] == 0
	}
	return nil
}

func (h *jpegHeader) frame(marker byte, b []byte) error {
	if len(b) < 6 || h.process != 0 || len(b) < 6+3*int(b[5]) {
		return ErrFormat
	}
	h.process, h.precision, h.progressive = marker, int(b[0]), marker == markSOF2
	h.height, h.width = int(binary.BigEndian.Uint16(b[1:])), int(binary.BigEndian.Uint16(b[3:]))
	for i := range int(b[5]) {
		c := b[6+3*i:]
		h.components = append(h.components, jpegComponent{id: c[0], h: int(c[1] >> 4), v: int(c[1] & 15), tq: c[2]})
	}
	return nil
}

func (h *jpegHeader) quantTables(b []byte) error {
	for len(b) > 0 {
		wide, t := b[0]>>4, b[0]&15
		size := 64 << wide
		if wide > 1 || t > 3 || len(b) < 1+size {
			return ErrFormat
		}
		for i := range 64 {
			if wide == 1 {
				h.quant[t][zigzag[i]] = int32(binary.BigEndian.Uint16(b[1+2*i:]))
			} else {
				h.quant[t][zigzag[i]] = int32(b[1+i])
			}
		}
		b = b[1+size:]
	}
	return nil
}

func (h *jpegHeader) huffTables(b []byte) error {
	for len(b) > 0 {
		if len(b) < 17 {
			return ErrFormat
		}
		class, t := b[0]>>4, b[0]&15
		count := 0
		for _, n := range b[1:17] {
			count += int(n)
		}
		if class > 1 || t > 3 || count > 256 || len(b) < 17+count {
			return ErrFormat
		}
		table, err := newHuffman(b[1:17], b[17:17+count])
		if err != nil {
			return err
		}
		if class == 1 {
			table.joinValues()
		}
		h.huff[class][t] = table
		b = b[17+count:]
	}
	return nil
}

// scan reads which tables each component uses. A scan of other components than the frame's, in another order, is left
// to the decoder that takes everything.
func (h *jpegHeader) scan(b []byte) error {
	if len(b) < 1 || len(b) < 4+2*int(b[0]) {
		return ErrFormat
	}
	if int(b[0]) != len(h.components) {
		h.process = max(h.process, markSOF2)
		return nil
	}
	for i := range h.components {
		c := &h.components[i]
		if b[1+2*i] != c.id {
			h.process = max(h.process, markSOF2)
		}
		c.td, c.ta = b[2+2*i]>>4, b[2+2*i]&15
	}
	return nil
}

func (h *jpegHeader) check() error {
	if h.process == 0 || h.width == 0 || h.height == 0 || len(h.components) == 0 || len(h.components) > 4 {
		return ErrFormat
	}
	for _, c := range h.components {
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.tq > 3 {
			return ErrFormat
		}
	}
	return nil
}

// scalable reports whether [decodeScaled] takes this one, or [decodeProgressive]: 8 bits, grey or YCbCr in the usual sampling, and
// all components in one scan where it is not progressive.
func (h *jpegHeader) scalable() bool {
	if h.process != markSOF0 && h.process != markSOF1 && !h.progressive || h.precision != 8 {
		return false
	}
	for _, c := range h.components {
		if !h.progressive && (c.td > 3 || c.ta > 3 || h.huff[0][c.td] == nil || h.huff[1][c.ta] == nil) {
			return false
		}
	}
	if len(h.components) == 1 {
		return true
	}
	if len(h.components) != 3 || h.plainRGB || h.components[0].id == 'R' {
		return false
	}
	y, cb, cr := h.components[0], h.components[1], h.components[2]
	return y.h <= 2 && y.v <= 2 && cb.h == 1 && cb.v == 1 && cr.h == 1 && cr.v == 1
}
