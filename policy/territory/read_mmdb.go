package territory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"
)

// readMMDB reads a database in the MaxMind format, version 2: a binary tree, and values that its leaves point to. Countries are
// country.iso_code or country_code, numbers of networks autonomous_system_number or asn.
func readMMDB(b []byte) (Ranges, error) {
	at := bytes.LastIndex(b, []byte("\xab\xcd\xefMaxMind.com"))
	if at < 0 {
		return Ranges{}, errors.New("no MaxMind database")
	}
	meta, _, err := (&mmdb{data: b[at+14:]}).value(0, 0)
	table, ok := meta.(map[string]any)
	if err != nil || !ok {
		return Ranges{}, errors.Join(errors.New("no metadata"), err)
	}
	number := func(key string) int {
		n, _ := table[key].(uint64)
		return int(n)
	}
	m := mmdb{nodes: number("node_count"), bits: number("record_size"), known: map[int]About{}}
	size := m.nodes * m.bits / 4
	if m.nodes <= 0 || m.bits != 24 && m.bits != 28 && m.bits != 32 || size+16 > at {
		return Ranges{}, errors.New("sizes that are not possible")
	}
	m.tree, m.data = b[:size], b[size+16:at]
	name, _ := table["database_type"].(string)
	r := Ranges{Source: Source{Name: name, Family: "mmdb:" + name, Licence: "as its vendor says", Notice: name, Date: time.Unix(int64(number("build_epoch")), 0).UTC()}}
	four := 0
	if number("ip_version") == 6 {
		for range 96 {
			if four < m.nodes {
				four = m.child(four, 0)
			}
		}
		m.walk(0, 0, 64, 0, func(start uint64, a About) { r.V6 = append(r.V6, Range6{start, a}) })
	}
	m.walk(four, 0, 32, 0, func(start uint64, a About) { r.V4 = append(r.V4, Range4{uint32(start >> 32), a}) })
	r.Operators = m.operators
	return r, m.err
}

type mmdb struct {
	tree, data  []byte
	nodes, bits int
	known       map[int]About
	operators   bool
	err         error
}

// child is the record of a node for a bit.
func (m *mmdb) child(node, bit int) int {
	n := m.tree[node*m.bits/4:]
	switch m.bits {
	case 24:
		n = n[3*bit:]
		return int(n[0])<<16 | int(n[1])<<8 | int(n[2])
	case 28:
		if bit == 0 {
			return int(n[3]>>4)<<24 | int(n[0])<<16 | int(n[1])<<8 | int(n[2])
		}
		return int(n[3]&15)<<24 | int(n[4])<<16 | int(n[5])<<8 | int(n[6])
	}
	return int(binary.BigEndian.Uint32(n[4*bit:]))
}

// walk goes down to a depth; what is finer is unknown.
func (m *mmdb) walk(node, depth, deepest int, start uint64, found func(uint64, About)) {
	switch {
	case node >= m.nodes:
		found(start, m.about(node))
	case depth == deepest:
		found(start, About{})
	default:
		m.walk(m.child(node, 0), depth+1, deepest, start, found)
		m.walk(m.child(node, 1), depth+1, deepest, start|1<<(63-depth), found)
	}
}

// about reads the value of a leaf.
func (m *mmdb) about(leaf int) About {
	at := leaf - m.nodes - 16
	if at < 0 {
		return About{}
	}
	if a, ok := m.known[at]; ok {
		return a
	}
	v, _, err := m.value(at, 0)
	m.err = errors.Join(m.err, err)
	table, _ := v.(map[string]any)
	var a About
	code, _ := table["country_code"].(string)
	if c, ok := table["country"].(map[string]any); ok {
		code, _ = c["iso_code"].(string)
	}
	a.Country = ParseCountry(code)
	for _, key := range []string{"autonomous_system_number", "asn"} {
		if n, ok := table[key].(uint64); ok {
			a.ASN, m.operators = uint32(n), true
		}
	}
	m.known[at] = a
	return a
}

var errMMDB = errors.New("MaxMind database is damaged")

// value decodes the value at an offset and gives the offset behind it.
func (m *mmdb) value(at, depth int) (any, int, error) {
	if at >= len(m.data) || depth > 16 {
		return nil, 0, errMMDB
	}
	control := m.data[at]
	at++
	kind := int(control >> 5)
	if kind == 1 {
		return m.pointer(control, at, depth)
	}
	if kind == 0 {
		if at >= len(m.data) {
			return nil, 0, errMMDB
		}
		kind = int(m.data[at]) + 7
		at++
	}
	size := int(control & 31)
	if extra := size - 28; extra > 0 {
		if at+extra > len(m.data) {
			return nil, 0, errMMDB
		}
		size = []int{0, 29, 285, 65821}[extra] + int(unsigned(m.data[at:at+extra]))
		at += extra
	}
	switch kind {
	case 7:
		return m.table(at, size, depth)
	case 11:
		return m.list(at, size, depth)
	case 14:
		return size != 0, at, nil
	}
	if at+size > len(m.data) {
		return nil, 0, errMMDB
	}
	raw := m.data[at : at+size]
	switch kind {
	case 2:
		return string(raw), at + size, nil
	case 5, 6, 9:
		return unsigned(raw), at + size, nil
	}
	return raw, at + size, nil // numbers that nobody asks for
}

func (m *mmdb) pointer(control byte, at, depth int) (any, int, error) {
	size := int(control>>3&3) + 1
	if at+size > len(m.data) {
		return nil, 0, errMMDB
	}
	to := int(unsigned(m.data[at : at+size]))
	if size < 4 {
		to += int(control&7)<<(8*size) + []int{0, 2048, 526336}[size-1]
	}
	v, _, err := m.value(to, depth+1)
	return v, at + size, err
}

func (m *mmdb) table(at, size, depth int) (any, int, error) {
	table := map[string]any{}
	for range size {
		key, next, err := m.value(at, depth+1)
		if err != nil {
			return nil, 0, err
		}
		name, _ := key.(string)
		if table[name], at, err = m.value(next, depth+1); err != nil {
			return nil, 0, err
		}
	}
	return table, at, nil
}

func (m *mmdb) list(at, size, depth int) (any, int, error) {
	var list []any
	for range size {
		v, next, err := m.value(at, depth+1)
		if err != nil {
			return nil, 0, err
		}
		list, at = append(list, v), next
	}
	return list, at, nil
}

func unsigned(b []byte) uint64 {
	var n uint64
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return n
}
