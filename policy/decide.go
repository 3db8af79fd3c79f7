package policy

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"rempart/internal/matrix"
	"rempart/policy/territory"
)

// Facts are what a caller knows of what is about to happen.
type Facts struct {
	Point Point
	// Server is the Matrix server that is spoken to, "" outside federation.
	Server matrix.ServerName
	// Host is the name or the address that is connected to, or the path of a socket.
	Host string
	// Addr is the address about to be dialled; invalid while only names are judged.
	Addr netip.AddrPort
	// Socket reports that Host is a unix socket.
	Socket bool
	// Configured reports that the configuration file names this very endpoint.
	Configured bool
	// Data is the kind of data, "" when that is not the question.
	Data string
	// Tenant is the organisation that asks, "" for the installation.
	Tenant matrix.ServerName
	Now    time.Time
}

// Decision is the answer.
type Decision struct {
	Allowed bool
	// Observed reports that it would be refused, but the policy only watches here.
	Observed bool
	Rule     string
	// Generation numbers the policy that decided; Policy and Geo are digests of it and of the data about addresses.
	Generation  uint64
	Policy, Geo string
	// Place is the evidence about the address.
	Place territory.Verdict
}

// The rules that are not about addresses.
const (
	RuleAllowed        = "allowed"
	RulePoint          = "point.unknown"    // the code asks for what no policy knows
	RuleDenyServer     = "deny.server"      // denied by name
	RulePartner        = "partner.unknown"  // no such partner
	RulePartnerOver    = "partner.expired"  // the agreement is over
	RulePartnerData    = "partner.data"     // not this kind of data
	RulePartnerPlace   = "partner.endpoint" // not the host that was agreed upon
	RulePartnerNetwork = "partner.network"  // not a network that was agreed upon
	RuleHost           = "host.unknown"     // no such host for this purpose
	RulePrivate        = "address.private"  // no public address
)

// Generation is one policy, ready to decide. It never changes and may be used concurrently.
type Generation struct {
	// Number counts the policies of this process.
	Number uint64
	// Digest is that of the policy's text; Geo that of the data about addresses, "" without.
	Digest, Geo string

	observeAll bool
	observe    map[Point]bool
	denied     map[string]bool
	partners   map[string]*partner
	anyone     *partner // whoever is no partner by name; nil: nobody
	outside    map[Point]*outside
	anywhere   bool // the place of addresses is not asked
	rules      territory.Rules
	tenants    map[matrix.ServerName]*Generation
	alarmAge   time.Duration
	source     *File
}

// partner is a server that may be spoken to.
type partner struct {
	data      []string
	endpoints []string
	networks  []netip.Prefix
	keys      map[string]string
	private   bool
	from      time.Time
	until     time.Time // zero: no end
}

// outside is what may be connected to for one purpose.
type outside struct {
	hosts      []string
	any        bool
	configured bool
	private    bool
}

// Decide judges facts by this generation. It allocates nothing.
func (g *Generation) Decide(f *Facts) Decision {
	d := Decision{Generation: g.Number, Policy: g.Digest, Geo: g.Geo}
	d.Rule = g.judge(f, &d.Place)
	if overlay := g.tenants[f.Tenant]; overlay != nil && d.Rule == RuleAllowed {
		d.Rule = overlay.judge(f, &d.Place)
	}
	d.Allowed = d.Rule == RuleAllowed
	if !d.Allowed && (g.observeAll || g.observe[f.Point]) {
		d.Allowed, d.Observed = true, true
	}
	return d
}

// judge gives the rule, RuleAllowed when nothing stands against it.
func (g *Generation) judge(f *Facts, place *territory.Verdict) string {
	server, host := strings.ToLower(string(f.Server)), strings.ToLower(f.Host)
	if server != "" && g.denied[server] || host != "" && g.denied[host] {
		return RuleDenyServer
	}
	if out := g.outside[f.Point]; out != nil {
		if rule := out.name(host, f); rule != RuleAllowed {
			return rule
		}
		return g.address(f, out.private, out.configured && f.Configured, place)
	}
	if !partnerPoint(f.Point) {
		return RulePoint
	}
	if server == "" {
		server = host
	}
	p := g.partners[server]
	if p == nil {
		p = g.anyone
	}
	if rule := p.name(host, f); rule != RuleAllowed {
		return rule
	}
	if f.Addr.IsValid() && f.Point != FedAccept && len(p.networks) > 0 && !within(p.networks, f.Addr.Addr()) {
		return RulePartnerNetwork
	}
	return g.address(f, p.private, false, place)
}

