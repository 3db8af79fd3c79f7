package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"rempart/clientapi"
	"rempart/config"
	"rempart/core/delayed"
	"rempart/core/devices"
	"rempart/core/guests"
	"rempart/core/push"
	"rempart/core/pushers"
	"rempart/core/reports"
	"rempart/core/rooms"
	"rempart/core/search"
	"rempart/core/sync"
	"rempart/core/threads"
	"rempart/core/users"
	"rempart/federation/peers"
	"rempart/gateway/identity"
	"rempart/gateway/pushgateway"
	"rempart/internal/egress"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
	"rempart/internal/metrics"
)

// app is the homeserver without its listeners: handlers to serve, and how to stop.
type app struct {
	client     http.Handler
	federation http.Handler
	health     *health
	lost       <-chan struct{}             // closed when the database can no longer be followed
	onDrain    []func()                    // answer whoever waits
	onCalm     func(context.Context) error // give memory back after a rush
	onClose    []func() error              // in reverse order of building
}

// build makes the parts from the ground up and hands them to one another. Everything that the process is made of is
// named here.
func build(ctx context.Context, cfg *config.Config, logger *slog.Logger, registry *metrics.Registry) (*app, error) {
	a := &app{health: &health{}}
	if err := a.assemble(ctx, cfg, logger, registry); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *app) assemble(ctx context.Context, cfg *config.Config, logger *slog.Logger, registry *metrics.Registry) error {
	if cfg.Database.URL == "" {
		release, err := lockFolder(cfg.Server.DataDir)
		if err != nil {
			return err
		}
		a.onClose = append(a.onClose, release)
	}
	g, err := openGround(ctx, cfg, logger, registry)
	if err != nil {
		return err
	}
	a.onClose = append(a.onClose, g.close)
	keys, err := signingKeys(cfg, g.signed)
	if err != nil {
		return err
	}
	measureLedger(registry, g)
	kept, err := keepPlaces(ctx, g.db, &g.judge.places, logger)
	if err != nil {
		return err
	}
	a.onClose = append(a.onClose, closing(kept.close))
	g.doors = newRoomPolicy(g.judge, g.ledger, registry)
	a.onCalm, a.lost = g.db.Shrink, g.db.Lost()
	a.health.checks = append(a.health.checks, g.check)

	f, err := a.federate(cfg, g, keys)
	if err != nil {
		return err
	}
	options := routerOptions(cfg, logger, registry)
	options.ServerAuth = answers{granted{f.authenticator(), g.judge}, g.ledger, g.countryOf}
	options.Exempt = f.services.exempt
	d, err := a.core(ctx, cfg, g, keys, f)
	if err != nil {
		return err
	}
	rules := watchPolicy(cfg, g.judge, g.egress, f.warden, f.lookFor, d.Pushers.Rejudge, logger)
	rules.measure(registry)
	a.onClose = append(a.onClose, closing(rules.close))
	if f.inbox, err = rooms.NewInbox(ctx, d.Rooms); err != nil {
		return err
	}
	a.onClose = append(a.onClose, closing(f.inbox.Close))
	if f.open {
		a.onClose = append(a.onClose, closing(rooms.NewFinisher(ctx, d.Rooms).Close))
	}
	d.Limits = options.Limits
	options.Auth = clientapi.Authenticator{Users: d.Users, Services: f.services.registry, Heard: d.Appservices.Heard}
	m, err := a.media(ctx, cfg, g, d.Users.Local, f)
	if err != nil {
		return err
	}
	f.media = m.Media
	d.Delayed = delayed.New(ctx, delayed.Options{DB: g.db, Rooms: d.Rooms, Allow: allowMessages(options.Limits), Log: g.log})
	a.onClose = append(a.onClose, closing(d.Delayed.Close))
	conference, err := a.calls(ctx, cfg, g, keys, f, &d)
	if err != nil {
		return err
	}
	ad, err := a.admin(ctx, g, d, m.Media, f, policyAdmin{rules, g.db, g.ledger, matrix.ServerName(cfg.Server.Name), d.Pushers.Refused})
	if err != nil {
		return err
	}
	client, federation := a.router(options, d, f.behindProxy(cfg, conference.routes(clientRoutes(m, ad)))), a.router(options, d, f.routes)
	f.watch(registry)
	watchRooms(registry, d.Rooms)
	f.services.watch(registry)
	watchPushers(registry, d.Pushers)
	countOpen(registry, client, "client")
	countOpen(registry, federation, "federation")
	a.client, a.federation = client, federation
	conference.watch(registry)
	return nil
}

