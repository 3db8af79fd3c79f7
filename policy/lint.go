package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"rempart/internal/matrix"
	"rempart/policy/territory"
)

// Lint says what is well-formed and yet worth a second thought, at a time.
func (g *Generation) Lint(now time.Time) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	f := g.source
	if g.observeAll {
		say("mode is observe: nothing is refused, only recorded.")
	}
	for p := range g.observe {
		say("%s is only watched, never refused.", p)
	}
	if f.Territory.Lab {
		say("the lab geography is in force: loopback addresses count as places. For tests only.")
	}
	if g.anywhere && g.Open() {
		say("territory.within is empty: partners may be anywhere in the world.")
	}
	if !g.anywhere {
		out = append(out, g.Alarms(now)...)
	}
	if g.anyone != nil {
		say("partners hold \"*\": this server talks to everybody.")
	}
	if g.rules.AllowUnknown || g.rules.AnycastAllowed {
		say("networks of unknown operators, or addresses at many places at once, are admitted.")
	}
	for i := range f.Partners {
		out = append(out, g.lintPartner(&f.Partners[i], now)...)
	}
	for point, o := range g.outside {
		if o.any {
			say("%s may go to any host.", point)
		}
		if o.private && !g.anywhere {
			say("%s may go to private addresses, whose place nobody checks.", point)
		}
	}
	slices.Sort(out)
	return out
}

func (g *Generation) lintPartner(in *Partner, now time.Time) []string {
	p := g.partners[strings.ToLower(in.Server)]
	if p == nil {
		return nil
	}
	var out []string
	say := func(format string, args ...any) {
		out = append(out, in.Server+": "+fmt.Sprintf(format, args...))
	}
	switch left := p.until.Sub(now); {
	case p.until.IsZero():
		say("the agreement has no end (until, or an attestation).")
	case left <= 0:
		say("the agreement is over since %s.", day(p.until))
	case left < 14*24*time.Hour:
		say("the agreement ends on %s.", day(p.until))
	}
	if len(p.keys) == 0 {
		say("no signing key is pinned.")
	}
	if len(p.endpoints) == 0 {
		say("no endpoints are named: its own well-known file says where it is.")
	}
	if p.private && !g.anywhere {
		say("private addresses are admitted, whose place nobody checks.")
	}
	return out
}

// Alarms says what of the data about addresses keeps, or will soon keep, the policy from admitting anybody.
func (g *Generation) Alarms(now time.Time) []string {
	if g.anywhere {
		return nil
	}
	data := g.rules.Data
	if data == nil {
		return []string{"there is no data about addresses (territory.data): only pins and internal networks pass."}
	}
	var out []string
	fresh := 0
	for _, s := range data.Sources {
		age := now.Sub(s.Date)
		switch {
		case data.Lab:
			fresh++
			continue
		case age > g.rules.MaxAge:
			out = append(out, fmt.Sprintf("the database %s of %s is too old to count.", s.Name, day(s.Date)))
			continue
		case age > g.alarmAge:
			out = append(out, fmt.Sprintf("the database %s of %s grows old: build anew.", s.Name, day(s.Date)))
		}
		fresh++
	}
	if fresh < g.rules.Quorum {
		out = append(out, fmt.Sprintf("only %d databases are fresh, %d are needed: only pins and internal networks pass.", fresh, g.rules.Quorum))
	}
	if age := now.Sub(data.Operators.Date); !data.Lab && age > g.rules.MaxAge && !g.rules.AllowUnknown {
		out = append(out, fmt.Sprintf("the database of operators of %s is too old: only pins and internal networks pass.", day(data.Operators.Date)))
	}
	return out
}

// questions are the facts to ask about one name at one point.
func questions(info PointInfo, name string, now time.Time) []Facts {
	f := Facts{Point: info.Point, Now: now}
	if !info.Partner {
		f.Host = name
		return []Facts{f}
	}
	f.Server = matrix.ServerName(name)
	var kinds []string
	switch info.Point {
	case RoomJoin, RoomInvite, RoomClosure:
		kinds = []string{DataRooms}
	case FedInQuery:
		kinds = []string{DataProfiles, DataDirectory, DataMedia, DataDevices}
	case FedOutEDU, FedInEDU:
		kinds = []string{DataReceipts, DataTyping, DataPresence, DataDevices}
	default:
		return []Facts{f}
	}
	var out []Facts
	for _, kind := range kinds {
		f.Data = kind
		out = append(out, f)
	}
	return out
}

// Territory are the rules about addresses. They must not be changed.
func (g *Generation) Territory() *territory.Rules { return &g.rules }

// Networks are those that partners named.
func (g *Generation) Networks() []netip.Prefix {
	var all []netip.Prefix
	for _, p := range g.partners {
		all = append(all, p.networks...)
	}
	return all
}
