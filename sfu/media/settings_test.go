package media

import (
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/livekit/livekit-server/pkg/config"
	"github.com/livekit/protocol/livekit"
)

func settings() Settings {
	return Settings{NodeIP: []string{"192.0.2.7"}, BindIP: []string{"127.0.0.1"}, SFU: SFU{Enabled: true, UDPPort: 7882, Key: "k", Secret: "s"},
		TURN: TURN{Port: 3478, Secret: "t", RelayMin: 49160, RelayMax: 49200, Quota: 1}}
}

// TestOnlyOwnAddressesAreTold: whatever is left out, no client is sent to a server of somebody else.
func TestOnlyOwnAddressesAreTold(t *testing.T) {
	for name, change := range map[string]func(*Settings){"relays": func(*Settings) {}, "no relays": func(s *Settings) { s.TURN = TURN{} }} {
		s := settings()
		change(&s)
		c, err := s.livekitConfig()
		if err != nil {
			t.Fatal(err)
		}
		if len(c.RTC.STUNServers)+len(c.RTC.TURNServers) == 0 || c.TURN.Enabled || c.Room.AutoCreate || !c.RTC.UseICELite || c.RTC.UseExternalIP {
			t.Errorf("%s: %+v", name, c.RTC)
		}
		for _, host := range c.RTC.STUNServers {
			if host != unneeded {
				t.Errorf("%s: clients are sent to %s", name, host)
			}
		}
		for _, r := range c.RTC.TURNServers {
			if r.Host != "192.0.2.7" {
				t.Errorf("%s: clients are sent to %s", name, r.Host)
			}
		}
	}
	s := settings()
	s.NodeIP = nil
	if s.Check() == nil {
		t.Error("a media server without node_ip would ask strangers")
	}
}

func TestWhomTheRelayReaches(t *testing.T) {
	s := settings()
	s.TURN.Peers = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	r := &relay{settings: s, users: map[string]int{}}
	for to, want := range map[string]bool{
		"9.9.9.9:5000": true, "192.0.2.7:7882": true, "192.0.2.7:49170": true, "10.1.2.3:9": true,
		"192.0.2.7:8008": false, "127.0.0.1:8008": false, "10.2.0.1:9": false, "192.168.1.1:9": false, "169.254.169.254:80": false,
		"[::1]:80": false, "[fd00::1]:80": false, "[64:ff9b::7f00:1]:80": false, "224.0.0.1:9": false, "0.0.0.0:9": false, "[::ffff:127.0.0.1]:80": false,
	} {
		if got := r.mayReach(netip.MustParseAddrPort(to)); got != want {
			t.Errorf("%s: %v", to, got)
		}
	}
	if r.permit(nil, net.ParseIP("127.0.0.1")) {
		t.Error("a permission for this machine")
	}
	r.count("u", 1)
	if r.within("u", "", nil) || !r.within("v", "", nil) {
		t.Error("the quota is not kept")
	}
}

func TestOfferedAddressesAreNotHeard(t *testing.T) {
	d := &livekit.SessionDescription{Type: "offer", Sdp: "v=0\r\na=candidate:1 1 udp 1 203.0.113.9 9 typ host\r\na=ice-ufrag:x\r\n"}
	if got := withoutAddresses(d); strings.Contains(got.Sdp, "203.0.113.9") || !strings.Contains(got.Sdp, "ice-ufrag:x") {
		t.Errorf("%q", got.Sdp)
	}
}

// TestNoServerThatTellsAddresses: clients hear of relays only.
func TestNoServerThatTellsAddresses(t *testing.T) {
	both := func() []*livekit.ICEServer {
		return []*livekit.ICEServer{{Urls: []string{"stun:" + unneeded}}, {Urls: []string{"turn:192.0.2.7:3478?transport=udp"}}}
	}
	for name, msg := range map[string]*livekit.SignalResponse{
		"join":      {Message: &livekit.SignalResponse_Join{Join: &livekit.JoinResponse{IceServers: both()}}},
		"reconnect": {Message: &livekit.SignalResponse_Reconnect{Reconnect: &livekit.ReconnectResponse{IceServers: both()}}},
	} {
		if text := withoutSTUN(msg).(*livekit.SignalResponse).String(); strings.Contains(text, "stun") || !strings.Contains(text, "turn:") { //nolint:forcetypeassert // it is one
			t.Errorf("%s: %s", name, text)
		}
	}
}

// LiveKit reads settings of rooms by a package of which sfu/protoyaml stands in the place.
func TestRoomsAreConfiguredByYAML(t *testing.T) {
	read := func(text string) (*config.Config, error) {
		return config.NewConfig("room:\n  room_configurations:\n    hall:\n"+text, true, nil, nil)
	}
	c, err := read("      name: hall\n      empty_timeout: 5\n")
	if err != nil {
		t.Fatal(err)
	}
	hall := c.Room.RoomConfigurations["hall"]
	if hall.GetName() != "hall" || hall.GetEmptyTimeout() != 5 {
		t.Errorf("the room is read as %v", hall)
	}
	if out, err := hall.MarshalYAML(); err != nil || !reflect.DeepEqual(out, map[string]any{"name": "hall", "empty_timeout": 5}) {
		t.Errorf("the room is written as %v: %v", out, err)
	}
	if _, err := read("      colour: blue\n"); err == nil {
		t.Error("a key that no room has is taken")
	}
}
