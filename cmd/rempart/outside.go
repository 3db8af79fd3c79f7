package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"

	"rempart/clientapi"
	"rempart/config"
	"rempart/core"
	"rempart/core/media"
	"rempart/core/rooms"
	"rempart/federation/client"
	"rempart/federation/inbound"
	"rempart/federation/keys"
	"rempart/federation/peers"
	"rempart/federation/sender"
	"rempart/internal/egress"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
	"rempart/internal/metrics"
	"rempart/sfu/signal"
)

// outside is how this server and others reach one another.
type outside struct {
	egress *egress.Egress
	judge  *judge
	client *client.Client
	keys   *keys.Ring
	inbox  *rooms.Inbox
	media  *media.Service
	sender *sender.Sender // nil when no other server is admitted
	warden *rooms.Warden
	// notices tells people what the policy means for them.
	notices *notices
	// services are the application services.
	services services
	// calls is what other servers ask about calls; nil without a media server.
	calls   *signal.Deps
	open    bool   // whether any other server is admitted
	address string // where other servers are sent to
}

// federate makes the way out, the client that uses it, and the key ring.
func (a *app) federate(cfg *config.Config, g *ground, own signingKeyRing) (*outside, error) {
	o := &outside{judge: g.judge, notices: newNotices(g.log), open: mayOpen(cfg), address: cfg.Federation.Address, services: g.services, egress: g.egress}
	o.services.connect(o.egress)
	o.client = client.New(client.Options{Egress: o.egress, Keys: own, Log: g.log, Agent: "Rempart/" + version()})
	old, err := oldKeys(cfg)
	if err != nil {
		return nil, err
	}
	o.keys = keys.New(keys.Options{
		DB: g.db, Fetch: o.client, Own: own, Old: old, Default: matrix.ServerName(cfg.Server.Name), Log: g.log,
		Pinned: g.judge.pinned,
	})
	return o, nil
}

// mayOpen reports whether any other server is, or by another policy may be, spoken to.
func mayOpen(cfg *config.Config) bool { return len(cfg.Federation.Allow) > 0 || cfg.Policy.File != "" }

// authorities are those that the system trusts and those in a file; nil when there is no file.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificate authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("certificate authorities: %s holds no certificate", file)
	}
	return pool, nil
}

// authenticator checks who makes a federation request.
func (o *outside) authenticator() inbound.Authenticator {
	return inbound.Authenticator{Keys: o.keys, Heard: o.heard, Admit: o.judge.accept}
}

// send starts to deliver to other servers.
func (o *outside) send(a *app, g *ground, d clientapi.Deps) {
	if !o.open {
		return
	}
	o.sender = sender.New(sender.Options{DB: g.db, Ledger: g.ledger, Bus: g.bus, Rooms: d.Rooms, Client: o.client, Signals: g.signals, Log: g.log,
		Compose: d.Devices.ComposeEDU, Admit: o.judge.tells, Within: d.Users.Local, Returned: d.Rooms.Returned, Reached: d.Rooms.Reached, Began: d.Rooms.Resume,
		Announce: func(ctx context.Context, upto int64) error {
			return d.Devices.Announce(ctx, upto, d.Rooms.AllServersOf)
		}})
	a.onClose = append(a.onClose, closing(o.sender.Close))
}

// keyPeers are the servers to be asked for keys; nil when no other server is admitted.
func (o *outside) keyPeers() core.KeyPeers {
	if !o.open {
		return nil
	}
	return peers.New(o.client, o.keys)
}

// profilePeers are the servers to be asked for profiles; nil when no other server is admitted.
func (o *outside) profilePeers() core.ProfilePeers {
	if !o.open {
		return nil
	}
	return peers.New(o.client, o.keys)
}

// messenger takes ephemeral messages; nil when no other server is admitted.
func (o *outside) messenger() core.Messenger {
	if o.sender == nil {
		return nil
	}
	return o.sender
}

// lookFor dials a server, so that it is known where it is now.
func (o *outside) lookFor(ctx context.Context, server matrix.ServerName) {
	_, _, _ = o.client.Version(ctx, server) // what it says does not matter
}

// heard tells the sender that a server is there.
func (o *outside) heard(server matrix.ServerName) {
	if o.sender != nil {
		o.sender.Heard(server)
	}
}

// behindProxy adds the federation's routes to those of the client address, if this server speaks with others at all.
// Why: a proxy in front that holds the certificate sends both kinds of requests to one address.
func (o *outside) behindProxy(cfg *config.Config, routes func(*httpx.Router, clientapi.Deps)) func(*httpx.Router, clientapi.Deps) {
	if !mayOpen(cfg) {
		return func(r *httpx.Router, d clientapi.Deps) {
			routes(r, d)
			inbound.OpenID(r, d.Users)
		}
	}
	return func(r *httpx.Router, d clientapi.Deps) {
		routes(r, d)
		o.routes(r, d)
	}
}

// routes adds every route of the federation address.
func (o *outside) routes(r *httpx.Router, d clientapi.Deps) {
	inbound.Register(r, inbound.Deps{
		Keys: o.keys, Rooms: d.Rooms, Users: d.Users, Devices: d.Devices, Media: o.media, Inbox: o.inbox, EDUs: inbound.Ephemeral{Sync: d.Sync, Devices: d.Devices, Admit: o.judge.hears}, Software: version(), Address: o.address,
	})
	if o.calls != nil {
		signal.ServerRoutes(r, *o.calls)
	}
}

// watch shows what the sender does.
func (o *outside) watch(registry *metrics.Registry) {
	if o.sender == nil {
		return
	}
	for _, g := range []struct {
		name, help string
		value      func(sender.Stats) float64
	}{
		{"rempart_federation_transactions", "Transactions that other servers took since the start.", func(s sender.Stats) float64 { return float64(s.Transactions) }},
		{"rempart_federation_failures", "Transactions that did not arrive since the start.", func(s sender.Stats) float64 { return float64(s.Failures) }},
		{"rempart_federation_destinations", "Other servers that this node delivers to.", func(s sender.Stats) float64 { return float64(s.Destinations) }},
		{"rempart_federation_failing", "Of these, those that cannot be reached.", func(s sender.Stats) float64 { return float64(s.Failing) }},
		{"rempart_federation_waiting", "Of these, those for which something waits.", func(s sender.Stats) float64 { return float64(s.Waiting) }},
	} {
		registry.Gauge(g.name, g.help, func() float64 { return g.value(o.sender.Stats()) })
	}
}
