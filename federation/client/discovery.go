package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"rempart/internal/egress"
	"rempart/internal/matrix"
)

// place is where a server is.
type place struct {
	target egress.Target
	host   string // the Host header
	pool   string // what tells its connections from those to others
}

// defaultPort is that of servers that name none.
const defaultPort = 8448

// Bounds of what is remembered about where servers are.
const (
	maxPlaces = 4096
	placeTime = 10 * time.Minute // how long service records are believed
)

// discovery finds servers by their names and remembers where they are.
type discovery struct {
	egress *egress.Egress
	wk     wellKnown
	now    func() time.Time

	mu     sync.Mutex
	places map[matrix.ServerName]*entry
}

// entry is what is known about one server. Its fields are guarded by its own mutex, which is held while one asks, so
// that others wait for the answer instead of asking too.
type entry struct {
	lock  chan struct{} // holds a token while free
	host  string        // of the server's name, as it is judged
	place place
	until time.Time // when place must be found again
	wk    delegation
	// found is the generation of the judge in which all this was found out.
	found uint64
}

func newDiscovery(e *egress.Egress, now func() time.Time, agent string) *discovery {
	return &discovery{
		egress: e, now: now, places: map[matrix.ServerName]*entry{},
		wk: wellKnown{http: e.HTTP(egress.WellKnown), now: now, agent: agent},
	}
}

// find says where a server is for one of ours, "" for whoever asks in nobody's name. Connections of different servers of ours are kept
// apart, since each may have a policy of its own.
func (d *discovery) find(ctx context.Context, from, server matrix.ServerName) (place, error) {
	p, err := d.findFor(ctx, from, server)
	return p.of(from), err
}

// of is the place as one of our servers goes there.
func (p place) of(from matrix.ServerName) place {
	p.target.Tenant = from
	p.pool += "." + hex.EncodeToString([]byte(from)) + ":0"
	return p
}

// known is find of what need not be looked for; it waits for nobody.
func (d *discovery) known(ctx context.Context, from, server matrix.ServerName) (place, bool) {
	e, err := d.entryOf(server)
	if err != nil || d.egress.Admit(ctx, e.intent(from, server)) != nil {
		return place{}, false
	}
	select {
	case <-e.lock:
		defer func() { e.lock <- struct{}{} }()
	default:
		return place{}, false
	}
	return e.place.of(from), e.found == d.egress.Generation() && d.now().Before(e.until)
}

func (e *entry) intent(from, server matrix.ServerName) egress.Intent {
	return egress.Intent{Kind: egress.Federation, Server: server, Tenant: from, Host: e.host}
}

// findFor is find. Spec: server-server-api/#resolving-server-names
func (d *discovery) findFor(ctx context.Context, from, server matrix.ServerName) (place, error) {
	e, err := d.entryOf(server)
	if err != nil {
		return place{}, err
	}
	if err := d.egress.Admit(ctx, e.intent(from, server)); err != nil {
		return place{}, err
	}
	select {
	case <-e.lock:
	case <-ctx.Done():
		return place{}, ctx.Err()
	}
	defer func() { e.lock <- struct{}{} }()
	now := d.now()
	// Why: the judge may have refused then what it admits now, and where a server says that it is leads to whom it trusts.
	if generation := d.egress.Generation(); e.found != generation {
		e.found, e.wk, e.until = generation, delegation{}, time.Time{}
	}
	if now.Before(e.until) {
		return e.place, nil
	}
	if p, ok := fixed(server, server); ok {
		e.place, e.until = p, now.Add(placeTime)
		return p, nil
	}
	ctx = egress.For(ctx, from)
	if !now.Before(e.wk.until) {
		e.wk = d.wk.fetch(ctx, server, e.wk)
	}
	if ctx.Err() != nil {
		return place{}, ctx.Err()
	}
	e.place = d.locate(ctx, from, server, e.wk.to)
	e.until = now.Add(placeTime)
	if e.wk.until.Before(e.until) {
		e.until = e.wk.until
	}
	return e.place, nil
}

// locate finds a server that may be delegated to another name.
func (d *discovery) locate(ctx context.Context, from, server, delegated matrix.ServerName) place {
	if delegated == "" {
		delegated = server
	} else if p, ok := fixed(server, delegated); ok {
		return p
	}
	host := delegated.Host()
	p := place{host: string(delegated), pool: pool(server, delegated)}
	p.target = egress.Target{Server: server, TLSName: host, Endpoints: []egress.Endpoint{{Host: host, Port: defaultPort}}}
	for _, service := range []string{"matrix-fed", "matrix"} {
		intent := egress.Intent{Kind: egress.Federation, Server: server, Tenant: from, Host: host}
		records, err := d.egress.LookupSRV(ctx, intent, service, host)
		if err != nil || len(records) == 0 {
			continue // Why: no record and no answer look alike to many resolvers; the next step is the same
		}
		p.target.Endpoints = endpointsOf(records)
		return p
	}
	return p
}

// maxRecords bounds how many service records are tried.
const maxRecords = 4

func endpointsOf(records []*net.SRV) []egress.Endpoint {
	var out []egress.Endpoint
	for _, r := range records[:min(len(records), maxRecords)] {
		if host := strings.TrimSuffix(r.Target, "."); host != "" { // "." says that there is no such service
			out = append(out, egress.Endpoint{Host: host, Port: r.Port})
		}
	}
	return out
}

// fixed is the place of a name that needs no look-up of records: an address, or a name with a port.
func fixed(server, name matrix.ServerName) (place, bool) {
	host, port := bare(name.Host()), uint16(defaultPort)
	_, err := netip.ParseAddr(host)
	if name.Port() == "" && err != nil {
		return place{}, false
	}
	if name.Port() != "" {
		n, err := strconv.ParseUint(name.Port(), 10, 16)
		if err != nil {
			return place{}, false
		}
		port = uint16(n)
	}
	return place{
		target: egress.Target{Server: server, TLSName: host, Endpoints: []egress.Endpoint{{Host: host, Port: port}}},
		host:   string(name), pool: pool(server, name),
	}, true
}

// bare is a host without the brackets of an IPv6 address.
func bare(host string) string { return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]") }

// pool is the authority under which the connections to a server are kept; nothing is ever dialled by it.
// Why not the name: connections from before a delegation changed must not serve after, and no two servers share one,
// even where both are delegated to the same name.
func pool(server, delegated matrix.ServerName) string {
	sum := sha256.Sum256([]byte(string(server) + " " + string(delegated)))
	return hex.EncodeToString(sum[:16])
}

// entryOf is what is known about a server; an error when that is no name of one.
func (d *discovery) entryOf(server matrix.ServerName) (*entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.places[server]; e != nil {
		return e, nil
	}
	if _, err := matrix.ParseServerName(string(server)); err != nil {
		return nil, err
	}
	for name := range d.places { // Go's map order is random, so anyone may be forgotten
		if len(d.places) < maxPlaces {
			break
		}
		delete(d.places, name)
	}
	e := &entry{lock: make(chan struct{}, 1), host: bare(server.Host())}
	e.lock <- struct{}{}
	d.places[server] = e
	return e, nil
}

// failed forgets the records of a server that could not be reached; what its well-known file said stays.
func (d *discovery) failed(server matrix.ServerName) {
	d.mu.Lock()
	e := d.places[server]
	d.mu.Unlock()
	if e == nil {
		return
	}
	select {
	case <-e.lock:
		e.until = time.Time{}
		e.lock <- struct{}{}
	default: // somebody is finding it anew
	}
}
