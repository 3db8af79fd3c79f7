package main

import (
	"context"

	"rempart/clientapi"
	"rempart/config"
	"rempart/core"
	"rempart/core/appservice"
	"rempart/core/appservice/courier"
	"rempart/core/pushers"
	"rempart/core/rooms"
	"rempart/gateway/servicegateway"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/metrics"
)

// services are the application services, how they are spoken to, and who tells them what they follow. All is nil where there are
// none.
type services struct {
	registry *appservice.Registry
	gateway  *servicegateway.Client
	courier  *courier.Courier
}

// registryOf makes the registry of the registration files; nil when there are none.
func registryOf(cfg *config.Config) (*appservice.Registry, error) {
	var list []appservice.Registration
	for _, s := range cfg.Services {
		r := appservice.Registration{
			ID: s.ID, URL: s.URL, ASToken: s.ASToken, HSToken: s.HSToken, SenderLocalpart: s.SenderLocalpart,
			Protocols: s.Protocols, RateLimited: s.RateLimited, Encryption: s.Encryption,
			Ephemeral: s.Ephemeral || s.OldEphemeral, OldEphemeral: s.OldEphemeral,
		}
		for _, part := range []struct {
			from []config.Namespace
			to   *[]appservice.Namespace
		}{{s.Users, &r.Users}, {s.Aliases, &r.Aliases}, {s.Rooms, &r.Rooms}} {
			for _, n := range part.from {
				pattern, err := appservice.Pattern(n.Regex)
				if err != nil {
					return nil, err
				}
				*part.to = append(*part.to, appservice.Namespace{Exclusive: n.Exclusive, Regex: pattern})
			}
		}
		list = append(list, r)
	}
	return appservice.New(matrix.ServerName(cfg.Server.Name), list)
}

// servicesOf reads the registrations.
func servicesOf(cfg *config.Config) (services, error) {
	registry, err := registryOf(cfg)
	return services{registry: registry}, err
}

// connect gives the services the way out.
func (s *services) connect(e *egress.Egress) {
	if s.registry.Any() {
		s.gateway = servicegateway.New(e, s.registry, "Rempart/"+version())
	}
}

// asker asks services for what does not exist yet; nil where there are none.
func (s *services) asker(g *ground) core.Entities {
	if s.gateway == nil {
		return nil
	}
	return courier.Asker{DB: g.db, Services: s.registry, Gateway: s.gateway}
}

// begin makes the services' own accounts and starts to tell them what they follow.
func (s *services) begin(ctx context.Context, a *app, g *ground, d *clientapi.Deps) error {
	if s.gateway == nil {
		return nil
	}
	if err := d.Users.Adopt(ctx); err != nil {
		return err
	}
	var err error
	s.courier, err = courier.New(ctx, courier.Options{DB: g.db, Bus: g.bus, Rooms: d.Rooms, Services: s.registry, Gateway: s.gateway, Log: g.log})
	if err != nil {
		return err
	}
	a.onClose = append(a.onClose, closing(s.courier.Close))
	d.Appservices = clientapi.Appservices{Registry: s.registry, Gateway: s.gateway, Heard: s.courier.Heard,
		ThirdParty: &appservice.ThirdParty{Services: s.registry, Gateway: s.gateway, Log: g.log}}
	return nil
}

// watch shows how the services stand that this node tells.
func (s *services) watch(registry *metrics.Registry) {
	if s.courier == nil {
		return
	}
	for _, of := range s.registry.All() {
		if of.URL == "" {
			continue
		}
		for _, g := range []struct {
			name, help string
			value      func(courier.Count) float64
		}{
			{"rempart_appservice_transactions", "Transactions that an application service took since the start.", func(c courier.Count) float64 { return float64(c.Taken) }},
			{"rempart_appservice_failures", "Transactions that it did not take since the start.", func(c courier.Count) float64 { return float64(c.Failed) }},
			{"rempart_appservice_failing_seconds", "For how long it has taken nothing; 0: it does not fail.", func(c courier.Count) float64 { return c.Failing.Seconds() }},
		} {
			registry.Gauge(g.name, g.help, func() float64 { return g.value(s.courier.Count(of)) }, "service", of.ID)
		}
	}
}

// watchPushers shows what push gateways are told.
func watchPushers(registry *metrics.Registry, p *pushers.Service) {
	for _, g := range []struct {
		name, help string
		value      func(pushers.Stats) float64
	}{
		{"rempart_push_notifications", "Notifications that push gateways took since the start.", func(s pushers.Stats) float64 { return float64(s.Taken) }},
		{"rempart_push_failures", "Requests that they did not take since the start.", func(s pushers.Stats) float64 { return float64(s.Failed) }},
		{"rempart_push_rejected", "Pushers that they rejected since the start.", func(s pushers.Stats) float64 { return float64(s.Rejected) }},
		{"rempart_push_pushers", "Pushers that this node tells.", func(s pushers.Stats) float64 { return float64(s.Pushers) }},
		{"rempart_push_waiting", "Of these, those that have not been told something yet.", func(s pushers.Stats) float64 { return float64(s.Waiting) }},
		{"rempart_push_gateways", "Gateways that this node speaks to.", func(s pushers.Stats) float64 { return float64(s.Gateways) }},
		{"rempart_push_gateways_failing", "Of these, those that do not answer as they should.", func(s pushers.Stats) float64 { return float64(s.Failing) }},
		{"rempart_push_gateways_refused", "Of these, those that the policy refuses.", func(s pushers.Stats) float64 { return float64(s.Refused) }},
	} {
		registry.Gauge(g.name, g.help, func() float64 { return g.value(p.Stats()) })
	}
}

// watcher hears what is ephemeral; nil when no service wants to.
func (s *services) watcher() core.Watcher {
	for _, of := range s.registry.All() {
		if s.courier != nil && of.URL != "" && (of.Ephemeral || of.OldEphemeral) {
			return s.courier
		}
	}
	return nil
}

// exempt reports whether a token is that of a service, which makes accounts by the hundred.
func (s *services) exempt(token string) bool { return s.registry.ByToken(token) != nil }

// rooms adds to the options of the rooms what they need to know of services.
func (s *services) rooms(o rooms.Options, g *ground) rooms.Options {
	o.Services, o.Asked = s.registry, s.asker(g)
	return o
}
