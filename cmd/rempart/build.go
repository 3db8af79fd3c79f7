package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"rempart/config"
	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
	"rempart/internal/metrics"
)

// app is the homeserver without its listeners: handlers to serve, and how to stop.
type app struct {
	client     http.Handler
	federation http.Handler
	health     *health
	onDrain    []func()       // answer whoever waits
	onClose    []func() error // in reverse order of building
}

// services is what the routes call. The zero value has all routes but can serve none: documents are made from it.
type services struct {
	users *users.Service
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
	if _, err := signingKeys(cfg); err != nil {
		return err
	}
	if cfg.Database.URL == "" {
		release, err := lockFolder(cfg.Server.DataDir)
		if err != nil {
			return err
		}
		a.onClose = append(a.onClose, release)
	}
	g, err := openGround(ctx, cfg, logger)
	if err != nil {
		return err
	}
	a.onClose = append(a.onClose, g.close)
	a.health.checks = append(a.health.checks, g.check)

	var s services
	if s.users, err = users.New(ctx, g.users(cfg)); err != nil {
		return err
	}
	a.onClose = append(a.onClose, s.users.Close)

	options := routerOptions(cfg, logger, registry)
	options.Auth = tokens{accounts: s.users}
	a.client = a.router(options, s, clientRoutes)
	a.federation = a.router(options, s, federationRoutes)
	return nil
}

// router makes a router that answers health besides its own routes.
func (a *app) router(o httpx.Options, s services, routes func(*httpx.Router, services)) *httpx.Router {
	r := httpx.New(o)
	a.health.routes(r)
	routes(r, s)
	return r
}

// routerOptions are those that all routers share.
func routerOptions(cfg *config.Config, logger *slog.Logger, registry *metrics.Registry) httpx.Options {
	o := httpx.Options{
		MaxBody:        int64(cfg.Limits.MaxBodyKiB) << 10,
		TokenInQuery:   cfg.Limits.TokenInQuery,
		Logger:         logger,
		TrustedProxies: cfg.Listen.TrustedProxies,
		Observe:        observer(registry),
	}
	if rates := cfg.Limits.RateLimits(); rates != nil {
		o.Limits = httpx.NewLimiter(rates, time.Now)
	}
	return o
}

// observer counts answers and times them by route.
func observer(registry *metrics.Registry) func(method, pattern string, status int, took time.Duration) {
	answers := registry.Counters("rempart_http_answers_total", "Answers by route and status.", "method", "route", "status")
	times := registry.Histograms("rempart_http_seconds", "Time to answer by route.", metrics.Latencies(), "route")
	return func(method, pattern string, status int, took time.Duration) {
		if pattern == "" {
			method = "" // Why: a stranger may send any word as a method
		}
		answers(method, pattern, strconv.Itoa(status)).Add(1)
		times(pattern).Took(took)
	}
}

// signingKeys reads the signing keys of every tenant, and makes those that do not exist yet.
func signingKeys(cfg *config.Config) (map[matrix.ServerName][]matrix.SigningKey, error) {
	keys := map[matrix.ServerName][]matrix.SigningKey{}
	tenants := append([]config.Tenant{{Name: cfg.Server.Name, SigningKey: cfg.Server.SigningKey}}, cfg.Server.Tenants...)
	for _, t := range tenants {
		name := matrix.ServerName(t.Name)
		own, err := matrix.LoadOrCreateSigningKey(t.SigningKey, name)
		if err != nil {
			return nil, fmt.Errorf("signing key of %s: %w", name, err)
		}
		keys[name] = own
	}
	return keys, nil
}

// drain tells load balancers to stay away and lets go of whoever waits.
func (a *app) drain() {
	a.health.draining.Store(true)
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
