package picture

import (
	"bufio"
	"image"
	"math"
)

// decodeScaled decodes a JPEG at n eighths of its size, n being 1, 2 or 4, from the lowest n×n coefficients of each
// block: as if the picture had been averaged, without computing what the average drops.
func decodeScaled(h *jpegHeader, r *bufio.Reader, n int) (image.Image, error) {
	d := &scaledDecoder{jpegHeader: h, bits: bitReader{r: r}, n: n, basis: basisOf(n)}
	d.layout()
	if err := d.decode(); err != nil {
		return nil, err
	}
	return d.picture(), nil
}

// picture is what was decoded.
func (d *scaledDecoder) picture() image.Image {
	h := d.jpegHeader
	size := image.Rect(0, 0, (h.width*d.n+7)/8, (h.height*d.n+7)/8)
	if len(h.components) == 1 {
		return &image.Gray{Pix: d.planes[0], Stride: d.strides[0], Rect: size}
	}
	ratio := map[[2]int]image.YCbCrSubsampleRatio{
		{1, 1}: image.YCbCrSubsampleRatio444, {2, 1}: image.YCbCrSubsampleRatio422,
		{1, 2}: image.YCbCrSubsampleRatio440, {2, 2}: image.YCbCrSubsampleRatio420,
	}[[2]int{h.components[0].h, h.components[0].v}]
	return &image.YCbCr{Y: d.planes[0], Cb: d.planes[1], Cr: d.planes[2], YStride: d.strides[0], CStride: d.strides[1],
		SubsampleRatio: ratio, Rect: size}
}

type scaledDecoder struct {
	*jpegHeader
	bits         bitReader
	n            int
	basis        [4][4]int32
	planes       [3][]byte
	strides      [3]int
	mcusX        int
	mcusY        int
	dc           [3]int32
	coefficients [64]int32
}

// basisOf is the inverse cosine transform of n points, scaled so that two passes give samples times 2^20.
func basisOf(n int) (m [4][4]int32) {
	for x := range n {
		for u := range n {
			alpha := math.Sqrt(2 / float64(n))
			if u == 0 {
				alpha = math.Sqrt(1 / float64(n))
			}
			v := alpha * math.Cos(float64((2*x+1)*u)*math.Pi/float64(2*n)) * math.Sqrt(float64(n)/8)
			m[x][u] = int32(math.Round(v * 1024))
		}
	}
	return m
}

// layout makes planes of whole MCUs.
func (d *scaledDecoder) layout() {
	if len(d.components) == 1 { // a single component is not interleaved, whatever its factors say
		d.components[0].h, d.components[0].v = 1, 1
	}
	y := d.components[0]
	d.mcusX = (d.width + 8*y.h - 1) / (8 * y.h)
	d.mcusY = (d.height + 8*y.v - 1) / (8 * y.v)
	for i, c := range d.components {
		d.strides[i] = d.mcusX * c.h * d.n
		d.planes[i] = make([]byte, d.strides[i]*d.mcusY*c.v*d.n)
	}
}

func (d *scaledDecoder) decode() error {
	count := 0
	for my := range d.mcusY {
		for mx := range d.mcusX {
			if d.restart > 0 && count == d.restart {
				d.bits.restart()
				d.dc, count = [3]int32{}, 0
			}
			count++
			d.mcu(mx, my)
		}
		if d.bits.failure != nil {
			return d.bits.failure
		}
		if d.bits.beyond > 16 {
			return ErrFormat // the stream ended before the picture did
		}
	}
	return nil
}

// mcu decodes the blocks that interleave at one place.
func (d *scaledDecoder) mcu(mx, my int) {
	for i := range d.components {
		c := &d.components[i]
		for v := range c.v {
			for h := range c.h {
				d.readBlock(i, c)
				at := (my*c.v+v)*d.n*d.strides[i] + (mx*c.h+h)*d.n
				d.put(d.planes[i][at:], d.strides[i])
			}
		}
	}
}

// readBlock reads all coefficients of a block and keeps the lowest. Spec: ITU-T T.81, F.2.2
func (d *scaledDecoder) readBlock(i int, c *jpegComponent) {
	b, q, n := &d.bits, &d.quant[c.tq], d.n
	for y := range n {
		clear(d.coefficients[8*y : 8*y+n])
	}
	b.refill()
	d.dc[i] += b.value(int(b.symbol(d.huff[0][c.td]) & 15))
	d.coefficients[0] = d.dc[i] * q[0]
	ac := d.huff[1][c.ta]
	for k := 1; k < 64; k++ {
		if b.n < 32 { // a code and its value take 31 at most
			b.refill()
		}
		if e := ac.whole[b.acc>>(64-lookBits)]; e != 0 {
			b.skip(int(e & 255))
			if k += int(e >> 8 & 255); k > 63 {
				if k < endOfBlock {
					b.failure = ErrFormat
				}
				return
			}
			if z := zigzag[k]; int(z&7) < n && int(z>>3) < n {
				d.coefficients[z] = e >> 16 * q[z]
			}
			continue
		}
		s := b.symbol(ac)
		size := int(s & 15)
		if size == 0 {
			if s != 0xf0 {
				return // the rest is zero
			}
			k += 15
			continue
		}
		k += int(s >> 4)
		v := b.value(size)
		if k > 63 {
			b.failure = ErrFormat
			return
		}
		if z := zigzag[k]; int(z&7) < n && int(z>>3) < n {
			d.coefficients[z] = v * q[z]
		}
	}
}

// put transforms a block into n×n samples.
func (d *scaledDecoder) put(dst []byte, stride int) {
	f := &d.coefficients
	switch d.n {
	case 1:
		dst[0] = sample((f[0] + 4) >> 3)
	case 2:
		a, b, c, e := f[0]+4, f[1], f[8], f[9]
		dst[0], dst[1] = sample((a+b+c+e)>>3), sample((a-b+c-e)>>3)
		dst[stride], dst[stride+1] = sample((a+b-c-e)>>3), sample((a-b-c+e)>>3)
	default:
		d.put4(dst, stride)
	}
}

func (d *scaledDecoder) put4(dst []byte, stride int) {
	var rows [4][4]int32 // rows of coefficients turned into columns of samples, times 2^10
	for v := range 4 {
		f := d.coefficients[8*v : 8*v+4]
		for x := range 4 {
			m := &d.basis[x]
			rows[v][x] = f[0]*m[0] + f[1]*m[1] + f[2]*m[2] + f[3]*m[3]
		}
	}
	for y := range 4 {
		m := &d.basis[y]
		line := dst[y*stride : y*stride+4]
		for x := range line {
			sum := int64(rows[0][x])*int64(m[0]) + int64(rows[1][x])*int64(m[1]) + int64(rows[2][x])*int64(m[2]) + int64(rows[3][x])*int64(m[3])
			line[x] = sample(int32((sum + 1<<19) >> 20))
		}
	}
}

// sample moves a value to the middle of a byte's range and cuts it off at the ends.
func sample(v int32) byte { return byte(max(0, min(255, v+128))) }
