package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"rempart/config"
	"rempart/internal/egress"
	"rempart/policy"
)

// published are the hosts to which this server sends clients and people (its well-known files, calls, relays), by the key that names them.
func published(cfg *config.Config) map[string]string {
	named := map[string]string{
		"server.public_url": cfg.Server.PublicURL, "accounts.identity_server": cfg.Accounts.IdentityServer, "support.page": cfg.Support.Page,
	}
	if cfg.Calls.Mode == config.CallsExternal {
		named["calls.server_url"] = cfg.Calls.ServerURL
	}
	out := map[string]string{}
	for key, address := range named {
		if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
			out[key] = u.Hostname()
		}
	}
	if cfg.TURN.Embedded() && cfg.TURN.Domain != "" {
		out["turn.domain"] = cfg.TURN.Domain
	}
	for i, uri := range cfg.TURN.URIs { // turn:HOST:PORT?transport=udp
		_, rest, _ := strings.Cut(uri, ":")
		rest, _, _ = strings.Cut(rest, "?")
		if u, err := url.Parse("//" + rest); err == nil && u.Hostname() != "" {
			out[fmt.Sprintf("turn.uris[%d]", i)] = u.Hostname()
		}
	}
	return out
}

// lookUp finds the addresses of a host.
type lookUp func(ctx context.Context, host string) ([]netip.Addr, error)

// lintPublished says of what is published where it is, if that is not in the territory or not known: who follows it goes there,
// whatever the policy says of us.
func lintPublished(ctx context.Context, g *policy.Generation, cfg *config.Config, find lookUp) (notes []string) {
	hosts := published(cfg)
	for _, key := range slices.Sorted(maps.Keys(hosts)) {
		addrs, err := find(ctx, hosts[key])
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s sends people to %s, whose addresses cannot be found: %v.", key, hosts[key], err))
		}
		for _, a := range addrs {
			if words, outside := g.Whereabouts(a, time.Now()); outside {
				notes = append(notes, fmt.Sprintf("%s sends people to %s (%s), which is not in the territory: %s.", key, hosts[key], a, words))
			}
		}
	}
	return notes
}

// lintWithConfig is lintPublished by the name servers of the configuration.
func lintWithConfig(ctx context.Context, g *policy.Generation, cfg *config.Config) []string {
	e := egress.New(egress.Options{Judge: &judge{policy: policy.NewJudge(g), log: slog.New(slog.DiscardHandler)}, NameServers: cfg.Policy.NameServers()})
	defer func() { _ = e.Close() }()
	return lintPublished(ctx, g, cfg, e.Lookup)
}
