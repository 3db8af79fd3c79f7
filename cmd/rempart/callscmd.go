package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"rempart/config"
	"rempart/internal/egress"
	"rempart/sfu"
	"rempart/sfu/media"
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
	f := flags(name)
	named := configFlag(f)
	if _, err := parse(f, args, 0); err != nil {
		return nil, err
	}
	cfg, err := loadConfig(*named)
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
	for _, l := range list {
		since := time.Since(time.Unix(l.Joined, 0)).Round(time.Second)
		c.say("%s  %-40s  for %s, sends %d tracks", l.Alias, l.Identity, since, l.Publishing)
	}
	c.say("%d people; %.1f Mbit/s in, %.1f Mbit/s out, %d packets asked for again; %d relays", len(list),
		s.BytesInRate*8/1e6, s.BytesOutRate*8/1e6, s.PacketsLost, s.Relays)
	return nil
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
	c.say("Calls work from this machine. Whether others reach ports %d/udp and %d/tcp of %v, only they can tell.", cfg.Calls.UDPPort, cfg.Calls.TCPPort, cfg.Calls.NodeIP)
	return nil
}
