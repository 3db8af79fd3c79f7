package picture

import "image"

// plan is how a picture of certain measures becomes the one that is wanted.
type plan struct {
	// fullWidth and fullHeight are the measures of the whole picture at the new scale.
	fullWidth, fullHeight int
	// width and height are those of the result, smaller than the former when it is cropped.
	width, height int
	// orientation is how the source lies.
	orientation int
}

// plan covers what is wanted: neither side becomes shorter, and nothing is made larger.
func (i Info) plan(w Want) plan {
	p := plan{fullWidth: i.Width, fullHeight: i.Height, orientation: i.Orientation}
	width, height := max(w.Width, 1), max(w.Height, 1)
	if width < i.Width && height < i.Height {
		if int64(width)*int64(i.Height) >= int64(height)*int64(i.Width) {
			p.fullWidth, p.fullHeight = width, divideUp(i.Height*width, i.Width)
		} else {
			p.fullWidth, p.fullHeight = divideUp(i.Width*height, i.Height), height
		}
	}
	p.width, p.height = p.fullWidth, p.fullHeight
	if w.Crop {
		p.width, p.height = min(p.width, width), min(p.height, height)
	}
	return p
}

func divideUp(a, b int) int { return max(1, (a+b-1)/b) }

// source is the part of a picture, as it lies, that the result shows, and the result's measures as they lie.
func (p plan) source(b image.Rectangle) (from image.Rectangle, width, height int) {
	fullWidth, fullHeight := p.fullWidth, p.fullHeight
	width, height = p.width, p.height
	if p.orientation > 4 {
		fullWidth, fullHeight, width, height = fullHeight, fullWidth, height, width
	}
	w := min(b.Dx(), max(width, b.Dx()*width/fullWidth))
	h := min(b.Dy(), max(height, b.Dy()*height/fullHeight))
	x, y := b.Min.X+(b.Dx()-w)/2, b.Min.Y+(b.Dy()-h)/2
	return image.Rect(x, y, x+w, y+h), width, height
}
