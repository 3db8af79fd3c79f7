package config

import (
	"net/netip"
	"net/url"
	"strings"
)

// Calls says whether there is a media server for calls, and how clients reach it.
type Calls struct {
	Mode            string   `key:"mode"`
	NodeIP          []string `key:"node_ip"`
	BindIP          []string `key:"bind_ip"`
	UDPPort         int      `key:"udp_port"`
	TCPPort         int      `key:"tcp_port"`
	TokenMinutes    int      `key:"token_minutes"`
	MaxParticipants int      `key:"max_participants"`
	MaxTracks       int      `key:"max_tracks"`
	MaxMbits        int      `key:"max_mbits"`
	RemotePublish   bool     `key:"remote_publish"`
	Redis           string   `key:"redis"`
	ServerURL       string   `key:"server_url"`
	APIKey          string   `key:"api_key"`
	APISecret       string   `key:"api_secret"`
	APISecretFile   string   `key:"api_secret_file"`
}

// The modes of calls.
const (
	CallsOff      = "off"
	CallsEmbedded = "embedded"
	CallsExternal = "external"
)

// TURN says whether packets are relayed for clients that reach nobody directly.
type TURN struct {
	Port        int            `key:"port"`
	TLSPort     int            `key:"tls_port"`
	Domain      string         `key:"domain"`
	RelayMin    int            `key:"relay_min"`
	RelayMax    int            `key:"relay_max"`
	LifeMinutes int            `key:"life_minutes"`
	Quota       int            `key:"quota"`
	AllowPeers  []netip.Prefix `key:"allow_peers"`
	URIs        []string       `key:"uris"`
	Secret      string         `key:"secret"`
	SecretFile  string         `key:"secret_file"`
}

// Embedded reports whether this server relays by itself.
func (t TURN) Embedded() bool { return t.Port != 0 || t.TLSPort != 0 }

// checkCalls refuses what would have clients, or this server, ask strangers for addresses.
//
//nolint:gocyclo // one mistake after the other
func (c *Config) checkCalls(say sayer) {
	k := c.Calls
	switch k.Mode {
	case CallsOff:
	case CallsEmbedded:
		if k.UDPPort < 1 {
			say("calls.udp_port: the media server needs one.")
		}
	case CallsExternal:
		if u, err := url.Parse(k.ServerURL); err != nil || u.Host == "" || u.Scheme != "wss" && u.Scheme != "ws" {
			say("calls.server_url: %q is no address like wss://media.example.org.", k.ServerURL)
		}
		if k.APIKey == "" || k.APISecret == "" {
			say("calls: an external media server needs api_key and api_secret.")
		}
	default:
		say("calls.mode: %q is none of off, embedded, external.", k.Mode)
	}
	if k.Mode != CallsOff && c.Server.PublicURL == "" {
		say("calls: clients need server.public_url to ask for tokens.")
	}
	if k.TokenMinutes < 1 || k.TokenMinutes > 60 {
		say("calls.token_minutes: must be from 1 to 60.")
	}
	if k.MaxParticipants < 0 || k.MaxTracks < 0 || k.MaxMbits < 0 || port(k.UDPPort) || port(k.TCPPort) {
		say("calls: max_participants, max_tracks and max_mbits cannot be negative; ports are from 0 to 65535.")
	}
	if k.Mode == CallsEmbedded || c.TURN.Embedded() {
		c.checkNodeIP(say)
	}
	c.checkTURN(say)
}

// checkNodeIP asks for addresses. Why no guess: the only way to learn one's address behind a translation is to ask a stranger.
func (c *Config) checkNodeIP(say sayer) {
	if len(c.Calls.NodeIP) == 0 {
		say("calls.node_ip: must be the address at which clients reach this machine; without it servers abroad would be asked.")
	}
	c.checkAddresses("calls.node_ip", c.Calls.NodeIP, say)
	c.checkAddresses("calls.bind_ip", c.Calls.BindIP, say)
}

func (c *Config) checkAddresses(name string, list []string, say sayer) {
	four := map[bool]bool{}
	for i, text := range list {
		a, err := netip.ParseAddr(text)
		if err != nil || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() {
			say("%s[%d]: %q is not the address of a machine.", name, i, text)
		} else if four[a.Is4()] {
			say("%s: one IPv4 and one IPv6 address are the most.", name)
		}
		four[a.Is4()] = true
	}
}

func (c *Config) checkTURN(say sayer) {
	t := c.TURN
	if t.Embedded() && len(t.URIs) > 0 {
		say("turn: uris names relays that somebody else runs, port and tls_port start one here; choose.")
	}
	for i, u := range t.URIs {
		if !strings.HasPrefix(u, "turn:") && !strings.HasPrefix(u, "turns:") {
			say("turn.uris[%d]: %q does not start with turn: or turns:.", i, u)
		}
	}
	if len(t.URIs) > 0 && t.Secret == "" {
		say("turn: relays that somebody else runs need secret.")
	}
	if t.TLSPort != 0 && (c.Listen.TLSCert == "" || t.Domain == "") {
		say("turn.tls_port: needs listen.tls_cert and tls_key, and in turn.domain the name in that certificate.")
	}
	if t.RelayMin < 1024 || t.RelayMax < t.RelayMin || t.RelayMax > 65535 || port(t.Port) || port(t.TLSPort) {
		say("turn: ports are from 0 to 65535, relay_min is at least 1024 and not above relay_max.")
	}
	if t.LifeMinutes < 5 || t.Quota < 0 {
		say("turn: life_minutes must be at least 5 and quota not below 0.")
	}
}

// port reports whether a number is no port.
func port(n int) bool { return n < 0 || n > 65535 }
