package media

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Why: it is what clients of TURN expect
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/logger"
	"github.com/livekit/protocol/logger/pionlogger"
	"github.com/pion/stun/v3"
	"github.com/pion/turn/v5"
)

// Password is what belongs to a name with an end, "<seconds>:<user>": draft-uberti-behave-turn-rest-00.
func Password(secret, username string) string {
	h := hmac.New(sha1.New, []byte(secret))
	h.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// relay is the TURN server: it passes packets on for those who hold a password with an end, and to nobody whom it should not.
type relay struct {
	*turn.Server
	settings     Settings
	by           *judged
	now          func() time.Time
	open, denied atomic.Int64

	mu    sync.Mutex
	users map[string]int // open relays by user
}

// openRelay starts to listen.
func openRelay(ctx context.Context, s Settings, by *judged) (*relay, error) {
	r := &relay{settings: s, by: by, now: time.Now, users: map[string]int{}}
	c := turn.ServerConfig{
		Realm: s.TURN.Realm, AuthHandler: r.authenticate, QuotaHandler: r.within, EventHandler: r.events(),
		LoggerFactory: pionlogger.NewLoggerFactory(logger.GetLogger()),
	}
	if err := r.listen(ctx, &c); err != nil {
		return nil, err
	}
	var err error
	r.Server, err = turn.NewServer(c)
	return r, err
}

// listen opens the ports at every address of this machine's.
func (r *relay) listen(ctx context.Context, c *turn.ServerConfig) error {
	t := r.settings.TURN
	var lc net.ListenConfig
	if t.Port != 0 {
		packets, err := lc.ListenPacket(ctx, "udp", ":"+strconv.Itoa(t.Port))
		if err != nil {
			return err
		}
		c.PacketConnConfigs = append(c.PacketConnConfigs, turn.PacketConnConfig{PacketConn: judgedPackets{packets, r.by}, RelayAddressGenerator: r.ports(), PermissionHandler: r.permit})
		streams, err := lc.Listen(ctx, "tcp", ":"+strconv.Itoa(t.Port))
		if err != nil {
			return err
		}
		c.ListenerConfigs = append(c.ListenerConfigs, turn.ListenerConfig{Listener: judgedListener{streams, r.by}, RelayAddressGenerator: r.ports(), PermissionHandler: r.permit})
	}
	if t.TLSPort == 0 {
		return nil
	}
	// Why read at each handshake: the certificate is renewed while calls last.
	secure := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		return &pair, err
	}}
	streams, err := lc.Listen(ctx, "tcp", ":"+strconv.Itoa(t.TLSPort))
	if err != nil {
		return err
	}
	c.ListenerConfigs = append(c.ListenerConfigs, turn.ListenerConfig{Listener: tls.NewListener(judgedListener{streams, r.by}, secure), RelayAddressGenerator: r.ports(), PermissionHandler: r.permit})
	return nil
}

// authenticate gives the key that belongs to a name, unless its time is over. A relay that is open may be kept.
func (r *relay) authenticate(a *turn.RequestAttributes) (user string, key []byte, ok bool) {
	ends, user, found := strings.Cut(a.Username, ":")
	seconds, err := strconv.ParseInt(ends, 10, 64)
	if !found || err != nil || user == "" {
		return "", nil, false
	}
	if a.Method == stun.MethodAllocate && r.now().Unix() > seconds {
		r.denied.Add(1)
		return "", nil, false
	}
	return user, turn.GenerateAuthKey(a.Username, a.Realm, Password(r.settings.TURN.Secret, a.Username)), true
}

// within reports whether a user may open one more relay.
func (r *relay) within(user, _ string, _ net.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q := r.settings.TURN.Quota; q == 0 || r.users[user] < q {
		return true
	}
	r.denied.Add(1)
	return false
}

func (r *relay) events() turn.EventHandler {
	return turn.EventHandler{
		OnAllocationCreated: func(_, _ net.Addr, _, user, _ string, _ net.Addr, _ int) { r.count(user, 1) },
		OnAllocationDeleted: func(_, _ net.Addr, _, user, _ string) { r.count(user, -1) },
	}
}

