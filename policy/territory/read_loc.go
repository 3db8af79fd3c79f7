package territory

import (
	"encoding/binary"
	"errors"
	"time"
)

// readLOC reads a database of libloc (Debian: libloc-database), version 1: a table of nodes of a binary tree over 128 bits, in
// which IPv4 is ::ffff:0:0/96, and a table of networks. Nodes hold two children and a network, or 0xffffffff.
func readLOC(b []byte) (Ranges, error) {
	const header = 8 + 8 + 13*4 + 4
	if len(b) < header || string(b[:7]) != "LOCDBXX" || b[7] != 1 {
		return Ranges{}, errors.New("not a libloc database of version 1")
	}
	word := func(i int) int { return int(binary.BigEndian.Uint32(b[16+4*i:])) }
	data, tree, err := section(b, word(5), word(6)), section(b, word(7), word(8)), errors.New("libloc database is cut")
	if data == nil || tree == nil {
		return Ranges{}, err
	}
	w := locWalk{data: data, tree: tree}
	r := Ranges{Operators: true, Source: Source{
		Name: "ipfire", Family: "ipfire", Date: time.Unix(int64(binary.BigEndian.Uint64(b[8:])), 0).UTC(),
		Licence: "CC BY-SA 4.0", Notice: "IPFire Location database, https://location.ipfire.org/",
	}}
	w.walk6(0, 0, 0, About{})
	w.walk4(w.mapped(), 0, 0, About{})
	if w.broken {
		return Ranges{}, err
	}
	r.V4, r.V6 = w.v4, w.v6
	return r, nil
}

// section is a part of a file, nil when it is not there.
func section(b []byte, at, size int) []byte {
	if at < 0 || size < 0 || at > len(b) || size > len(b)-at {
		return nil
	}
	return b[at : at+size]
}

type locWalk struct {
	data, tree []byte
	v4         []Range4
	v6         []Range6
	broken     bool
}

const (
	locNode    = 12
	locNetwork = 12
	locNone    = 0xffffffff
	locAnycast = 4
)

// node gives the children of a node (0 for none) and what is said of its network.
func (w *locWalk) node(i uint32, above About) (zero, one uint32, _ About) {
	at := int(i) * locNode
	if at+locNode > len(w.tree) {
		w.broken = true
		return 0, 0, above
	}
	n := w.tree[at:]
	zero, one = binary.BigEndian.Uint32(n), binary.BigEndian.Uint32(n[4:])
	network := binary.BigEndian.Uint32(n[8:])
	if network == locNone {
		return zero, one, above
	}
	at = int(network) * locNetwork
	if at+locNetwork > len(w.data) {
		w.broken = true
		return 0, 0, above
	}
	d := w.data[at:]
	a := About{Country: ParseCountry(string(d[:2])), ASN: binary.BigEndian.Uint32(d[4:])}
	if binary.BigEndian.Uint16(d[8:])&locAnycast != 0 {
		a.Flags = Anycast
	}
	return zero, one, a
}

// walk6 goes down to half an address; what is finer than that is unknown.
func (w *locWalk) walk6(i uint32, depth int, start uint64, above About) {
	zero, one, a := w.node(i, above)
	if depth == 64 && (zero != 0 || one != 0) {
		a = About{}
		zero, one = 0, 0
	}
	if zero == 0 && one == 0 {
		w.v6 = append(w.v6, Range6{start, a})
		return
	}
	for bit, child := range []uint32{zero, one} {
		from := start | uint64(bit)<<(63-depth)
		if child == 0 {
			w.v6 = append(w.v6, Range6{from, a})
		} else {
			w.walk6(child, depth+1, from, a)
		}
	}
}

func (w *locWalk) walk4(i uint32, depth int, start uint32, above About) {
	if i == 0 && depth == 0 {
		return // no IPv4 at all
	}
	zero, one, a := w.node(i, above)
	if depth == 32 || zero == 0 && one == 0 {
		w.v4 = append(w.v4, Range4{start, a})
		return
	}
	for bit, child := range []uint32{zero, one} {
		from := start | uint32(bit)<<(31-depth)
		if child == 0 {
			w.v4 = append(w.v4, Range4{from, a})
		} else {
			w.walk4(child, depth+1, from, a)
		}
	}
}

// mapped is the node of ::ffff:0:0/96, 0 when there is none.
func (w *locWalk) mapped() uint32 {
	var i uint32
	for depth := range 96 {
		zero, one, _ := w.node(i, About{})
		if i = zero; depth >= 80 {
			i = one
		}
		if i == 0 {
			return 0
		}
	}
	return i
}
