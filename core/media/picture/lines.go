package picture

import (
	"image"
	"image/color"
)

// lineReader answers a function that writes pixels of a picture, from (x, y) on, as RGBA with alpha multiplied in.
func lineReader(m image.Image) func(x, y int, dst []byte) {
	switch m := m.(type) {
	case *image.YCbCr:
		return func(x, y int, dst []byte) { ycbcrLine(m, x, y, dst) }
	case *image.Gray:
		return func(x, y int, dst []byte) { grayLine(m, x, y, dst) }
	case *image.RGBA:
		return func(x, y int, dst []byte) { copy(dst, m.Pix[m.PixOffset(x, y):]) }
	case *image.NRGBA:
		return func(x, y int, dst []byte) { nrgbaLine(m, x, y, dst) }
	case *image.Paletted:
		return palettedLines(m)
	}
	return func(x, y int, dst []byte) {
		for i := 0; i < len(dst); i += 4 {
			put(dst[i:], m.At(x+i/4, y))
		}
	}
}

func put(dst []byte, c color.Color) {
	r, g, b, a := c.RGBA()
	dst[0], dst[1], dst[2], dst[3] = byte(r>>8), byte(g>>8), byte(b>>8), byte(a>>8)
}

// ycbcrLine converts by the factors of JFIF, times 2^16.
func ycbcrLine(m *image.YCbCr, x, y int, dst []byte) {
	for i := 0; i < len(dst); i += 4 {
		yo, co := m.YOffset(x+i/4, y), m.COffset(x+i/4, y)
		yy, cb, cr := int32(m.Y[yo])*0x10101, int32(m.Cb[co])-128, int32(m.Cr[co])-128
		dst[i] = clip(yy + 91881*cr)
		dst[i+1] = clip(yy - 22554*cb - 46802*cr)
		dst[i+2] = clip(yy + 116130*cb)
		dst[i+3] = 255
	}
}

func clip(v int32) byte { return byte(max(0, min(255, v>>16))) }

func grayLine(m *image.Gray, x, y int, dst []byte) {
	src := m.Pix[m.PixOffset(x, y):]
	for i := 0; i < len(dst); i += 4 {
		v := src[i/4]
		dst[i], dst[i+1], dst[i+2], dst[i+3] = v, v, v, 255
	}
}

func nrgbaLine(m *image.NRGBA, x, y int, dst []byte) {
	src := m.Pix[m.PixOffset(x, y):]
	for i := 0; i < len(dst); i += 4 {
		a := uint32(src[i+3])
		dst[i] = byte((uint32(src[i])*a + 127) / 255)
		dst[i+1] = byte((uint32(src[i+1])*a + 127) / 255)
		dst[i+2] = byte((uint32(src[i+2])*a + 127) / 255)
		dst[i+3] = src[i+3]
	}
}

func palettedLines(m *image.Paletted) func(x, y int, dst []byte) {
	var colors [256][4]byte // an index beyond the palette is see-through
	for i, c := range m.Palette {
		put(colors[i][:], c)
	}
	return func(x, y int, dst []byte) {
		src := m.Pix[m.PixOffset(x, y):]
		for i := 0; i < len(dst); i += 4 {
			copy(dst[i:i+4], colors[src[i/4]][:])
		}
	}
}
