package storage

import "encoding/binary"

// arrays appends one array a column, in PostgreSQL's binary form, to dst. The arrays share w.buf.
// Why binary: the text form of bytes is hexadecimal, twice as long, and is parsed again at the other end.
func (w *writer) arrays(dst []any, t *table, rows []Row) []any {
	flat := w.args[:0]
	for _, r := range rows {
		flat = r.args(flat)
	}
	w.args = flat
	for i, col := range t.cols {
		from := len(w.buf)
		w.buf = appendArray(w.buf, col.typ, flat, i, len(t.cols), len(rows))
		dst = append(dst, w.buf[from:len(w.buf):len(w.buf)])
	}
	return dst
}

// Spec: PostgreSQL's src/include/catalog/pg_type.dat: the numbers of bigint, text and bytea.
const (
	oidInt   = 20
	oidText  = 25
	oidBytes = 17
)

// appendArray writes the column'th of every width values: dimensions 1, a mark for NULLs, the element type, the
// length, the lower bound 1, then the elements, each behind its length.
func appendArray(b []byte, typ colType, flat []any, column, width, rows int) []byte {
	oid := map[colType]uint32{intCol: oidInt, textCol: oidText, bytesCol: oidBytes}[typ]
	for _, n := range [5]uint32{1, 0, oid, uint32(rows), 1} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	nulls := len(b) - 13 // the low byte of the mark
	for i := column; i < len(flat); i += width {
		switch v := flat[i].(type) {
		case int64:
			b = binary.BigEndian.AppendUint32(b, 8)
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		case string:
			v = cleanText(v)
			b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
			b = append(b, v...)
		case []byte:
			if v == nil {
				b = appendNull(b, nulls)
				continue
			}
			b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
			b = append(b, v...)
		case nil:
			b = appendNull(b, nulls)
		default:
			panic("storage: a row gives a value that is no int64, string or []byte")
		}
	}
	return b
}

func appendNull(b []byte, nulls int) []byte {
	b[nulls] = 1
	return binary.BigEndian.AppendUint32(b, ^uint32(0))
}