func (r *relay) count(user string, n int) {
	r.open.Add(int64(n))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users[user] += n; r.users[user] <= 0 {
		delete(r.users, user)
	}
}

// permit reports whether packets may be relayed to an address.
func (r *relay) permit(_ net.Addr, ip net.IP) bool {
	a, ok := netip.AddrFromSlice(ip)
	if ok && r.admits(a.Unmap()) {
		return true
	}
	r.denied.Add(1)
	return false
}

// admits refuses what the policy does, and what [relay.peer] does, but for this server's own address: to that only the media port
// is open, see [fenced].
func (r *relay) admits(a netip.Addr) bool { return r.own(a) || r.peer(a) && r.by.may(a) }

// peer refuses this machine, private networks and whatever is nobody's, but for what the configuration names.
func (r *relay) peer(a netip.Addr) bool {
	for _, p := range r.settings.TURN.Peers {
		if p.Contains(a) {
			return true
		}
	}
	return a.IsGlobalUnicast() && !a.IsPrivate() && !special(a)
}

// own reports whether an address is that of this server as clients know it.
func (r *relay) own(a netip.Addr) bool { return slices.Contains(r.settings.NodeIP, a.String()) }

// special reports whether an address lies in a network that is for no public peer. RFC 6890
func special(a netip.Addr) bool {
	for _, text := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2002::/16", "fec0::/10"} {
		if netip.MustParsePrefix(text).Contains(a) {
			return true
		}
	}
	return false
}

// ports makes relays.
func (r *relay) ports() turn.RelayAddressGenerator {
	t := r.settings.TURN
	return &fenced{relay: r, RelayAddressGeneratorPortRange: turn.RelayAddressGeneratorPortRange{
		RelayAddress: net.ParseIP(r.settings.primary()), Address: anyAddress(r.settings.primary()),
		MinPort: uint16(t.RelayMin), MaxPort: uint16(t.RelayMax), MaxRetries: 50,
	}}
}

func anyAddress(ip string) string {
	if a := netip.MustParseAddr(ip); a.Is6() {
		return "::"
	}
	return "0.0.0.0"
}

// fenced makes relays that send nothing to ports of this machine but the media port and other relays.
// Why: permissions of TURN name addresses without ports, and other services listen at ours.
type fenced struct {
	turn.RelayAddressGeneratorPortRange
	relay *relay
}

// AllocatePacketConn implements [turn.RelayAddressGenerator].
func (f *fenced) AllocatePacketConn(c turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	c.RequestedPort = 0 // Why: a client does not choose among our ports
	conn, addr, err := f.RelayAddressGeneratorPortRange.AllocatePacketConn(c)
	if err != nil {
		return nil, nil, err
	}
	return fencedConn{conn, f.relay}, addr, nil
}

// errNoTCP refuses what no client of ours needs. RFC 6062
var errNoTCP = errors.New("this server relays no connections")

// AllocateListener implements [turn.RelayAddressGenerator].
func (f *fenced) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errNoTCP
}

// AllocateConn implements [turn.RelayAddressGenerator].
func (f *fenced) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) { return nil, errNoTCP }

// fencedConn is one relay.
type fencedConn struct {
	net.PacketConn
	relay *relay
}

// WriteTo sends a packet if it may go there; otherwise it is dropped, as networks drop packets.
func (c fencedConn) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok || !c.relay.mayReach(u.AddrPort()) {
		c.relay.denied.Add(1)
		return len(b), nil
	}
	return c.PacketConn.WriteTo(b, to)
}

func (r *relay) mayReach(to netip.AddrPort) bool {
	a, port := to.Addr().Unmap(), int(to.Port())
	if r.own(a) {
		return port == r.settings.SFU.UDPPort || port >= r.settings.TURN.RelayMin && port <= r.settings.TURN.RelayMax
	}
	return r.admits(a)
}
