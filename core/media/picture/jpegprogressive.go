package picture

import (
	"bufio"
	"image"
	"math/bits"
	"slices"
)

// allZeros is more than a block has: no coefficient comes any more.
const allZeros = 64

// mostScans bounds how often a progressive picture is gone through.
const mostScans = 200

// progressive decodes a progressive JPEG at n eighths of its size. All scans are read, but of each block only the
// coefficients are kept that the small picture is made of, and of the others which are there: the corrections in later scans
// depend on that. Spec: ITU-T T.81, annex G
type progressive struct {
	*scaledDecoder
	kept   int // coefficients of a block, in the order of the stream
	blocks [3]blocks
	eobRun int
}

// blocks are those of one component, in whole MCUs.
type blocks struct {
	across, down int // that scans of this component alone go through
	stride       int
	values       []int16  // kept for each
	there        []uint64 // one bit for each coefficient that is not zero
}

// scan is what one scan holds.
type scan struct {
	components []int
	from, to   int  // coefficients
	first      bool // else it corrects what came before
	low        uint // its bits are worth so many places more
}

func decodeProgressive(h *jpegHeader, r *bufio.Reader, n int) (image.Image, error) {
	p := &progressive{scaledDecoder: &scaledDecoder{jpegHeader: h, bits: bitReader{r: r}, n: n, basis: basisOf(n)},
		kept: map[int]int{1: 1, 2: 5, 4: 25}[n]} // up to the last that lies within n×n
	p.layout()
	p.makeBlocks()
	for sos, count := h.sos, 0; sos != nil; count++ {
		if count == mostScans {
			return nil, ErrFormat
		}
		s, err := p.parse(sos)
		if err != nil {
			return nil, err
		}
		if err := p.run(s); err != nil {
			return nil, err
		}
		if sos, err = p.next(); err != nil {
			return nil, err
		}
	}
	p.paint()
	return p.picture(), nil
}

func (p *progressive) makeBlocks() {
	most := p.components[0]
	for i, c := range p.components {
		b := &p.blocks[i]
		b.stride = p.mcusX * c.h
		b.across = divideUp(divideUp(p.width*c.h, most.h), 8)
		b.down = divideUp(divideUp(p.height*c.v, most.v), 8)
		n := b.stride * p.mcusY * c.v
		b.values, b.there = make([]int16, n*p.kept), make([]uint64, n)
	}
}

// parse reads what a scan holds.
func (p *progressive) parse(b []byte) (s scan, err error) {
	if len(b) < 1 || len(b) < 4+2*int(b[0]) {
		return s, ErrFormat
	}
	n := int(b[0])
	for k := range n {
		at := p.component(b[1+2*k])
		if at < 0 || len(s.components) > 0 && at <= s.components[len(s.components)-1] {
			return s, ErrFormat
		}
		c := &p.components[at]
		if c.td, c.ta = b[2+2*k]>>4, b[2+2*k]&15; c.td > 3 || c.ta > 3 {
			return s, ErrFormat
		}
		s.components = append(s.components, at)
	}
	rest := b[1+2*n:]
	s.from, s.to, s.first, s.low = int(rest[0]), int(rest[1]), rest[2]>>4 == 0, uint(rest[2]&15)
	if n == 0 || s.from > s.to || s.to > 63 || s.low > 13 || s.from == 0 && s.to != 0 || s.from > 0 && n > 1 || !p.coded(&s) {
		return s, ErrFormat
	}
	return s, nil
}

// component finds a component by its id; -1 for none.
func (p *progressive) component(id byte) int {
	return slices.IndexFunc(p.components, func(c jpegComponent) bool { return c.id == id })
}

// coded reports whether the codes that a scan uses were told.
func (p *progressive) coded(s *scan) bool {
	for _, i := range s.components {
		c := &p.components[i]
		if s.from == 0 && s.first && p.huff[0][c.td] == nil || s.from > 0 && p.huff[1][c.ta] == nil {
			return false
		}
	}
	return true
}