// core makes the services of the core. Rooms hear of commits before those who read rooms.
func (a *app) core(ctx context.Context, cfg *config.Config, g *ground, keys signingKeyRing, f *outside) (d clientapi.Deps, err error) {
	d = clientapi.Deps{BaseURL: cfg.Server.PublicURL, DefaultRoomVersion: cfg.Rooms.DefaultVersion, Support: supportOf(cfg), Mail: g.people.Mail != nil}
	if d.Push, err = push.New(ctx, push.Options{DB: g.db, Bus: g.bus, Log: g.log}); err != nil {
		return d, err
	}
	d.Rooms, err = rooms.New(ctx, f.services.rooms(rooms.Options{
		DB: g.db, Bus: g.bus, Signals: g.signals, Keys: keys, DefaultVersion: cfg.Rooms.DefaultVersion, Push: d.Push, Peers: peers.New(f.client, f.keys), Log: g.log,
		Federated: f.open, Policy: g.doors, Meter: g.meter(cfg), Border: g.border, Server: matrix.ServerName(cfg.Server.Name),
		CacheBytes: int64(cfg.Limits.CacheMiB) << 20, Lifetimes: lifetimes(cfg.Retention),
	}, g))
	if err != nil {
		return d, err
	}
	a.onClose = append(a.onClose, closing(d.Rooms.Close))
	if f.warden, err = rooms.NewWarden(ctx, d.Rooms); err != nil {
		return d, err
	}
	a.onClose = append(a.onClose, closing(f.warden.Close))
	d.Search, d.Reports = search.New(g.db, d.Rooms), reports.New(g.db, d.Rooms, nil)
	if d.IdentityURL = cfg.Accounts.IdentityServer; d.IdentityURL != "" {
		if d.Identity, err = identity.New(d.IdentityURL, f.egress.HTTP(egress.Identity), "Rempart/"+version()); err != nil {
			return d, err
		}
	}
	d.Threads = threads.New(g.db, d.Rooms)
	accounts := g.users(cfg)
	accounts.Members, accounts.Peers = d.Rooms, f.profilePeers()
	accounts.Services, accounts.Asked = f.services.registry, f.services.asker(g)
	if d.Users, err = users.New(ctx, accounts); err != nil {
		return d, err
	}
	a.onClose = append(a.onClose, d.Users.Close)
	d.Devices = devices.New(devices.Options{DB: g.db, Bus: g.bus, Local: d.Users.Local, Names: cfg.Federation.DeviceNames, Peers: f.keyPeers(), Border: g.border, Log: g.log})
	a.onClose = append(a.onClose, closing(d.Devices.Close))
	a.onClose = append(a.onClose, closing(guests.New(ctx, guests.Options{Bus: g.bus, Rooms: d.Rooms, Log: g.log}).Close))
	if err := a.retain(ctx, cfg, g, d); err != nil {
		return d, err
	}
	f.send(a, g, d)
	if err := f.services.begin(ctx, a, g, &d); err != nil {
		return d, err
	}
	d.Sync = sync.New(sync.Options{DB: g.db, Signals: g.signals, Rooms: d.Rooms, Push: d.Push, Bus: g.bus, Log: g.log, Outside: f.messenger(), Meter: g.meter(cfg),
		Border: g.border, Watch: f.services.watcher()})
	a.onDrain = append(a.onDrain, d.Sync.Close)
	d.Pushers = pushers.New(pushers.Options{DB: g.db, Bus: g.bus, Rooms: d.Rooms, Rules: d.Push, Sync: d.Sync,
		Gateway: namedGateways{pushgateway.New(f.egress, "Rempart/"+version()), g.judge}, Plain: cfg.Push.AllowPrivate, Content: cfg.Push.Content,
		Tell: f.notices.teller(cfg.Push.Notices), Log: g.log})
	a.onClose = append(a.onClose, closing(d.Pushers.Close))
	return d, nil
}

// allowMessages counts an event that is sent later against its sender's limit.
func allowMessages(limits *httpx.Limiter) func(matrix.UserID) error {
	if limits == nil {
		return nil
	}
	return func(u matrix.UserID) error { return limits.TakeUser("message", u) }
}

// closing makes a close that cannot fail one of those that can.
func closing(f func()) func() error {
	return func() error {
		f()
		return nil
	}
}

// router makes a router that answers health besides its own routes.
func (a *app) router(o httpx.Options, d clientapi.Deps, routes func(*httpx.Router, clientapi.Deps)) *httpx.Router {
	r := httpx.New(o)
	a.health.routes(r)
	routes(r, d)
	return r
}

// routerOptions are those that all routers share.
func routerOptions(cfg *config.Config, logger *slog.Logger, registry *metrics.Registry) httpx.Options {
	o := httpx.Options{
		MaxBody:        int64(cfg.Limits.MaxBodyKiB) << 10,
		TokenInQuery:   cfg.Limits.TokenInQuery,
		Logger:         logger,
		TrustedProxies: cfg.Listen.TrustedProxies,
		Observe:        newObserver(registry).observe,
	}
	if rates := cfg.Limits.RateLimits(); rates != nil {
		o.Limits = httpx.NewLimiter(rates, time.Now)
	}
	return o
}

// countOpen shows how many requests of a router are under way.
func countOpen(registry *metrics.Registry, r *httpx.Router, listener string) {
	registry.Gauge("rempart_http_open", "Requests under way, waiting syncs included.",
		func() float64 { return float64(r.Open()) }, "listener", listener)
}

// drain tells load balancers to stay away and lets go of whoever waits.
func (a *app) drain() {
	if a.health.draining.Swap(true) {
		return // a second call has nothing left to let go
	}
	for _, f := range a.onDrain {
		f()
	}
}

// close stops the parts, the last built first.
func (a *app) close() error {
	var errs []error
	for i := len(a.onClose) - 1; i >= 0; i-- {
		errs = append(errs, a.onClose[i]())
	}
	return errors.Join(errs...)
}
