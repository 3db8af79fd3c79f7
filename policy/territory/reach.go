package territory

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Span is the addresses from one to another, both included.
type Span struct{ From, To netip.Addr }

// Reach are the spans of addresses that the data admits at a time, by country and operator alone: no look is taken at pins, internal networks and
// what is denied by network. It is for filters outside of this process.
func (r Rules) Reach(now time.Time) (v4, v6 []Span) {
	d := r.Data
	if d == nil {
		return nil, nil
	}
	r.Pins, r.Internal, r.DenyNets = nil, nil, nil
	add := func(list []Span, from, to netip.Addr) []Span {
		if !r.Judge(from, now).OK {
			return list
		}
		if n := len(list); n > 0 && list[n-1].To.Next() == from {
			list[n-1].To = to
			return list
		}
		return append(list, Span{from, to})
	}
	for i, n := range d.v4 {
		end := uint32(1<<32 - 1)
		if i+1 < len(d.v4) {
			end = d.v4[i+1] - 1
		}
		v4 = add(v4, addr4(n), addr4(end))
	}
	for i, n := range d.v6 {
		end := uint64(1<<64 - 1)
		if i+1 < len(d.v6) {
			end = d.v6[i+1] - 1
		}
		v6 = add(v6, addr6(n, 0), addr6(end, 1<<64-1))
	}
	return v4, v6
}

func addr4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}

func addr6(high, low uint64) netip.Addr {
	return netip.AddrFrom16([16]byte(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, high), low)))
}
