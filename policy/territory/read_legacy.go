package territory

import (
	"errors"
	"regexp"
	"time"
)

// legacyCodes are the countries of the legacy format, by number.
const legacyCodes = "--APEUADAEAFAGAIALAMCWAOAQARASATAUAWAZBABBBDBEBFBGBHBIBJBMBNBOBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCXCYCZ" +
	"DEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRSXGAGBGDGEGFGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILINIOIQIRISITJMJOJPKEKGKHKIKMKNKPKRKWKYKZ" +
	"LALBLCLILKLRLSLTLULVLYMAMCMDMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORURWSASBSCSDSE" +
	"SGSHSISJSKSLSMSNSOSRSTSVSYSZTCTDTFTGTHTJTKTMTNTOTLTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSYEYTRSZAZMMEZWA1A2O1AXGGIMJEBLMFBQSSO1"

// legacyLeaf is the number from which on a record stands for a country.
const legacyLeaf = 16776960

// readLegacy reads a pair of files in the legacy country format (Debian: geoip-database): a binary tree of nodes with two
// records of 3 bytes, little-endian.
func readLegacy(v4, v6 []byte) (Ranges, error) {
	built := regexp.MustCompile(` (20\d{6}) Build`).FindSubmatch(v4[max(0, len(v4)-200):])
	if built == nil {
		return Ranges{}, errors.New("legacy database without a date")
	}
	date, err := time.Parse("20060102", string(built[1]))
	if err != nil {
		return Ranges{}, err
	}
	r := Ranges{Source: Source{Name: "dbip", Family: "dbip", Date: date, Licence: "CC BY 4.0", Notice: "IP Geolocation by DB-IP, https://db-ip.com"}}
	w := legacyWalk{tree: v4, bits: 32}
	w.walk(0, 0, 0, func(start uint64, c Country) { r.V4 = append(r.V4, Range4{uint32(start >> 32), About{Country: c}}) })
	six := legacyWalk{tree: v6, bits: 128}
	six.walk(0, 0, 0, func(start uint64, c Country) { r.V6 = append(r.V6, Range6{start, About{Country: c}}) })
	if w.broken || six.broken {
		return r, errors.New("legacy database is cut or of another kind")
	}
	return r, nil
}

type legacyWalk struct {
	tree   []byte
	bits   int
	broken bool
}

// walk goes down to half an IPv6 address; what is finer is unknown.
func (w *legacyWalk) walk(node uint32, depth int, start uint64, found func(uint64, Country)) {
	at := int(node) * 6
	if at+6 > len(w.tree) || depth >= w.bits {
		w.broken = true
		return
	}
	if depth == 64 {
		found(start, Country{})
		return
	}
	for bit := range 2 {
		r := w.tree[at+3*bit:]
		next := uint32(r[0]) | uint32(r[1])<<8 | uint32(r[2])<<16
		from := start | uint64(bit)<<(63-depth)
		if next < legacyLeaf {
			w.walk(next, depth+1, from, found)
			continue
		}
		var c Country
		if i := 2 * int(next-legacyLeaf); i > 0 && i+2 <= len(legacyCodes) {
			c = ParseCountry(legacyCodes[i : i+2])
		}
		found(from, c)
	}
}
