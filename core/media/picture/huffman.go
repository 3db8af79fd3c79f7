package picture

// zigzag maps the order of coefficients in the stream to rows and columns. Spec: ITU-T T.81, figure 5
var zigzag = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

// lookBits is how many bits of a code are looked up at once.
const lookBits = 10

// huffman decodes codes of up to 16 bits. Spec: ITU-T T.81, annex C and F.2.2.3
type huffman struct {
	fast    [1 << lookBits]uint16 // length<<8 | symbol; 0: the code is longer
	symbols []byte
	last    [17]int32 // greatest code of each length, -1 for none
	offset  [17]int32 // index of a length's first symbol minus its first code
	// whole are codes of coefficients with their values, where both fit: value<<16 | zeros before it<<8 | length; 0: they do not.
	whole [1 << lookBits]int32
}

// endOfBlock stands for the zeros before a coefficient where no more comes.
const endOfBlock = 128

// joinValues fills in the codes with their values: of a table of AC coefficients. Spec: ITU-T T.81, F.2.2.2
func (h *huffman) joinValues() {
	for i, e := range h.fast {
		length, zeros, size := int(e>>8), int32(e>>4&15), int(e&15)
		switch {
		case e == 0 || length+size > lookBits || size == 0 && zeros != 0 && zeros != 15:
		case e&255 == 0:
			h.whole[i] = endOfBlock<<8 | int32(length)
		default:
			bits := bitReader{acc: uint64(i) << (64 - lookBits + length)}
			h.whole[i] = bits.value(size)<<16 | zeros<<8 | int32(length+size)
		}
	}
}

func newHuffman(counts, symbols []byte) (*huffman, error) {
	h := &huffman{symbols: append([]byte(nil), symbols...)}
	code, index := int32(0), int32(0)
	for length := 1; length <= 16; length++ {
		n := int32(counts[length-1])
		h.last[length], h.offset[length] = code+n-1, index-code
		if n == 0 {
			h.last[length] = -1
		}
		if code+n > 1<<length {
			return nil, ErrFormat
		}
		for i := range n {
			h.look(code+i, length, symbols[index+i])
		}
		code, index = (code+n)<<1, index+n
	}
	return h, nil
}

// look fills all entries that begin with a code.
func (h *huffman) look(code int32, length int, symbol byte) {
	if length > lookBits {
		return
	}
	shift := lookBits - length
	for i := range int32(1) << shift {
		h.fast[code<<shift|i] = uint16(length)<<8 | uint16(symbol)
	}
}
