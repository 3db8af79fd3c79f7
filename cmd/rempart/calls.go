package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rempart/adminapi"
	"rempart/clientapi"
	"rempart/config"
	"rempart/core/calls"
	"rempart/internal/egress"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
	"rempart/internal/metrics"
	"rempart/sfu"
	"rempart/sfu/media"
	"rempart/sfu/signal"
)

// conference is all that has to do with calls; its parts are nil where the configuration does not want them.
type conference struct {
	process *media.Process
	service *sfu.Service
	signal  *signal.Deps
	server  matrix.ServerName // who administers calls
}

// calls starts the media process and what watches over it.
func (a *app) calls(ctx context.Context, cfg *config.Config, g *ground, own signingKeyRing, f *outside, d *clientapi.Deps) (*conference, error) {
	c := &conference{server: matrix.ServerName(cfg.Server.Name)}
	d.Relay = relaysOf(cfg, own)
	keys := callKeys(cfg, own)
	if cfg.Calls.Mode == config.CallsEmbedded || cfg.TURN.Embedded() {
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		c.process, err = media.Start(ctx, media.ProcessOptions{
			Settings: mediaSettings(cfg, own), Program: program, Args: []string{"sfu-child"},
			Transport: g.egress.Socket(egress.Calls, callSocket(cfg)), Reach: g.judge.reaches, Log: g.log,
		})
		if err != nil {
			return nil, err
		}
		if cfg.Calls.Mode == config.CallsOff {
			a.onClose = append(a.onClose, c.process.Close)
			return c, nil
		}
	}
	if cfg.Calls.Mode == config.CallsOff {
		return c, nil
	}
	c.service = sfu.New(ctx, sfu.Options{
		Backend: c.backend(cfg, g, keys), Membership: calls.New(calls.Options{DB: g.db, Rooms: d.Rooms, Judge: callJudge(g.judge, d.Rooms.Open, d.Users.Local)}), Keys: keys,
		Audit: callRecord{g.ledger, g.countryOf}, Reach: g.judge.reaches,
		TokenLife: time.Duration(cfg.Calls.TokenMinutes) * time.Minute, URL: mediaURL(cfg), Log: g.log,
	})
	a.onClose = append(a.onClose, c.service.Close)
	d.Calls = callsURL(cfg)
	c.signal = &signal.Deps{Tokens: c.service, People: d.Users, URL: d.Calls, RemotePublish: cfg.Calls.RemotePublish}
	if f.open {
		c.signal.Peers = f.client
	}
	f.calls = c.signal
	return c, nil
}

// backend is the media server: our own process or somebody else's. With both, the process relays only.
func (c *conference) backend(cfg *config.Config, g *ground, keys sfu.Keys) sfu.Backend {
	if cfg.Calls.Mode == config.CallsEmbedded {
		return c.process
	}
	return &media.External{URL: "http" + strings.TrimPrefix(cfg.Calls.ServerURL, "ws"), Keys: keys, HTTP: g.egress.HTTP(egress.Calls),
		EmptySeconds: 60 * cfg.Calls.TokenMinutes, MaxParticipants: cfg.Calls.MaxParticipants}
}

// routes adds what clients ask about calls.
func (c *conference) routes(others func(*httpx.Router, clientapi.Deps)) func(*httpx.Router, clientapi.Deps) {
	return func(r *httpx.Router, d clientapi.Deps) {
		others(r, d)
		if c.service != nil {
			signal.Routes(r, *c.signal)
			c.service.Routes(r)
			adminapi.CallRoutes(r, c.service, c.server)
		}
	}
}

// watch shows what goes on in calls.
func (c *conference) watch(registry *metrics.Registry) {
	if c.service != nil {
		registry.Gauge("rempart_calls_participants", "People connected to calls of this node.", func() float64 { return float64(len(c.service.Live())) })
		registry.Gauge("rempart_calls_rooms", "Calls under way at this node.", func() float64 {
			rooms := map[string]bool{}
			for _, l := range c.service.Live() {
				rooms[l.Alias] = true
			}
			return float64(len(rooms))
		})
	}
	if c.process == nil {
		return
	}
	registry.Gauge("rempart_media_restarts", "How often the media process had to be started again.", func() float64 { return float64(c.process.Restarts()) })
	for _, m := range []struct {
		name, help string
		value      func(media.Stats) float64
	}{
		{"rempart_media_bytes_in", "Bytes of media received.", func(s media.Stats) float64 { return float64(s.BytesIn) }},
		{"rempart_media_bytes_out", "Bytes of media sent.", func(s media.Stats) float64 { return float64(s.BytesOut) }},
		{"rempart_media_lost", "Packets asked for again.", func(s media.Stats) float64 { return float64(s.PacketsLost) }},
		{"rempart_relay_open", "Relays (TURN) in use.", func(s media.Stats) float64 { return float64(s.Relays) }},
		{"rempart_relay_denied", "Requests and packets that the relay refused.", func(s media.Stats) float64 { return float64(s.RelaysDenied) }},
	} {
		registry.Gauge(m.name, m.help, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			s, _ := c.process.Stats(ctx) // none while the process starts
			return m.value(s)
		})
	}
}

