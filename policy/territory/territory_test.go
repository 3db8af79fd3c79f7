package territory_test

import (
	"crypto/ed25519"
	"errors"
	"net/netip"
	"testing"
	"time"

	"rempart/policy/territory"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func within(set string) map[territory.Country]bool {
	m := map[territory.Country]bool{}
	for _, c := range territory.Sets()[set] {
		m[c] = true
	}
	return m
}

func rulesFor(d *territory.Data) *territory.Rules {
	operators, err := territory.MakeOperators([]territory.Operator{
		{Name: "OVH", Class: territory.National, ASNs: []uint32{16276}},
		{Name: "Foreign", Class: territory.Extraterritorial, ASNs: []uint32{16509, 8075, 396982, 15169}},
	})
	if err != nil {
		panic(err)
	}
	return &territory.Rules{Data: d, Operators: operators, Within: within("france"), Quorum: 2, MaxAge: 10000 * 24 * time.Hour, DenyClasses: []string{territory.Extraterritorial}}
}

var now = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// source makes a database that knows 9.9.0.0/16 and 2a00::/16, and 8.8.8.0/24 as anycast.
func source(name, family, country string, asn uint32, age time.Duration) territory.Ranges {
	about := territory.About{Country: territory.ParseCountry(country), ASN: asn}
	many := about
	many.Flags = territory.Anycast
	return territory.Ranges{
		Source: territory.Source{Name: name, Family: family, Date: now.Add(-age)}, Operators: asn != 0,
		V4: []territory.Range4{{Start: 0}, {Start: 8<<24 | 8<<16 | 8<<8, About: many}, {Start: 8<<24 | 8<<16 | 9<<8}, {Start: 9<<24 | 9<<16, About: about}, {Start: 9<<24 | 10<<16}},
		V6: []territory.Range6{{Start: 0}, {Start: 0x2a00 << 48, About: about}, {Start: 0x2a01 << 48}},
	}
}

func merge(t *testing.T, all ...territory.Ranges) *territory.Data {
	t.Helper()
	d, err := territory.Merge(now, nil, all)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const day = 24 * time.Hour

func TestVerdicts(t *testing.T) {
	fr := func(name string) territory.Ranges { return source(name, name, "FR", 16276, day) }
	agree := merge(t, fr("a"), fr("b"), fr("c"))
	base := func(d *territory.Data) territory.Rules {
		r := *rulesFor(d)
		r.MaxAge = 120 * day
		return r
	}
	cases := []struct {
		name, addr string
		rules      func() territory.Rules
		want       string
	}{
		{"all agree", "9.9.1.1", func() territory.Rules { return base(agree) }, territory.RuleInside},
		{"IPv6", "2a00:1::1", func() territory.Rules { return base(agree) }, territory.RuleInside},
		{"mapped", "::ffff:9.9.1.1", func() territory.Rules { return base(agree) }, territory.RuleInside},
		{"nobody knows", "11.1.1.1", func() territory.Rules { return base(agree) }, territory.RuleUnknown},
		{"zone", "fe80::1%eth0", func() territory.Rules { return base(agree) }, territory.RuleSpecial},
		{"6to4", "2002:0909:0101::1", func() territory.Rules { return base(agree) }, territory.RuleSpecial},
		{"Teredo", "2001:0:1::1", func() territory.Rules { return base(agree) }, territory.RuleSpecial},
		{"NAT64", "64:ff9b::909:101", func() territory.Rules { return base(agree) }, territory.RuleSpecial},
		{"documentation", "203.0.113.1", func() territory.Rules { return base(agree) }, territory.RuleSpecial},
		{"loopback", "127.10.0.1", func() territory.Rules { return base(agree) }, territory.RuleSpecial},
		{"private", "10.0.0.1", func() territory.Rules { return base(agree) }, territory.RuleSpecial},
		{"multicast", "224.0.0.1", func() territory.Rules { return base(agree) }, territory.RuleSpecial},
		{"anycast", "8.8.8.8", func() territory.Rules { return base(agree) }, territory.RuleAnycast},
		{"one disagrees", "9.9.1.1", func() territory.Rules {
			return base(merge(t, fr("a"), fr("b"), source("c", "c", "US", 16276, day)))
		}, territory.RuleOutside},
		{"one does not know", "9.9.1.1", func() territory.Rules {
			return base(merge(t, fr("a"), fr("b"), source("c", "c", "", 0, day)))
		}, territory.RuleUnknown},
		{"two of a family are one", "9.9.1.1", func() territory.Rules {
			return base(merge(t, fr("a"), source("b", "a", "FR", 0, day)))
		}, territory.RuleNoData},
		{"an old one is not asked", "9.9.1.1", func() territory.Rules {
			return base(merge(t, fr("a"), fr("b"), source("c", "c", "US", 0, 121*day)))
		}, territory.RuleInside},
		{"two old ones", "9.9.1.1", func() territory.Rules {
			return base(merge(t, fr("a"), source("b", "b", "FR", 0, 121*day), source("c", "c", "FR", 0, 121*day)))
		}, territory.RuleNoData},
		{"no data", "9.9.1.1", func() territory.Rules { return base(nil) }, territory.RuleNoData},
		{"operator unknown", "9.9.1.1", func() territory.Rules {
			return base(merge(t, source("a", "a", "FR", 0, day), source("b", "b", "FR", 0, day)))
		}, territory.RuleOperator},
		{"operator under foreign law", "9.9.1.1", func() territory.Rules {
			return base(merge(t, source("a", "a", "FR", 16509, day), fr("b")))
		}, "operator.extraterritorial"},
		{"denied network", "9.9.1.1", func() territory.Rules {
			r := base(agree)
			r.DenyNets = []netip.Prefix{netip.MustParsePrefix("9.9.1.0/24")}
			r.Internal = r.DenyNets
			return r
		}, territory.RuleDenied},
		{"denied operator, though pinned", "9.9.1.1", func() territory.Rules {
			r := base(agree)
			r.DenyASNs = map[uint32]bool{16276: true}
			r.Pins = []territory.Pin{{ID: "p", Prefix: netip.MustParsePrefix("9.9.0.0/16"), Country: territory.ParseCountry("FR")}}
			return r
		}, territory.RuleDenied},
		{"premises", "10.1.2.3", func() territory.Rules {
			r := base(nil)
			r.Internal = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
			return r
		}, territory.RuleInternal},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rules := c.rules()
			v := rules.Judge(addr(c.addr), now)
			if v.Rule != c.want || v.OK != (c.want == territory.RuleInside || c.want == territory.RuleInternal) {
				t.Errorf("got %s, %v; want %s", v.Rule, v.OK, c.want)
			}
		})
	}
}

