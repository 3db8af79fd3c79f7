package picture

import (
	"bufio"
	"encoding/binary"
	"io"
)

// bitReader reads the data of a scan. Behind the end of the data it gives zeros, and counts them.
type bitReader struct {
	r       *bufio.Reader
	window  []byte // what the reader has buffered
	pos     int
	acc     uint64 // bits, the next one topmost
	n       int    // how many of them are real or made up
	marker  byte   // the marker that ended the data, 0 for none
	ended   bool
	beyond  int // bytes made up
	failure error
}

// refill makes at least 48 bits available.
func (b *bitReader) refill() {
	for b.n <= 48 {
		if !b.ended && b.pos+8 <= len(b.window) {
			v := binary.BigEndian.Uint64(b.window[b.pos:])
			if none := ^v; (none-0x0101010101010101)&v&0x8080808080808080 == 0 { // no byte is ff
				b.acc |= v >> b.n // bits beyond those counted come again, the same
				whole := (63 - b.n) >> 3
				b.n += 8 * whole
				b.pos += whole
				return
			}
		}
		b.acc |= uint64(b.slow()) << (56 - b.n)
		b.n += 8
	}
}

// slow gives the next byte of data: past stuffing, across the buffer's end, and zero behind the data's end.
func (b *bitReader) slow() byte {
	if b.ended {
		b.beyond++
		return 0
	}
	c := b.next()
	if c != 0xff || b.ended {
		return c
	}
	for c == 0xff && !b.ended {
		c = b.next()
	}
	if c == 0 {
		return 0xff
	}
	b.marker, b.ended = c, true
	return 0
}

// next gives a byte of the file.
func (b *bitReader) next() byte {
	if b.pos == len(b.window) {
		_, _ = b.r.Discard(b.pos)
		b.pos = 0
		if _, err := b.r.Peek(1); err != nil {
			b.window, b.ended, b.beyond = nil, true, b.beyond+1
			if err != io.EOF { //nolint:errorlint // bufio gives it as it is
				b.failure = err
			}
			return 0
		}
		b.window, _ = b.r.Peek(b.r.Buffered())
	}
	c := b.window[b.pos]
	b.pos++
	return c
}

// symbol decodes one Huffman code; at least 16 bits are available.
func (b *bitReader) symbol(h *huffman) byte {
	if e := h.fast[b.acc>>(64-lookBits)]; e != 0 {
		b.skip(int(e >> 8))
		return byte(e)
	}
	return b.long(h)
}

func (b *bitReader) long(h *huffman) byte {
	for length := lookBits + 1; length <= 16; length++ {
		code := int32(b.acc >> (64 - length))
		if code <= h.last[length] {
			b.skip(length)
			if i := code + h.offset[length]; i >= 0 && int(i) < len(h.symbols) {
				return h.symbols[i]
			}
			break
		}
	}
	b.failure = ErrFormat
	return 0
}

func (b *bitReader) skip(n int) {
	b.acc <<= n
	b.n -= n
}

// value reads the n bits of a coefficient, 0 to 15. Spec: ITU-T T.81, F.2.2.1
func (b *bitReader) value(n int) int32 {
	if n == 0 {
		return 0
	}
	v := int32(b.acc >> (64 - n))
	b.skip(n)
	if v < 1<<(n-1) {
		v += -1<<n + 1
	}
	return v
}

// bit reads one bit.
func (b *bitReader) bit() bool {
	if b.n < 1 {
		b.refill()
	}
	one := b.acc>>63 != 0
	b.skip(1)
	return one
}

// pass skips bits.
func (b *bitReader) pass(n int) {
	for n > 0 {
		if b.n < 32 {
			b.refill()
		}
		some := min(n, 32)
		b.skip(some)
		n -= some
	}
}

// restart goes on behind a restart marker.
func (b *bitReader) restart() {
	for !b.ended { // bits up to the marker are padding
		b.slow()
	}
	if b.marker < markRST0 || b.marker > markRST0+7 {
		b.failure = ErrFormat
		return
	}
	b.acc, b.n, b.marker, b.ended, b.beyond = 0, 0, 0, false, 0
}
