// Package egress is the only way out of this process: whatever connects to another machine does so by its dialer.
//
// It owns how names are resolved and connections opened. Before anything leaves, a judge is asked: first about the
// name, so that not even a resolver hears of one that is refused, then about each address really dialled, at every
// attempt, and about every request on a connection that was kept. A recorder is told of each connection. Proxies of the environment are ignored, since
// behind one nobody could say where a connection ends. Those who need to go out are handed an *Egress by cmd; the
// core never sees it.
package egress

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"time"

	"rempart/internal/matrix"
)

// Kind says what a connection is for.
type Kind string

// The kinds of connections.
const (
	Federation Kind = "federation"
	WellKnown  Kind = "well-known"
	Push       Kind = "push"
	Preview    Kind = "preview"
	Media      Kind = "media" // content that another server keeps elsewhere
	Mail       Kind = "mail"
	Appservice Kind = "appservice"
)

// Intent is what is about to happen, as the judge and the recorder see it.
type Intent struct {
	Kind Kind
	// Server is the Matrix server that is spoken to, "" outside federation.
	Server matrix.ServerName
	// Host is the name that was resolved, or the text of an address.
	Host string
	// Addr is the address about to be dialled; the zero value while only the name is judged.
	Addr netip.AddrPort
}

// Judge decides whether an intent may be carried out. It must be quick and may be called concurrently.
type Judge interface {
	// Admit returns nil, or why not.
	Admit(ctx context.Context, i Intent) error
}

// Recorder keeps the record of what left. A connection that it cannot begin is not opened.
type Recorder interface {
	Begin(ctx context.Context, i Intent) (Permit, error)
}

// Permit stands for one connection under way.
type Permit interface {
	// End is called once, when the connection is closed or could not be opened.
	End(o Outcome)
}

// Outcome is what became of a connection.
type Outcome struct {
	Err            error // why it could not be opened; nil when it was
	Sent, Received int64 // bytes, TLS included
}

// Resolver looks up names; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Options is what an Egress is made of.
type Options struct {
	// Judge is asked about everything; nil refuses everything.
	Judge Judge
	// Recorder may be nil.
	Recorder Recorder
	// Resolver looks up names; nil takes the machine's.
	Resolver Resolver
	// RootCAs are the authorities that certificates of others need; nil takes the machine's.
	RootCAs *x509.CertPool
	// Connect opens a connection to an address that has been admitted; nil takes the machine's network.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)
	// ConnsPerHost bounds connections to one peer; 0 means 8.
	ConnsPerHost int
}

// Egress opens connections. It may be used concurrently and is closed once nobody uses it.
type Egress struct {
	judge    Judge
	recorder Recorder
	resolver Resolver
	roots    *x509.CertPool
	connect  func(ctx context.Context, network, address string) (net.Conn, error)
	perHost  int
	clients  clients
}

// New makes the way out.
func New(o Options) *Egress {
	e := &Egress{judge: o.Judge, recorder: o.Recorder, resolver: o.Resolver, roots: o.RootCAs, connect: o.Connect, perHost: o.ConnsPerHost}
	if e.judge == nil {
		e.judge = AllowNames(nil, false)
	}
	if e.resolver == nil {
		e.resolver = &net.Resolver{}
	}
	if e.connect == nil {
		d := net.Dialer{Timeout: attemptTime}
		e.connect = d.DialContext
	}
	if e.perHost == 0 {
		e.perHost = 8
	}
	return e
}

// Admit asks the judge about an intent without carrying it out.
func (e *Egress) Admit(ctx context.Context, i Intent) error { return e.judge.Admit(ctx, i) }

// Close closes connections that nobody uses at the moment.
func (e *Egress) Close() error {
	e.clients.closeIdle()
	return nil
}

// Dialer opens outbound connections without a judge. The zero value is ready; it may be used concurrently.
type Dialer struct{}

// dialTimeout bounds one attempt.
const dialTimeout = 15 * time.Second

// DialContext connects to an address like "mail.example.org:587".
func (Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, network, address)
}
