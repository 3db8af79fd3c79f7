package territory

import (
	"net/netip"
	"sort"
	"time"
)

// Country is the code of a country, such as {'F','R'}; the zero value is unknown.
type Country [2]byte

// ParseCountry reads a code of two capital letters; what stands for no country (ZZ, EU, A1 …) is unknown.
func ParseCountry(s string) Country {
	if len(s) != 2 || s[0] < 'A' || s[0] > 'Z' || s[1] < 'A' || s[1] > 'Z' {
		return Country{}
	}
	switch s {
	case "ZZ", "EU", "AP", "XX", "XD": // no country: unknown, continents, "drop" and the like
		return Country{}
	}
	return Country{s[0], s[1]}
}

// String is the code, "?" when unknown.
func (c Country) String() string {
	if c == (Country{}) {
		return "?"
	}
	return string(c[:])
}

// MaxSources bounds how many independent databases a file is made of.
const MaxSources = 4

// Anycast marks addresses that are at many places at once.
const Anycast = 1

// Place is what the databases say about an address: a country each, in the order of [Header.Sources].
type Place struct {
	Countries [MaxSources]Country
	ASN       uint32 // 0: unknown
	Flags     uint8
}

// Source is one database that a file was made of.
type Source struct {
	Name string `json:"name"`
	// Family names databases that are not independent of one another; only the newest of a family is asked for countries.
	Family  string    `json:"family"`
	Date    time.Time `json:"date"`
	Licence string    `json:"licence"`
	Notice  string    `json:"notice"`
	SHA256  string    `json:"sha256"`
}

// Header is what a file says about itself.
type Header struct {
	Version int       `json:"version"`
	Built   time.Time `json:"built"`
	Sources []Source  `json:"sources"`
	// Operators is the database that the numbers of networks and the anycast marks are from.
	Operators Source `json:"operators"`
	V4        int    `json:"v4"`
	V6        int    `json:"v6"`
	Places    int    `json:"places"`
	// Lab marks made-up places of loopback addresses, which count with an explicit setting only.
	Lab bool `json:"lab,omitempty"`
}

// Data is a file in memory. It never changes and may be used concurrently.
type Data struct {
	Header
	// Digest is the first half of the file's SHA-256, for the record.
	Digest string

	v4     []uint32 // where ranges begin
	v4at   []uint32 // their places
	v6     []uint64 // likewise, by the first 64 bits
	v6at   []uint32
	places []Place
	first  []uint32 // by the first 16 bits of an IPv4 address: how many ranges begin before
}

// index prepares look-ups. Why: the table has a million ranges, of which few share their first 16 bits.
func (d *Data) index() {
	d.first = make([]uint32, 1<<16+1)
	i := 0
	for h := range 1 << 16 {
		for i < len(d.v4) && d.v4[i]>>16 < uint32(h) {
			i++
		}
		d.first[h] = uint32(i)
	}
	d.first[1<<16] = uint32(len(d.v4))
}

// Find gives what is known of an address, which must be unmapped. It allocates nothing.
func (d *Data) Find(a netip.Addr) Place {
	if a.Is4() {
		b := a.As4()
		n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		i, end := int(d.first[n>>16]), int(d.first[n>>16+1])
		for i < end {
			if middle := (i + end) / 2; d.v4[middle] > n {
				end = middle
			} else {
				i = middle + 1
			}
		}
		if i > 0 {
			return d.places[d.v4at[i-1]]
		}
		return Place{}
	}
	n := high(a)
	if i := sort.Search(len(d.v6), func(i int) bool { return d.v6[i] > n }); i > 0 {
		return d.places[d.v6at[i-1]]
	}
	return Place{}
}

// high is the first half of an IPv6 address.
func high(a netip.Addr) uint64 {
	b := a.As16()
	var n uint64
	for _, x := range b[:8] {
		n = n<<8 | uint64(x)
	}
	return n
}

// Size is the memory that the data takes, in bytes.
func (d *Data) Size() int {
	return len(d.first)*4 + len(d.v4)*8 + len(d.v6)*12 + len(d.places)*16
}