// partnerPoint reports whether the other side at a point is a Matrix server. Why no look into the registry: this is asked for every write.
func partnerPoint(p Point) bool {
	switch p {
	case FedDial, FedResolve, FedAccept, FedInQuery, FedOutEDU, FedInEDU, MediaRemote, RoomJoin, RoomInvite, RoomClosure, RTCToken:
		return true
	}
	return false
}

// name judges a server by what was agreed upon.
func (p *partner) name(host string, f *Facts) string {
	switch {
	case p == nil:
		return RulePartner
	case f.Now.Before(p.from) || !p.until.IsZero() && !f.Now.Before(p.until):
		return RulePartnerOver
	case f.Data != "" && !slices.Contains(p.data, f.Data):
		return RulePartnerData
	// Why not its own name while no address is known: it must be asked where it is, before a host that was agreed upon can be found.
	case f.Point == FedDial && host != "" && len(p.endpoints) > 0 && !slices.Contains(p.endpoints, host) &&
		(f.Addr.IsValid() || !strings.EqualFold(host, f.Server.Host())):
		return RulePartnerPlace
	}
	return RuleAllowed
}

func (o *outside) name(host string, f *Facts) string {
	if o.any || o.configured && f.Configured || slices.Contains(o.hosts, host) {
		return RuleAllowed
	}
	return RuleHost
}

// address judges where a connection would lead.
func (g *Generation) address(f *Facts, private, configured bool, place *territory.Verdict) string {
	if f.Socket && (configured || private) {
		return RuleAllowed // it leads nowhere but to this machine
	}
	if f.Socket {
		return RulePrivate
	}
	if !f.Addr.IsValid() {
		return RuleAllowed
	}
	a, ok := territory.Normal(f.Addr.Addr())
	switch {
	case !ok:
		return territory.RuleSpecial
	case within(g.rules.DenyNets, a):
		return territory.RuleDenied
	case configured && a.IsLoopback() && !g.rules.Lab:
		return RuleAllowed
	case !territory.Public(a) && private && !a.IsLinkLocalUnicast():
		return RuleAllowed
	case g.anywhere && f.Point == FedAccept:
		return RuleAllowed // Why: a proxy in front may hide where a request comes from, and no place was asked for
	case g.anywhere:
		if territory.Public(a) || within(g.rules.Internal, a) {
			return RuleAllowed
		}
		return RulePrivate
	}
	*place = g.rules.Judge(a, f.Now)
	if place.OK {
		return RuleAllowed
	}
	return place.Rule
}

func within(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// Open reports whether any other server may be spoken to at all.
func (g *Generation) Open() bool { return g.anyone != nil || len(g.partners) > 0 }

// Anywhere reports whether others may be anywhere: nobody asks where they are.
func (g *Generation) Anywhere() bool { return g.anywhere }

// Observes reports whether nothing is refused, only recorded.
func (g *Generation) Observes() bool { return g.observeAll }

// Closes reports whether some server could be refused in rooms, now or later.
func (g *Generation) Closes() bool {
	closed := func(p *partner) bool {
		return !slices.Contains(p.data, DataRooms) || !p.from.IsZero() || !p.until.IsZero()
	}
	if g.anyone == nil || !g.anywhere || closed(g.anyone) || len(g.denied) > 0 || len(g.rules.DenyNets) > 0 || len(g.tenants) > 0 {
		return true
	}
	for _, p := range g.partners {
		if closed(p) {
			return true
		}
	}
	return false
}

// PinnedKey reports whether a signing key of a server is the one that was agreed upon; a server without pinned keys may have any.
func (g *Generation) PinnedKey(server matrix.ServerName, keyID, key string) bool {
	p := g.partners[strings.ToLower(string(server))]
	return p == nil || len(p.keys) == 0 || p.keys[keyID] == key
}

// Judge holds the generation in force. It may be used concurrently.
type Judge struct {
	current atomic.Pointer[Generation]
	count   atomic.Uint64
}

// NewJudge makes a judge that begins with a generation.
func NewJudge(g *Generation) *Judge {
	j := &Judge{}
	j.Replace(g)
	return j
}

// Replace puts another generation in force, from the next decision on.
func (j *Judge) Replace(g *Generation) {
	next := *g
	next.Number = j.count.Add(1)
	j.current.Store(&next)
}

// Current is the generation in force.
func (j *Judge) Current() *Generation { return j.current.Load() }

// Decide judges by the generation in force.
func (j *Judge) Decide(f *Facts) Decision { return j.current.Load().Decide(f) }
