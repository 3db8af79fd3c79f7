package picture

import "image"

// scale shrinks a picture by averaging the area that each new pixel covers. It goes through the source once, line by
// line, and holds one line of it.
func scale(m image.Image, p plan) *image.RGBA {
	from, width, height := p.source(m.Bounds())
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	across, down := shares(from.Dx(), width), shares(from.Dy(), height)
	line := lineReader(m)
	raw, acc := make([]byte, 4*from.Dx()), make([]uint32, 4*width)
	narrow := make([]uint32, 4*width)
	y := -1
	for row := range height {
		clear(acc)
		for i, weight := range down[row].weights {
			if at := down[row].first + i; at != y {
				y = at
				line(from.Min.X, from.Min.Y+y, raw)
				shrinkLine(narrow, raw, across)
			}
			for k, v := range narrow {
				acc[k] += v * weight
			}
		}
		dst := out.Pix[row*out.Stride : row*out.Stride+4*width]
		for k, v := range acc {
			dst[k] = byte((v + 1<<23) >> 24)
		}
	}
	return out
}

// share is which pixels a new pixel covers and how much of each, in parts of 2^16 across a column and 2^8 in a line.
type share struct {
	first   int
	weights []uint32
}

// shares divides n pixels among m, m ≤ n. The weights of each add up to 65536.
func shares(n, m int) []share {
	out := make([]share, m)
	for i := range out {
		begin, end := i*n, (i+1)*n // in parts of 1/m pixel
		first, last := begin/m, (end-1)/m
		s := share{first: first, weights: make([]uint32, last-first+1)}
		left := uint32(1 << 16)
		for k := range s.weights {
			covered := min(end, (first+k+1)*m) - max(begin, (first+k)*m)
			w := min(left, uint32((covered<<16+n/2)/n))
			s.weights[k] = w
			left -= w
		}
		s.weights[0] += left
		out[i] = s
	}
	return out
}

// shrinkLine averages one line; results are times 255 at most, so that a column's weights still fit 32 bits.
func shrinkLine(dst []uint32, src []byte, across []share) {
	for i, s := range across {
		var r, g, b, a uint32
		at := src[4*s.first:]
		for k, w := range s.weights {
			p := at[4*k : 4*k+4]
			r += uint32(p[0]) * w
			g += uint32(p[1]) * w
			b += uint32(p[2]) * w
			a += uint32(p[3]) * w
		}
		dst[4*i], dst[4*i+1], dst[4*i+2], dst[4*i+3] = r>>8, g>>8, b>>8, a>>8
	}
}