// callSocket is where the media process listens.
func callSocket(cfg *config.Config) string { return filepath.Join(cfg.Server.DataDir, "media.sock") }

// callEndpoints are what this server connects to for calls.
func callEndpoints(cfg *config.Config) []string {
	endpoints := []string{callSocket(cfg)}
	if u, err := url.Parse(cfg.Calls.ServerURL); err == nil && u.Host != "" {
		host, port := u.Hostname(), u.Port()
		if port == "" {
			port = map[string]string{"wss": "443", "ws": "80"}[u.Scheme]
		}
		endpoints = append(endpoints, host+":"+port)
	}
	return endpoints
}

// callsURL is where clients ask for tokens; mediaURL where they then connect to.
func callsURL(cfg *config.Config) string {
	return strings.TrimSuffix(cfg.Server.PublicURL, "/") + sfu.Base
}

func mediaURL(cfg *config.Config) string {
	if cfg.Calls.Mode == config.CallsExternal {
		return cfg.Calls.ServerURL
	}
	return "ws" + strings.TrimPrefix(callsURL(cfg), "http")
}

// derived makes a secret of the server's signing key, the same on all nodes: there is none to be kept besides.
func derived(cfg *config.Config, own signingKeyRing, purpose string) string {
	key, _ := own.SigningKey(matrix.ServerName(cfg.Server.Name))
	h := hmac.New(sha256.New, key.Private)
	_, _ = fmt.Fprint(h, "rempart ", purpose) // a hash takes everything
	return hex.EncodeToString(h.Sum(nil))
}

// callKeys sign tokens.
func callKeys(cfg *config.Config, own signingKeyRing) sfu.Keys {
	if cfg.Calls.Mode == config.CallsExternal {
		return sfu.Keys{Name: cfg.Calls.APIKey, Secret: cfg.Calls.APISecret}
	}
	return sfu.Keys{Name: "rempart", Secret: derived(cfg, own, "calls")}
}

func relaySecret(cfg *config.Config, own signingKeyRing) string {
	if cfg.TURN.Secret != "" {
		return cfg.TURN.Secret
	}
	return derived(cfg, own, "turn")
}

// mediaSettings are what the media process is told.
func mediaSettings(cfg *config.Config, own signingKeyRing) media.Settings {
	c, t := cfg.Calls, cfg.TURN
	keys := callKeys(cfg, own)
	s := media.Settings{Socket: callSocket(cfg), NodeIP: c.NodeIP, BindIP: c.BindIP}
	s.SFU = media.SFU{
		Enabled: c.Mode == config.CallsEmbedded, UDPPort: c.UDPPort, TCPPort: c.TCPPort, Key: keys.Name, Secret: keys.Secret,
		MaxParticipants: c.MaxParticipants, MaxTracks: c.MaxTracks, BytesPerSecond: c.MaxMbits * 125_000, EmptySeconds: 60 * c.TokenMinutes, Redis: c.Redis,
	}
	if t.Embedded() {
		s.TURN = media.TURN{
			Port: t.Port, TLSPort: t.TLSPort, CertFile: cfg.Listen.TLSCert, KeyFile: cfg.Listen.TLSKey, Domain: t.Domain, Realm: cfg.Server.Name,
			Secret: relaySecret(cfg, own), RelayMin: t.RelayMin, RelayMax: t.RelayMax, Quota: t.Quota, Peers: t.AllowPeers, TTLSeconds: 60 * t.LifeMinutes,
		}
	}
	return s
}

// relaysOf tells users of relays; nil when there are none.
func relaysOf(cfg *config.Config, own signingKeyRing) func(matrix.UserID) map[string]any {
	uris := relayURIs(cfg)
	if len(uris) == 0 {
		return nil
	}
	secret, life := relaySecret(cfg, own), time.Duration(cfg.TURN.LifeMinutes)*time.Minute
	return func(user matrix.UserID) map[string]any {
		name := fmt.Sprintf("%d:%s", time.Now().Add(life).Unix(), user)
		return map[string]any{"username": name, "password": media.Password(secret, name), "uris": uris, "ttl": int(life.Seconds())}
	}
}

// relayURIs are the addresses of relays as clients want them.
func relayURIs(cfg *config.Config) []string {
	uris := append([]string(nil), cfg.TURN.URIs...)
	for _, ip := range cfg.Calls.NodeIP {
		if strings.Contains(ip, ":") {
			ip = "[" + ip + "]"
		}
		if cfg.TURN.Port != 0 {
			uris = append(uris, fmt.Sprintf("turn:%s:%d?transport=udp", ip, cfg.TURN.Port), fmt.Sprintf("turn:%s:%d?transport=tcp", ip, cfg.TURN.Port))
		}
	}
	if cfg.TURN.TLSPort != 0 {
		uris = append(uris, fmt.Sprintf("turns:%s:%d?transport=tcp", cfg.TURN.Domain, cfg.TURN.TLSPort))
	}
	return uris
}
