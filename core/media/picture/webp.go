package picture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"image"
	"io"

	"golang.org/x/image/webp"
)

// largestFrame bounds the data of a moving WebP's first picture.
const largestFrame = 16 << 20

// probeWebP reads the measures, and whether it moves. Why the pictures' own headers count too: a file may promise less
// than they hold. Spec: RFC 9649, 2.7
func probeWebP(r *bufio.Reader) (Info, error) {
	i := Info{Format: WebP, Orientation: 1, eighths: 48}
	if _, err := r.Discard(12); err != nil {
		return i, ErrFormat
	}
	for range 64 {
		kind, size, err := riffChunk(r)
		if err != nil {
			return i, ErrFormat
		}
		head, err := r.Peek(int(min(size, 40)))
		if err != nil {
			return i, ErrFormat
		}
		switch {
		case kind == "VP8X" && size >= 10:
			i.Animated = head[0]&2 != 0
			i.Width, i.Height = 1+uint24(head[4:]), 1+uint24(head[7:])
		case kind == "VP8 " || kind == "VP8L":
			return i.holding(streamSize(kind, head))
		case kind == "ANMF" && size >= 24: // where the picture lies is checked when it is decoded
			return i, nil
		}
		if _, err := r.Discard(int(size + size&1)); err != nil {
			return i, ErrFormat
		}
	}
	return i, ErrFormat
}

// holding compares what the header promised with what a picture holds.
func (i Info) holding(width, height int) (Info, error) {
	if width == 0 || height == 0 || i.Width != 0 && (width != i.Width || height != i.Height) {
		return i, ErrFormat
	}
	i.Width, i.Height = width, height
	return i, nil
}

func riffChunk(r *bufio.Reader) (kind string, size int64, err error) {
	var head [8]byte
	_, err = io.ReadFull(r, head[:])
	return string(head[:4]), int64(binary.LittleEndian.Uint32(head[4:])), err
}

// streamSize is what the beginning of a picture's data says of its measures, 0 when it cannot be told.
// Spec: RFC 6386, 9.1; RFC 9649, 3.4
func streamSize(kind string, b []byte) (width, height int) {
	if kind == "VP8 " && len(b) >= 10 && b[3] == 0x9d && b[4] == 0x01 && b[5] == 0x2a {
		return int(binary.LittleEndian.Uint16(b[6:]) & 0x3fff), int(binary.LittleEndian.Uint16(b[8:]) & 0x3fff)
	}
	if kind == "VP8L" && len(b) >= 5 && b[0] == 0x2f {
		v := binary.LittleEndian.Uint32(b[1:])
		return int(v&0x3fff) + 1, int(v>>14&0x3fff) + 1
	}
	return 0, 0
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// decodeFirstFrame decodes the first picture of a moving WebP, by making a still of it: the library takes stills only.
// Spec: RFC 9649, 2.7.1.1
func decodeFirstFrame(r *bufio.Reader, i Info) (image.Image, error) {
	if _, err := r.Discard(12); err != nil {
		return nil, ErrFormat
	}
	for range 64 {
		kind, size, err := riffChunk(r)
		if err != nil {
			return nil, ErrFormat
		}
		if kind != "ANMF" {
			if _, err := r.Discard(int(size + size&1)); err != nil {
				return nil, ErrFormat
			}
			continue
		}
		if size < 24 || size > largestFrame {
			return nil, ErrFormat
		}
		frame, err := io.ReadAll(io.LimitReader(r, size))
		if err != nil || int64(len(frame)) != size {
			return nil, ErrFormat
		}
		still, err := stillOf(frame, i)
		if err != nil {
			return nil, err
		}
		return webp.Decode(bytes.NewReader(still))
	}
	return nil, ErrFormat
}

// stillOf makes a file of a frame that is not larger than the film: its alpha and its picture, nothing else.
func stillOf(frame []byte, i Info) ([]byte, error) {
	var extended [18]byte
	copy(extended[:], "VP8X\x0a\x00\x00\x00")
	copy(extended[12:], frame[6:12])
	width, height := 1+uint24(frame[6:]), 1+uint24(frame[9:])
	if width > i.Width || height > i.Height {
		return nil, ErrFormat
	}
	var parts []byte
	for rest := frame[16:]; len(rest) >= 8; {
		kind, size := string(rest[:4]), int64(binary.LittleEndian.Uint32(rest[4:]))
		end := 8 + size + size&1
		if end > int64(len(rest)) {
			return nil, ErrFormat
		}
		switch kind {
		case "ALPH":
			extended[8] = 0x10
			parts = append(parts, rest[:end]...)
		case "VP8 ", "VP8L":
			if w, h := streamSize(kind, rest[8:]); w != width || h != height {
				return nil, ErrFormat
			}
			out := append([]byte("RIFF\x00\x00\x00\x00WEBP"), extended[:]...)
			out = append(append(out, parts...), rest[:end]...)
			binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
			return out, nil
		}
		rest = rest[end:]
	}
	return nil, ErrFormat
}
