package httpx

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
)

// requestInfo is what the context of a request carries.
type requestInfo struct {
	addr                  netip.Addr
	host, agent, language string
	token                 string // of public routes only
}

type infoKey struct{}

// ClientAddr is the address of the client that made the request of this context, behind trusted proxies too. It is the
// zero Addr when unknown (a unix socket without X-Forwarded-For) and outside requests.
func ClientAddr(ctx context.Context) netip.Addr {
	if info, ok := ctx.Value(infoKey{}).(*requestInfo); ok {
		return info.addr
	}
	return netip.Addr{}
}

// Host is the host that the request of this context was made to, as the client wrote it; "" outside requests.
func Host(ctx context.Context) string {
	if info, ok := ctx.Value(infoKey{}).(*requestInfo); ok {
		return info.host
	}
	return ""
}

// UserAgent is what the client of this context's request calls itself; "" outside requests.
func UserAgent(ctx context.Context) string {
	if info, ok := ctx.Value(infoKey{}).(*requestInfo); ok {
		return info.agent
	}
	return ""
}

// Token is the access token that came with the request of this context to a public route, whatever it is worth; "" when there
// was none. Routes of another access have their caller instead.
func Token(ctx context.Context) string {
	if info, ok := ctx.Value(infoKey{}).(*requestInfo); ok {
		return info.token
	}
	return ""
}

// Language is the Accept-Language of this context's request; "" outside requests and when the client says nothing.
func Language(ctx context.Context) string {
	if info, ok := ctx.Value(infoKey{}).(*requestInfo); ok {
		return info.language
	}
	return ""
}

// requestIDs numbers requests; ids of two runs of the server differ by their prefix.
type requestIDs struct {
	prefix string
	count  *atomic.Uint64
}

func newRequestIDs() requestIDs {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails, as crypto/rand promises
	return requestIDs{prefix: hex.EncodeToString(b[:]), count: new(atomic.Uint64)}
}

func (r requestIDs) next() uint64 { return r.count.Add(1) }

func (r requestIDs) format(id uint64) string { return r.prefix + "-" + strconv.FormatUint(id, 36) }

// clientAddr walks X-Forwarded-For from its end, over our own proxies, to the first address that they do not own. A
// peer that is no trusted proxy is the client, whatever it claims.
func (r *Router) clientAddr(req *http.Request) netip.Addr {
	peer, ok := peerAddr(req)
	if !ok || !r.trusted(peer) {
		return peer
	}
	forwarded := req.Header["X-Forwarded-For"]
	for i := len(forwarded) - 1; i >= 0; i-- {
		hops := strings.Split(forwarded[i], ",")
		for j := len(hops) - 1; j >= 0; j-- {
			hop, err := parseHop(strings.TrimSpace(hops[j]))
			if err != nil {
				return peer
			}
			if peer = hop; !r.trusted(peer) {
				return peer
			}
		}
	}
	return peer
}

// peerAddr is the address at the other end of the connection, or the one that a PROXY header said. A unix socket has
// none and counts as a trusted proxy.
func peerAddr(req *http.Request) (netip.Addr, bool) {
	if addrPort, err := netip.ParseAddrPort(req.RemoteAddr); err == nil {
		return addrPort.Addr().Unmap().WithZone(""), true
	}
	local, ok := req.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return netip.Addr{}, ok && local.Network() == "unix"
}

// parseHop reads one entry of X-Forwarded-For; some proxies add a port.
func parseHop(s string) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return addr.Unmap().WithZone(""), nil
	}
	addrPort, err := netip.ParseAddrPort(s)
	return addrPort.Addr().Unmap().WithZone(""), err
}

// trusted reports whether an address is a proxy of ours; the zero address is our own unix socket.
func (r *Router) trusted(addr netip.Addr) bool {
	return !addr.IsValid() || contains(r.options.TrustedProxies, addr)
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
