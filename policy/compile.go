package policy

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"rempart/internal/matrix"
	"rempart/policy/territory"
)

// configured in a list of hosts stands for the endpoints that the configuration file names.
const configured = "configured"

// Reader gives the bytes of a file that a policy names.
type Reader func(path string) ([]byte, error)

// Compile makes a generation of a policy's text and the files that it names. All mistakes are returned at once, as [Mistakes].
func Compile(text []byte, read Reader) (*Generation, error) {
	f, err := parse(text)
	if err != nil {
		return nil, err
	}
	return compile(f, text, read)
}

// CompileSimple makes a generation of the short settings.
func CompileSimple(s Simple) (*Generation, error) {
	f := s.File()
	text, err := yaml.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return compile(f, text, nil)
}

// compiler collects mistakes.
type compiler struct {
	file  *File
	g     *Generation
	read  Reader
	found Mistakes
}

func (c *compiler) say(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

func compile(f *File, text []byte, read Reader) (*Generation, error) {
	sum := sha256.Sum256(text)
	c := &compiler{file: f, read: read, g: &Generation{
		Digest: hex.EncodeToString(sum[:16]), source: f, observe: map[Point]bool{}, denied: map[string]bool{}, partners: map[string]*partner{},
		outside: map[Point]*outside{}, tenants: map[matrix.ServerName]*Generation{},
	}}
	if f.Version != 1 {
		c.say("version: must be 1.")
	}
	c.mode()
	c.territory()
	c.operators()
	c.deny()
	c.partners()
	c.outside()
	c.registering()
	c.tenants()
	if len(c.found) > 0 {
		return nil, c.found
	}
	return c.g, nil
}

func (c *compiler) mode() {
	switch c.file.Mode {
	case "", "enforce":
	case "observe":
		c.g.observeAll = true
	default:
		c.say("mode: %q is neither enforce nor observe.", c.file.Mode)
	}
	for _, p := range c.file.Observe {
		if infoOf(p) == nil {
			c.say("observe: there is no decision point %q.", p)
		}
		c.g.observe[p] = true
	}
}

func (c *compiler) territory() {
	t, r := &c.file.Territory, &c.g.rules
	c.g.anywhere = len(t.Within) == 0
	r.Within, r.Quorum, r.Lab = c.countries(t), max(2, t.Quorum), t.Lab
	if t.Quorum == 1 || t.Quorum < 0 || t.Quorum > territory.MaxSources {
		c.say("territory.quorum: %d databases; it is 2 to %d.", t.Quorum, territory.MaxSources)
	}
	r.MaxAge, c.g.alarmAge = days(t.MaxAgeDays, 120), days(t.AlarmAgeDays, 45)
	if t.MaxAgeDays < 0 || t.AlarmAgeDays < 0 || t.MaxAgeDays > 400 {
		c.say("territory: max_age_days is 1 to 400, alarm_age_days not below 0.")
	}
	r.AnycastAllowed = c.choice("territory.anycast", t.Anycast)
	r.Internal = c.prefixes("territory.internal", t.Internal)
	c.pins(t)
	switch {
	case c.g.anywhere && (t.Data != "" || t.Lab):
		c.say("territory: data and lab mean nothing without within.")
	case t.Lab && t.Data != "":
		c.say("territory: lab and data exclude each other.")
	case t.Lab:
		r.Data = territory.Lab()
	case !c.g.anywhere && t.Data != "":
		c.data(t)
	}
	if r.Data != nil {
		c.g.Geo = r.Data.Digest
	}
}

// data reads the file of territories. Why a file that cannot be read is no mistake: the server then runs closed, as it must
// when its data grows too old, and says so.
func (c *compiler) data(t *Territory) {
	var keys []ed25519.PublicKey
	for i, k := range t.Keys {
		b, err := base64.StdEncoding.DecodeString(k)
		if err != nil || len(b) != ed25519.PublicKeySize {
			c.say("territory.keys[%d]: is no key as `rempart geo build` prints it.", i)
			continue
		}
		keys = append(keys, b)
	}
	if len(keys) == 0 {
		c.say("territory.keys: name the key that the file is signed with (rempart geo show prints it).")
		return
	}
	b, err := c.read(t.Data)
	if err == nil {
		c.g.rules.Data, err = territory.Read(b, keys)
	}
	if errors.Is(err, territory.ErrSignature) {
		c.say("territory.data: %s.", err)
	}
}

func (c *compiler) countries(t *Territory) map[territory.Country]bool {
	sets := territory.Sets()
	for i, s := range t.Sets {
		if s.Name == "" || sets[s.Name] != nil {
			c.say("territory.sets[%d]: needs a name of its own.", i)
		}
		for _, code := range s.Countries {
			sets[s.Name] = append(sets[s.Name], c.country(fmt.Sprintf("territory.sets[%d]", i), code))
		}
	}
	all := map[territory.Country]bool{}
	for _, name := range t.Within {
		if set := sets[name]; set != nil {
			for _, country := range set {
				all[country] = true
			}
			continue
		}
		all[c.country("territory.within", name)] = true
	}
	return all
}

func (c *compiler) country(place, code string) territory.Country {
	country := territory.ParseCountry(code)
	if country == (territory.Country{}) {
		c.say("%s: %q is neither a set nor the code of a country such as FR.", place, code)
	}
	return country
}

func (c *compiler) pins(t *Territory) {
	for i, p := range t.Pins {
		place := fmt.Sprintf("territory.pins[%d]", i)
		prefix := c.prefixes(place+".prefix", []string{p.Prefix})
		until, err := parseDay(p.Until)
		if err != nil {
			c.say("%s.until: %s.", place, err)
		}
		if p.ID == "" {
			c.say("%s: needs an id, such as the number of the agreement.", place)
		}
		if p.Class != "" && !slices.Contains(territory.Classes(), p.Class) {
			c.say("%s.class: %q is none of %s.", place, p.Class, strings.Join(territory.Classes(), ", "))
		}
		if len(prefix) == 1 {
			c.g.rules.Pins = append(c.g.rules.Pins, territory.Pin{ID: p.ID, Prefix: prefix[0], Country: c.country(place+".country", p.Country),
				Operator: p.Operator, Class: p.Class, Until: until, Contradiction: p.Contradiction != ""})
		}
	}
}

func (c *compiler) operators() {
	o, list := &c.file.Operators, territory.KnownOperators()
	if o.File != "" && c.read != nil {
		b, err := c.read(o.File)
		if err == nil {
			list = nil
			err = yaml.Unmarshal(b, &list)
		}
		if err != nil {
			c.say("operators.file: %s cannot be read.", o.File)
		}
	}
	var err error
	if c.g.rules.Operators, err = territory.MakeOperators(append(slices.Clone(o.List), without(list, o.List)...)); err != nil {
		c.say("operators: %s.", err)
	}
	if c.file.Territory.Lab {
		for n, operator := range territory.LabOperators() {
			c.g.rules.Operators[n] = operator
		}
	}
	for _, class := range o.DenyClasses {
		if !slices.Contains(territory.Classes(), class) {
			c.say("operators.deny_classes: %q is none of %s.", class, strings.Join(territory.Classes(), ", "))
		}
	}
	if c.g.rules.DenyClasses = o.DenyClasses; o.DenyClasses == nil {
		c.g.rules.DenyClasses = []string{territory.Extraterritorial}
	}
	c.g.rules.AllowUnknown = c.choice("operators.unknown", o.Unknown)
}

// without takes networks out of a list that another list names: a policy's own word counts.
func without(list, own []territory.Operator) []territory.Operator {
	taken := map[uint32]bool{}
	for _, o := range own {
		for _, n := range o.ASNs {
			taken[n] = true
		}
	}
	var rest []territory.Operator
	for _, o := range list {
		o.ASNs = slices.DeleteFunc(slices.Clone(o.ASNs), func(n uint32) bool { return taken[n] })
		rest = append(rest, o)
	}
	return rest
}

func (c *compiler) deny() {
	for _, name := range c.file.Deny.Servers {
		c.g.denied[strings.ToLower(name)] = true
	}
	c.g.rules.DenyNets = c.prefixes("deny.networks", c.file.Deny.Networks)
	c.g.rules.DenyASNs = map[uint32]bool{}
	for _, n := range c.file.Deny.ASNs {
		c.g.rules.DenyASNs[n] = true
	}
}

// choice reads "allow" or "deny", which is the default.
func (c *compiler) choice(place, word string) bool {
	if word != "" && word != "allow" && word != "deny" {
		c.say("%s: %q is neither allow nor deny.", place, word)
	}
	return word == "allow"
}

func (c *compiler) prefixes(place string, list []string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if a, bad := netip.ParseAddr(s); bad == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil || p.Addr().Is4In6() {
			c.say("%s: %q is no network like 192.0.2.0/24.", place, s)
			continue
		}
		out = append(out, p.Masked())
	}
	return out
}

func days(n, usual int) time.Duration {
	if n == 0 {
		n = usual
	}
	return time.Duration(n) * 24 * time.Hour
}
