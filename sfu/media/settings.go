package media

import (
	"errors"
	"fmt"
	"net/netip"
)

// Settings are what the child is told. They hold secrets, and go to it on its standard input, never in its arguments.
type Settings struct {
	// Socket is the path of the unix socket on which the child listens.
	Socket string `json:"socket"`
	// NodeIP are the addresses at which clients reach this machine, one of each family at most.
	NodeIP []string `json:"node_ip"`
	// BindIP are the addresses of this machine at which packets for these arrive, where they are not its own.
	BindIP []string `json:"bind_ip"`
	// Judged says that the parent is asked about each address before anything is sent there.
	Judged bool `json:"judged"`
	SFU    SFU  `json:"sfu"`
	TURN   TURN `json:"turn"`
}

// SFU says how media is forwarded.
type SFU struct {
	Enabled bool `json:"enabled"`
	// UDPPort carries all media; TCPPort is for clients that cannot send UDP, 0: none.
	UDPPort int `json:"udp_port"`
	TCPPort int `json:"tcp_port"`
	// Key and Secret sign tokens.
	Key    string `json:"key"`
	Secret string `json:"secret"`
	// MaxParticipants bounds a room, MaxTracks and BytesPerSecond the whole node; 0: no bound.
	MaxParticipants int `json:"max_participants"`
	MaxTracks       int `json:"max_tracks"`
	BytesPerSecond  int `json:"bytes_per_second"`
	// EmptySeconds is how long a room waits for somebody.
	EmptySeconds int `json:"empty_seconds"`
	// Redis is the host and port by which several nodes share rooms, "" with one node.
	Redis string `json:"redis"`
}

// TURN says how packets are relayed for clients that reach nobody directly.
type TURN struct {
	// Port serves UDP and TCP, TLSPort TLS; 0: not.
	Port     int    `json:"port"`
	TLSPort  int    `json:"tls_port"`
	CertFile string `json:"cert_file"`
	KeyFile  string `json:"key_file"`
	// Domain is the name in the certificate.
	Domain string `json:"domain"`
	Realm  string `json:"realm"`
	// Secret is what passwords are made of.
	Secret string `json:"secret"`
	// RelayMin and RelayMax are the ports of relays.
	RelayMin int `json:"relay_min"`
	RelayMax int `json:"relay_max"`
	// Quota bounds the relays of one user.
	Quota int `json:"quota"`
	// Peers are networks that are relayed to though they are private or this machine.
	Peers []netip.Prefix `json:"peers"`
	// TTLSeconds is how long passwords are good.
	TTLSeconds int `json:"ttl_seconds"`
}

// Enabled reports whether there is a TURN server.
func (t TURN) Enabled() bool { return t.Port != 0 || t.TLSPort != 0 }

// Check finds settings that cannot work, or that would have clients or this server ask others for their own address.
func (s Settings) Check() error {
	var errs []error
	if len(s.NodeIP) == 0 {
		errs = append(errs, errors.New("node_ip is missing: the media server would ask strangers abroad for its own address"))
	}
	families := map[bool]bool{}
	for _, text := range s.NodeIP {
		a, err := netip.ParseAddr(text)
		if err != nil || a.IsUnspecified() || a.IsMulticast() {
			errs = append(errs, fmt.Errorf("node_ip: %q is not the address of a machine", text))
			continue
		}
		if families[a.Is4()] {
			errs = append(errs, errors.New("node_ip: one IPv4 and one IPv6 address are the most"))
		}
		families[a.Is4()] = true
	}
	if s.SFU.Enabled && (s.SFU.UDPPort == 0 || s.SFU.Secret == "") {
		errs = append(errs, errors.New("the media server needs udp_port and a secret"))
	}
	if t := s.TURN; t.Enabled() && (t.Secret == "" || t.RelayMin == 0 || t.RelayMax < t.RelayMin) {
		errs = append(errs, errors.New("TURN needs a secret and a range of relay ports"))
	}
	return errors.Join(errs...)
}

// primary is the address that is told where there can be but one.
func (s Settings) primary() string { return s.NodeIP[0] }
