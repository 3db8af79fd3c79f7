package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rempart/config"
	"rempart/core/calls"
	"rempart/internal/egress"
	"rempart/sfu"
	"rempart/sfu/media"
	"rempart/storage"
)

// sfuChild is the media process.
func sfuChild(ctx context.Context, _ []string, c console) error { return media.Run(ctx, c.in, c.out) }

// toMedia reaches the media process of a running server.
func toMedia(cfg *config.Config) media.Transport {
	e := egress.New(egress.Options{Judge: egress.AllowHosts("calls", []string{callSocket(cfg)}, true)})
	return e.Socket(egress.Calls, callSocket(cfg))
}

// callsConfig reads the configuration of a command about calls.
func callsConfig(name string, args []string) (*config.Config, error) {
	cfg, _, err := configured(flags(name), args, 0)
	if err == nil && cfg.Calls.Mode != config.CallsEmbedded {
		err = fmt.Errorf("calls.mode is %q: there is no media server here", cfg.Calls.Mode)
	}
	return cfg, err
}

// callsList lists the calls under way at this node.
func callsList(ctx context.Context, args []string, c console) error {
	cfg, err := callsConfig("calls", args)
	if err != nil {
		return err
	}
	var list []sfu.Live
	var s media.Stats
	by := toMedia(cfg)
	defer by.CloseIdleConnections()
	if err := media.Ask(ctx, by, http.MethodGet, "/participants", nil, &list); err != nil {
		return fmt.Errorf("the media process does not answer; does the server run? %w", err)
	}
	if err := media.Ask(ctx, by, http.MethodGet, "/stats", nil, &s); err != nil {
		return err
	}
	err = withDatabase(ctx, cfg, func(db *storage.DB) error {
		who := calls.New(calls.Options{DB: db})
		for _, l := range list {
			since := time.Since(time.Unix(l.Joined, 0)).Round(time.Second)
			c.say("%s for %s, sends %d tracks", whoIs(ctx, who, l), since, l.Publishing)
		}
		return nil
	})
	c.say("%d people in calls at this node; media %.1f Mbit/s in, %.1f Mbit/s out, %d packets asked for again; %d relays in use", len(list),
		s.BytesInRate*8/1e6, s.BytesOutRate*8/1e6, s.PacketsLost, s.Relays)
	return err
}

// whoIs names somebody in a call, and the room: by what the media server knows of them where nothing else is known.
func whoIs(ctx context.Context, who *calls.Service, l sfu.Live) string {
	p, err := who.Find(ctx, l.Alias, l.Identity)
	switch {
	case strings.HasPrefix(l.Alias, sfu.SelftestAlias):
		return fmt.Sprintf("%s (rempart sfu selftest)", l.Identity)
	case err != nil:
		return fmt.Sprintf("%s in %s", l.Identity, l.Alias)
	}
	return fmt.Sprintf("%s %s in %s", p.User, p.Device, p.Room)
}

// sfuSelftest connects two participants to the running media server, by the address that clients use.
func sfuSelftest(ctx context.Context, args []string, c console) error {
	cfg, err := callsConfig("sfu selftest", args)
	if err != nil {
		return err
	}
	own, err := signingKeys(cfg, serverNames(cfg))
	if err != nil {
		return err
	}
	by := toMedia(cfg)
	defer by.CloseIdleConnections()
	if err := media.Selftest(ctx, media.Probe{URL: mediaURL(cfg), Keys: callKeys(cfg, own), Transport: by}, c.say); err != nil {
		return err
	}
	ports := fmt.Sprintf("port %d/udp", cfg.Calls.UDPPort)
	if cfg.Calls.TCPPort != 0 {
		ports += fmt.Sprintf(" and port %d/tcp", cfg.Calls.TCPPort)
	}
	c.say("Calls work from this machine. Whether others reach %s of %s, only they can tell.", ports, strings.Join(cfg.Calls.NodeIP, " and "))
	return nil
}
