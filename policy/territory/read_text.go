package territory

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// readTor reads the pair of text files of Debian's tor-geoipdb: "first,last,CC" with numbers for IPv4 and addresses for IPv6.
func readTor(v4, v6 []byte) (Ranges, error) {
	r := Ranges{Source: Source{Name: "ipfire-tor", Family: "ipfire", Licence: "CC BY-SA 4.0", Notice: "IPFire Location database, https://location.ipfire.org/, as converted by the Tor Project"}}
	var next4 uint64
	err := lines(v4, &r.Date, func(first, last string, c Country) error {
		from, err := strconv.ParseUint(first, 10, 32)
		to, err2 := strconv.ParseUint(last, 10, 32)
		if err = errors.Join(err, err2); err != nil {
			return err
		}
		if from != next4 {
			r.V4 = append(r.V4, Range4{Start: uint32(next4)})
		}
		r.V4 = append(r.V4, Range4{uint32(from), About{Country: c}})
		next4 = to + 1
		return nil
	})
	if err != nil {
		return r, err
	}
	if next4 < 1<<32 {
		r.V4 = append(r.V4, Range4{Start: uint32(next4)})
	}
	g := gaps6{}
	err = lines(v6, &r.Date, func(first, last string, c Country) error {
		from, err := netip.ParseAddr(first)
		to, err2 := netip.ParseAddr(last)
		if err = errors.Join(err, err2); err != nil {
			return err
		}
		g.add(from, to, c)
		return nil
	})
	r.V6 = g.ranges
	if r.Date.IsZero() && err == nil {
		err = errors.New("no date in the file of ranges")
	}
	return r, err
}

// lines reads "first,last,CC" and the date of the header.
func lines(b []byte, date *time.Time, each func(first, last string, c Country) error) error {
	scan := bufio.NewScanner(bytes.NewReader(b))
	for scan.Scan() {
		line := scan.Text()
		if rest, ok := strings.CutPrefix(line, "# Generated: "); ok {
			if t, err := time.Parse(time.RFC1123, strings.TrimSpace(rest)); err == nil {
				*date = t.UTC()
			}
		}
		if line == "" || line[0] == '#' {
			continue
		}
		parts := strings.Split(line, ",")
		if len(parts) != 3 {
			return fmt.Errorf("range %q", line)
		}
		if err := each(parts[0], parts[1], ParseCountry(strings.Trim(parts[2], `"`))); err != nil {
			return fmt.Errorf("range %q: %w", line, err)
		}
	}
	return scan.Err()
}

// gaps6 makes ranges of half addresses; halves of which only a part is in a range are unknown.
type gaps6 struct {
	ranges []Range6
	next   uint64
}

func (g *gaps6) add(from, to netip.Addr, c Country) {
	start, end := high(from), high(to)
	if low(from) != 0 {
		start++
	}
	if low(to) != 1<<64-1 {
		end--
	}
	if start > end || start < g.next {
		return
	}
	if start > g.next {
		g.ranges = append(g.ranges, Range6{Start: g.next})
	}
	g.ranges = append(g.ranges, Range6{start, About{Country: c}}, Range6{Start: end + 1})
	g.next = end + 1
}

func low(a netip.Addr) uint64 {
	b := a.As16()
	return binary.BigEndian.Uint64(b[8:])
}

// readIPLoc reads the data files of the Go module phuslu/iploc: starts of ranges in one, their countries in the other.
func readIPLoc(starts4, countries4, packed6, countries6 []byte, date time.Time) (Ranges, error) {
	r := Ranges{Source: Source{
		Name: "ip2location", Family: "ip2location", Date: date, Licence: "IP2Location LITE (CC BY-SA 4.0)",
		Notice: "This product includes IP2Location LITE data available from https://lite.ip2location.com, by way of github.com/phuslu/iploc",
	}}
	z, err := gzip.NewReader(bytes.NewReader(packed6))
	if err != nil {
		return r, fmt.Errorf("IPv6 ranges: %w", err)
	}
	starts6, err := io.ReadAll(io.LimitReader(z, maxFile))
	if err != nil {
		return r, fmt.Errorf("IPv6 ranges: %w", err)
	}
	if len(starts4)/4*2 != len(countries4) || len(starts6)/16*2 != len(countries6) {
		return r, errors.New("ranges and countries do not belong together")
	}
	for i := 0; i < len(starts4)/4; i++ {
		r.V4 = append(r.V4, Range4{binary.BigEndian.Uint32(starts4[4*i:]), About{Country: ParseCountry(string(countries4[2*i : 2*i+2]))}})
	}
	for i := 0; i < len(starts6)/16; i++ {
		at := Range6{binary.BigEndian.Uint64(starts6[16*i:]), About{Country: ParseCountry(string(countries6[2*i : 2*i+2]))}}
		half := binary.BigEndian.Uint64(starts6[16*i+8:]) != 0
		r.V6 = addHalf(r.V6, at, half)
	}
	return r, nil
}

// addHalf adds a range. One that begins within a half address leaves that half unknown, as several in one do.
func addHalf(list []Range6, at Range6, within bool) []Range6 {
	half := at.Start
	if within {
		at.Start++
	}
	for n := len(list); n > 0 && list[n-1].Start >= half; n-- {
		list, within = list[:n-1], true
	}
	if within {
		list = append(list, Range6{Start: half})
		at.Start = half + 1
	}
	return append(list, at)
}
