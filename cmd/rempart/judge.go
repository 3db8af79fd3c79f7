package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rempart/config"
	"rempart/gateway/servicegateway"
	"rempart/internal/egress"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
	"rempart/internal/metrics"
	"rempart/policy"
)

// judge asks the policy for the way out and for whoever comes in.
type judge struct {
	policy *policy.Judge
	// endpoints are those that the configuration names: "host:port" by kind, or the path of a socket.
	endpoints map[egress.Kind][]string
	log       *slog.Logger
	places    places
	recent    recent
	decisions func(values ...string) *metrics.Counter
	took      *metrics.Histogram // by a decision; nil: not measured
	// recorder is told of servers whose requests are refused; nil tells nobody.
	recorder *recorder
}

// pointOf is the decision point of a kind of connection; "" for a kind that nobody thought of, which is refused.
func pointOf(k egress.Kind) policy.Point {
	switch k {
	case egress.Federation:
		return policy.FedDial
	case egress.WellKnown:
		return policy.FedResolve
	case egress.Media:
		return policy.MediaRemote
	case egress.Push:
		return policy.PushSend
	case egress.Preview:
		return policy.MediaPreview
	case egress.Mail:
		return policy.NotifyMail
	case egress.Appservice:
		return policy.ServiceSend
	case egress.Scan:
		return policy.MediaScan
	case egress.Store:
		return policy.StoreOpen
	case egress.Calls:
		return policy.RTCMedia
	case egress.Names:
		return policy.InfraDNS
	case egress.Identity:
		return policy.IdentityAsk
	}
	return ""
}

// facts are what is known of an intent.
func (j *judge) facts(i *egress.Intent) policy.Facts {
	return policy.Facts{
		Point: pointOf(i.Kind), Tenant: i.Tenant, Server: i.Server, Host: i.Host, Addr: i.Addr, Socket: i.Socket, Configured: j.configured(i), Now: time.Now(),
	}
}

// configured reports whether the configuration names the endpoint, or its host while no address is known yet.
func (j *judge) configured(i *egress.Intent) bool {
	for _, endpoint := range j.endpoints[i.Kind] {
		if i.Socket {
			if endpoint == i.Host {
				return true
			}
			continue
		}
		host, port, err := net.SplitHostPort(endpoint)
		if err == nil && strings.EqualFold(host, i.Host) && (!i.Addr.IsValid() || port == strconv.Itoa(int(i.Addr.Port()))) {
			return true
		}
	}
	return false
}

// Admit implements egress.Judge.
func (j *judge) Admit(_ context.Context, i egress.Intent) error {
	f := j.facts(&i)
	if d := j.decide(&f); !d.Allowed {
		return d.Err(&f, i.Verdict.ID)
	}
	return nil
}

// Examine implements egress.Examiner.
func (j *judge) Examine(ctx context.Context, i egress.Intent) (egress.Verdict, error) {
	f := j.facts(&i)
	d := j.decide(&f)
	v := egress.Verdict{
		ID: decisionID(), Rule: d.Rule, Policy: d.Policy, Geo: d.Geo, Country: d.Place.Country.String(), ASN: d.Place.ASN,
		Operator: d.Place.Operator, Class: d.Place.Class,
	}
	j.places.note(&i, d.Allowed)
	return v, j.tell(ctx, &f, &d, v.ID) // the way out records it
}

// accept judges a server that makes a request to one of ours, and the address that it comes from.
func (j *judge) accept(ctx context.Context, server, ours matrix.ServerName) error {
	from := httpx.ClientAddr(ctx)
	g := j.policy.Current()
	f := policy.Facts{Point: policy.FedAccept, Tenant: ours, Server: server, Addr: netip.AddrPortFrom(from, 0), Now: time.Now()}
	if !from.IsValid() && !g.Anywhere() {
		// Why: behind a unix socket a proxy must say where requests come from. What nobody knows is no place within the territory.
		f.Addr = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	d := j.decideBy(g, &f)
	if d.Allowed && !d.Observed {
		return nil
	}
	id := decisionID()
	err := j.tell(ctx, &f, &d, id)
	if err != nil && j.recorder != nil {
		j.recorder.turnedAway(from, &f, &d, id, err)
	}
	return err
}

// note does what tell does, and records a refusal.
func (j *judge) note(ctx context.Context, f *policy.Facts, d *policy.Decision, id string) error {
	err := j.tell(ctx, f, d, id)
	if err != nil && j.recorder != nil {
		j.recorder.denied(f, d, id, err)
	}
	return err
}

// tell counts a decision, logs what is refused or only watched, and gives the refusal.
func (j *judge) tell(ctx context.Context, f *policy.Facts, d *policy.Decision, id string) error {
	outcome := "allow"
	switch {
	case d.Observed:
		outcome = "observe"
	case !d.Allowed:
		outcome = "deny"
	}
	if j.decisions != nil {
		j.decisions(string(f.Point), outcome, d.Rule).Add(1)
	}
	if outcome != "allow" {
		j.recent.add(id, f, d)
		j.log.WarnContext(ctx, "policy", "decision", outcome, "decision_id", id, "point", f.Point, "rule", d.Rule, "server", f.Server, "host", f.Host,
			"address", f.Addr, "country", d.Place.Country, "asn", d.Place.ASN, "generation", d.Generation)
	}
	if d.Allowed {
		return nil
	}
	return d.Err(f, id)
}

// decisionID names a decision.
func decisionID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// endpointsOf are the endpoints that a configuration names.
func endpointsOf(cfg *config.Config, s services) map[egress.Kind][]string {
	e := map[egress.Kind][]string{
		egress.Appservice: servicegateway.Endpoints(s.registry),
		egress.Store:      storeEndpoints(cfg.Database.URL),
		egress.Calls:      callEndpoints(cfg),
		egress.Names:      nameServers(cfg),
	}
	for kind, endpoint := range map[egress.Kind]string{egress.Mail: cfg.Email.Server, egress.Scan: cfg.Media.Clamd} {
		if endpoint != "" {
			e[kind] = append(e[kind], endpoint)
		}
	}
	if u, err := url.Parse(cfg.Accounts.IdentityServer); err == nil && u.Host != "" {
		e[egress.Identity] = []string{net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), map[string]string{"http": "80"}[u.Scheme], "443"))}
	}
	if cfg.Media.ICAP != "" {
		e[egress.Scan] = append(e[egress.Scan], hostPort(cfg.Media.ICAP, "1344"))
	}
	return e
}

// nameServers are those that the policy asks for names.
func nameServers(cfg *config.Config) []string {
	var out []string
	for _, a := range cfg.Policy.NameServers() {
		out = append(out, a.String())
	}
	return out
}

// simplePolicy are the short settings of the configuration.
func simplePolicy(cfg *config.Config) policy.Simple {
	s := policy.Simple{
		Federation: cfg.Federation.Allow, FederationPrivate: cfg.Federation.AllowPrivate, Push: cfg.Push.Allow, PushPrivate: cfg.Push.AllowPrivate,
		Previews: slices.Clone(cfg.Previews.Allow), PreviewsPrivate: cfg.Previews.AllowPrivate,
	}
	switch {
	case !cfg.Previews.Enabled:
		s.Previews = nil
	case len(s.Previews) == 0:
		s.Previews = []string{"*"}
	}
	return s
}