// run reads the data of a scan. Where only the first coefficient is kept, it skips those of the others.
func (p *progressive) run(s scan) error {
	p.dc, p.eobRun = [3]int32{}, 0
	p.bits = bitReader{r: p.bits.r}
	if s.from >= p.kept && p.kept == 1 {
		return nil
	}
	count := 0
	each := func(block func()) error {
		if p.restart > 0 && count == p.restart {
			p.bits.restart()
			p.dc, p.eobRun, count = [3]int32{}, 0, 0
		}
		count++
		block()
		if p.bits.failure == nil && p.bits.beyond > 16 {
			return ErrFormat // the stream ended before the picture did
		}
		return p.bits.failure
	}
	if len(s.components) == 1 {
		i := s.components[0]
		for y := range p.blocks[i].down {
			for x := range p.blocks[i].across {
				if err := each(func() { p.block(i, y*p.blocks[i].stride+x, s) }); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for y := range p.mcusY {
		for x := range p.mcusX {
			if err := each(func() { p.interleaved(x, y, s) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *progressive) interleaved(x, y int, s scan) {
	for _, i := range s.components {
		c := &p.components[i]
		for v := range c.v {
			for h := range c.h {
				p.block(i, (y*c.v+v)*p.blocks[i].stride+x*c.h+h, s)
			}
		}
	}
}

// block reads one block's part of a scan.
func (p *progressive) block(i, at int, s scan) {
	c, b := &p.components[i], &p.blocks[i]
	values, there := b.values[at*p.kept:][:p.kept], &b.there[at]
	switch {
	case s.from == 0 && s.first:
		p.bits.refill()
		p.dc[i] += p.bits.value(int(p.bits.symbol(p.huff[0][c.td]) & 15))
		values[0] = int16(p.dc[i] << s.low) //nolint:gosec // Why: cut off, a hostile file's coefficient is as good as any
	case s.from == 0:
		p.bits.refill()
		if p.bits.value(1) > 0 {
			values[0] |= 1 << s.low
		}
	case s.first:
		p.firstAC(values, there, p.huff[1][c.ta], s)
	default:
		p.correctAC(values, there, p.huff[1][c.ta], s)
	}
}

// firstAC reads coefficients for the first time. Spec: ITU-T T.81, G.1.2.2
func (p *progressive) firstAC(values []int16, there *uint64, table *huffman, s scan) {
	if p.eobRun > 0 {
		p.eobRun--
		return
	}
	b := &p.bits
	for k := s.from; k <= s.to; k++ {
		if b.n < 32 { // a code and its value take 31 at most
			b.refill()
		}
		if e := table.whole[b.acc>>(64-lookBits)]; e != 0 {
			b.skip(int(e & 255))
			if k += int(e >> 8 & 255); k <= s.to {
				p.set(values, there, k, e>>16<<s.low)
			} else if k < endOfBlock {
				b.failure = ErrFormat
			}
			continue
		}
		symbol := b.symbol(table)
		zeros, size := int(symbol>>4), int(symbol&15)
		if size == 0 {
			if zeros < 15 {
				p.eobRun = p.endRun(zeros) - 1
				return
			}
			k += 15
			continue
		}
		if k += zeros; k > s.to {
			b.failure = ErrFormat
			return
		}
		p.set(values, there, k, b.value(size)<<s.low)
	}
}

// endRun reads in how many blocks no more coefficients come, this one included.
func (p *progressive) endRun(zeros int) int {
	if zeros == 0 {
		return 1
	}
	p.bits.refill()
	run := 1<<zeros + int(p.bits.acc>>(64-zeros))
	p.bits.skip(zeros)
	return run
}

func (p *progressive) set(values []int16, there *uint64, k int, v int32) {
	if v != 0 {
		*there |= 1 << k
	}
	if k < len(values) {
		values[k] = int16(v) //nolint:gosec // Why: cut off, a hostile file's coefficient is as good as any
	}
}

// correctAC reads one more bit of the coefficients that are there, and those that are there only now.
// Spec: ITU-T T.81, G.1.2.3
func (p *progressive) correctAC(values []int16, there *uint64, table *huffman, s scan) {
	b, k := &p.bits, s.from
	for p.eobRun == 0 && k <= s.to {
		if b.n < 32 {
			b.refill()
		}
		symbol := b.symbol(table)
		zeros, fresh := int(symbol>>4), int32(0)
		switch symbol & 15 {
		case 0:
			if zeros < 15 {
				p.eobRun = p.endRun(zeros)
				continue
			}
		case 1:
			fresh = -1 << s.low
			if b.bit() {
				fresh = 1 << s.low
			}
		default:
			b.failure = ErrFormat
			return
		}
		k = p.correct(values, *there, k, zeros, s)
		if fresh != 0 && k <= s.to {
			p.set(values, there, k, fresh)
		}
		k++
	}
	if p.eobRun > 0 {
		p.correct(values, *there, k, allZeros, s)
		p.eobRun--
	}
}

// correct goes past so many zeros, correcting what stands between them, to the next zero, or beyond the end.
func (p *progressive) correct(values []int16, there uint64, k, zeros int, s scan) int {
	for k <= s.to {
		if zeros == allZeros && k >= len(values) {
			p.bits.pass(bits.OnesCount64(there >> k << k << (63 - s.to)))
			return s.to + 1
		}
		gap := min(bits.TrailingZeros64(there>>k), s.to+1-k)
		if zeros < gap {
			return k + zeros
		}
		if zeros != allZeros {
			zeros -= gap
		}
		if k += gap; k > s.to {
			break
		}
		if p.bits.bit() && k < len(values) {
			if values[k] > 0 {
				values[k] += 1 << s.low
			} else {
				values[k] -= 1 << s.low
			}
		}
		k++
	}
	return k
}

// next goes on behind a scan, up to the head of the next one; nil at the picture's end.
func (p *progressive) next() ([]byte, error) {
	for {
		for !p.bits.ended {
			p.bits.slow()
		}
		if p.bits.marker < markRST0 || p.bits.marker > markRST0+7 {
			break
		}
		p.bits.marker, p.bits.ended = 0, false
	}
	r, marker := p.bits.r, p.bits.marker
	_, _ = r.Discard(p.bits.pos) // it was peeked
	p.bits = bitReader{r: r}
	for {
		switch marker {
		case 0:
			return nil, ErrFormat
		case markEOI:
			return nil, nil
		}
		segment, err := readSegment(r, wanted(marker))
		if err != nil || isFrame(marker) {
			return nil, ErrFormat
		}
		if marker == markSOS {
			return segment, nil
		}
		if err := p.take(marker, segment); err != nil {
			return nil, err
		}
		if marker, err = nextMarker(r); err != nil {
			return nil, ErrFormat
		}
	}
}

// paint makes the samples of all blocks.
func (p *progressive) paint() {
	for i := range p.components {
		b, q := &p.blocks[i], &p.quant[p.components[i].tq]
		for at := range b.there {
			for k, v := range b.values[at*p.kept:][:p.kept] {
				if z := zigzag[k]; int(z&7) < p.n && int(z>>3) < p.n {
					p.coefficients[z] = int32(v) * q[z]
				}
			}
			y, x := at/b.stride, at%b.stride
			p.put(p.planes[i][y*p.n*p.strides[i]+x*p.n:], p.strides[i])
		}
	}
}
