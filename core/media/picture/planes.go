package picture

import "image"

// scalePlanes shrinks a photo in the form that JPEG keeps it in, luma and two planes of half the measures for the colours,
// which spares turning it into RGB and back. False: the planes lie too thin for the result.
func scalePlanes(m *image.YCbCr, p plan) (*image.YCbCr, bool) {
	sx, sy := 1, 1
	switch m.SubsampleRatio {
	case image.YCbCrSubsampleRatio444:
	case image.YCbCrSubsampleRatio422:
		sx = 2
	case image.YCbCrSubsampleRatio440:
		sy = 2
	case image.YCbCrSubsampleRatio420:
		sx, sy = 2, 2
	default:
		return nil, false
	}
	from, width, height := p.source(m.Bounds())
	out := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	shrinkPlane(out.Y, plane{m.Y[m.YOffset(from.Min.X, from.Min.Y):], m.YStride, from.Dx(), from.Dy()}, width, height)
	colours := image.Rect(from.Min.X/sx, from.Min.Y/sy, (from.Max.X+sx-1)/sx, (from.Max.Y+sy-1)/sy)
	at := m.COffset(from.Min.X, from.Min.Y)
	width, height = (width+1)/2, (height+1)/2
	shrinkPlane(out.Cb, plane{m.Cb[at:], m.CStride, colours.Dx(), colours.Dy()}, width, height)
	shrinkPlane(out.Cr, plane{m.Cr[at:], m.CStride, colours.Dx(), colours.Dy()}, width, height)
	return out, true
}

// plane is one kind of sample of a picture, or a part of it.
type plane struct {
	samples       []byte
	stride        int
	width, height int
}

// shrinkPlane averages the area that each new sample covers, as [scale] does.
func shrinkPlane(dst []byte, src plane, width, height int) {
	across, down := shares(src.width, width), shares(src.height, height)
	narrow, acc := make([]uint32, width), make([]uint32, width)
	y := -1
	for row := range height {
		clear(acc)
		for i, weight := range down[row].weights {
			if at := down[row].first + i; at != y {
				y = at
				shrinkSamples(narrow, src.samples[y*src.stride:][:src.width], across)
			}
			for k, v := range narrow {
				acc[k] += v * weight
			}
		}
		line := dst[row*width:][:width]
		for k, v := range acc {
			line[k] = byte((v + 1<<23) >> 24)
		}
	}
}

func shrinkSamples(dst []uint32, src []byte, across []share) {
	for i := range across {
		s := &across[i]
		sum := uint32(0)
		for k, v := range src[s.first:][:len(s.weights)] {
			sum += uint32(v) * s.weights[k]
		}
		dst[i] = sum >> 8
	}
}

// turnPlanes is [turn] for a photo in planes.
func turnPlanes(m *image.YCbCr, orientation int) *image.YCbCr {
	if orientation <= 1 || orientation > 8 {
		return m
	}
	w, h := m.Rect.Dx(), m.Rect.Dy()
	size := image.Rect(0, 0, w, h)
	if orientation > 4 {
		size = image.Rect(0, 0, h, w)
	}
	out := image.NewYCbCr(size, image.YCbCrSubsampleRatio420)
	turnPlane(out.Y, plane{m.Y, m.YStride, w, h}, out.YStride, orientation)
	w, h = (w+1)/2, (h+1)/2
	turnPlane(out.Cb, plane{m.Cb, m.CStride, w, h}, out.CStride, orientation)
	turnPlane(out.Cr, plane{m.Cr, m.CStride, w, h}, out.CStride, orientation)
	return out
}

func turnPlane(dst []byte, src plane, stride, orientation int) {
	for at := range dst {
		x, y := lying(orientation, at%stride, at/stride, src.width, src.height)
		dst[at] = src.samples[y*src.stride+x]
	}
}