func TestPins(t *testing.T) {
	pin := territory.Pin{ID: "p", Prefix: netip.MustParsePrefix("9.9.0.0/16"), Country: territory.ParseCountry("FR"), Until: now.Add(day)}
	for name, c := range map[string]struct {
		country string
		change  func(*territory.Pin)
		want    string
	}{
		"stands without data":         {"", func(*territory.Pin) {}, territory.RulePin},
		"contradicted":                {"US", func(*territory.Pin) {}, territory.RuleContradiction},
		"contradicted and approved":   {"US", func(p *territory.Pin) { p.Contradiction = true }, territory.RulePin},
		"over":                        {"", func(p *territory.Pin) { p.Until = now }, territory.RuleUnknown},
		"operator under foreign law":  {"", func(p *territory.Pin) { p.Class = territory.Extraterritorial }, "operator.extraterritorial"},
		"a country that is not ours":  {"", func(p *territory.Pin) { p.Country = territory.ParseCountry("DE") }, territory.RuleOutside},
		"agreed upon by the database": {"FR", func(*territory.Pin) {}, territory.RulePin},
	} {
		t.Run(name, func(t *testing.T) {
			rules := rulesFor(merge(t, source("a", "a", c.country, 0, day), source("b", "b", c.country, 0, day)))
			p := pin
			c.change(&p)
			rules.Pins = []territory.Pin{p}
			if v := rules.Judge(addr("9.9.1.1"), now); v.Rule != c.want {
				t.Errorf("got %s, want %s", v.Rule, c.want)
			}
		})
	}
}

func TestTheLabNeedsASetting(t *testing.T) {
	rules := rulesFor(territory.Lab())
	rules.Operators = territory.LabOperators()
	for address, want := range map[string]string{
		"127.10.0.1": territory.RuleInside, "127.11.0.1": "operator.extraterritorial", "127.12.0.1": territory.RuleOutside,
		"127.13.0.1": territory.RuleInside, "127.14.0.1": territory.RuleUnknown, "127.15.0.1": territory.RuleOutside, "127.0.0.1": territory.RuleUnknown,
		"9.9.9.9": territory.RuleUnknown,
	} {
		rules.Lab = false
		if v := rules.Judge(addr(address), now); v.OK {
			t.Errorf("%s is admitted without the setting", address)
		}
		rules.Lab = true
		if v := rules.Judge(addr(address), now); v.Rule != want {
			t.Errorf("%s: %s, want %s", address, v.Rule, want)
		}
	}
}

func TestFiles(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(nil)
	other, _, _ := ed25519.GenerateKey(nil)
	file, err := merge(t, source("a", "a", "FR", 16276, day), source("b", "b", "RE", 0, day)).Marshal(private)
	if err != nil {
		t.Fatal(err)
	}
	d, err := territory.Read(file, []ed25519.PublicKey{other, public})
	if err != nil {
		t.Fatal(err)
	}
	if p := d.Find(addr("9.9.0.0")); p.ASN != 16276 || p.Countries[1] != territory.ParseCountry("RE") {
		t.Errorf("found %v", p)
	}
	if p := d.Find(addr("9.10.0.0")); p != (territory.Place{}) {
		t.Errorf("found %v behind the range", p)
	}
	if _, err := territory.Read(file, []ed25519.PublicKey{other}); !errors.Is(err, territory.ErrSignature) {
		t.Errorf("a stranger's signature: %v", err)
	}
	for i := range file {
		changed := append([]byte(nil), file...)
		changed[i] ^= 1
		if _, err := territory.Read(changed, []ed25519.PublicKey{public}); err == nil {
			t.Fatalf("byte %d may be changed", i)
		}
	}
	for _, n := range []int{0, 10, len(file) / 2, len(file) - 1} {
		if _, err := territory.Read(file[:n], nil); err == nil {
			t.Errorf("read %d of %d bytes", n, len(file))
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	r := source("a", "a", "FR", 16276, day)
	for i := range uint32(1_000_000) {
		r.V4 = append(r.V4, territory.Range4{Start: 10<<24 + i*3000, About: territory.About{Country: territory.ParseCountry("FR"), ASN: 1 + i%60000}})
	}
	s := r
	s.Name, s.Family = "b", "b"
	d, err := territory.Merge(now, nil, []territory.Ranges{r, s})
	if err != nil {
		b.Fatal(err)
	}
	rules := rulesFor(d)
	rules.AllowUnknown = true
	a := addr("101.2.3.4")
	b.ReportAllocs()
	for b.Loop() {
		if v := rules.Judge(a, now); !v.OK {
			b.Fatal(v.Rule)
		}
		a = a.Next()
	}
}
