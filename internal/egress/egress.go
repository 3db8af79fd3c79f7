// Package egress is the only way out of this process: whatever connects to another machine does so by its dialer.
//
// It owns how names are resolved and connections opened. Before anything leaves, a judge is asked: first about the
// name, so that not even a resolver hears of one that is refused, then about each address really dialled, at every
// attempt, and about all that is written to a connection that was kept. A recorder is told of each connection. Proxies of the environment are ignored, since
// behind one nobody could say where a connection ends. Those who need to go out are handed an *Egress by cmd; the
// core never sees it.
package egress

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"

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
	Scan       Kind = "scan"  // the virus scanner, which sees whole files
	Store      Kind = "store" // the database and, later, files kept elsewhere
	Calls      Kind = "calls" // the media server: a process of our own, or a cluster beside us
	Names      Kind = "names" // the name servers of the policy
	Identity   Kind = "identity"
)

// Kinds lists every kind; what is not in it has no rule in any policy and is refused.
func Kinds() []Kind {
	return []Kind{Federation, WellKnown, Push, Preview, Media, Mail, Appservice, Scan, Store, Calls, Names, Identity}
}

// Intent is what is about to happen, as the judge and the recorder see it.
type Intent struct {
	Kind Kind
	// Server is the Matrix server that is spoken to, "" outside federation.
	Server matrix.ServerName
	// Tenant is which of our servers speaks, "" for the installation.
	Tenant matrix.ServerName
	// Host is the name that was resolved, or the text of an address.
	Host string
	// Addr is the address about to be dialled; the zero value while only the name is judged.
	Addr netip.AddrPort
	// Socket reports that Host is the path of a unix socket, which leads nowhere but to this machine.
	Socket bool
	// Watch reports that it stands for looking again and again whether somebody is there, until its permit ends: connections are made and
	// closed, and nothing is sent by them.
	Watch bool
	// Verdict is how it was decided, for the recorder; judges do not read it.
	Verdict Verdict
}

// Verdict says by which rule and on which evidence an intent was decided. What the judge does not know stays empty.
type Verdict struct {
	// ID names the decision in the log, in the record and in what a refused person is told.
	ID string
	// Rule is the rule of the policy that decided.
	Rule string
	// Policy and Geo are digests of the policy and of the data about addresses.
	Policy, Geo string
	// Country, ASN, Operator and Class are where the address is and who runs it.
	Country         string
	ASN             uint32
	Operator, Class string
}

// Judge decides whether an intent may be carried out. It must be quick and may be called concurrently.
type Judge interface {
	// Admit returns nil, or why not.
	Admit(ctx context.Context, i Intent) error
}

// Examiner is a judge that also says how it decided.
type Examiner interface {
	Judge
	// Examine decides as Admit does. The verdict counts whether or not there is an error.
	Examine(ctx context.Context, i Intent) (Verdict, error)
}

// Witness is a recorder that also wants to hear of what was refused.
type Witness interface {
	Recorder
	// Refused is told of an intent that was not carried out.
	Refused(ctx context.Context, i Intent, why error)
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
	// SPKI is the SHA-256 of the public key in the certificate that the other showed, in base64; "" without TLS. Spec: RFC 7469, section 2.4
	SPKI string
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
	// NameServers are asked for names, and nobody else is; none takes the machine's way.
	NameServers []netip.AddrPort
	// Resolver looks up names instead.
	Resolver Resolver
	// Source is the address that connections to other Matrix servers come from; the zero value leaves it to the machine.
	Source netip.Addr
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
	// fedConnect is connect, from the address by which other Matrix servers know this one.
	fedConnect func(ctx context.Context, network, address string) (net.Conn, error)
	perHost    int
	pools      pools
	open       open
	lines      lines
}

// New makes the way out.
func New(o Options) *Egress {
	e := &Egress{judge: o.Judge, recorder: o.Recorder, resolver: o.Resolver, roots: o.RootCAs, connect: o.Connect, perHost: o.ConnsPerHost}
	if e.judge == nil {
		e.judge = AllowNames(nil, false)
	}
	switch {
	case e.resolver != nil:
	case len(o.NameServers) > 0:
		e.resolver = newNameServers(e, o.NameServers)
	default:
		e.resolver = &net.Resolver{}
	}
	if e.connect == nil {
		d := net.Dialer{Timeout: attemptTime}
		e.connect = d.DialContext
	}
	if e.fedConnect = e.connect; o.Source.IsValid() && o.Connect == nil {
		d := net.Dialer{Timeout: attemptTime, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(o.Source, 0))}
		e.fedConnect = d.DialContext
	}
	if e.perHost == 0 {
		e.perHost = 8
	}
	return e
}

// Admit asks the judge about an intent without carrying it out; a refusal is recorded as one.
func (e *Egress) Admit(ctx context.Context, i Intent) error {
	_, err := e.examine(ctx, i)
	return err
}

// Close closes all connections and gives up dials under way, so that each has its end in the record when it returns: net/http closes some by
// itself, later, and goes on dialling for requests that were given up. Those to the database stay open, since the record is written by them.
func (e *Egress) Close() error {
	e.pools.closeIdle()
	e.lines.close()
	e.open.each(func(c *judged) {
		if c.intent.Kind != Store {
			c.finish()
		}
	})
	return nil
}

// Generation counts the changes of the judge's mind, as far as [Egress.Renew] was told: what was found out for one of them is to be found out
// again for the next.
func (e *Egress) Generation() uint64 { return e.lines.now() }

// Renew makes a change of the judge's mind take effect: connections that would be refused now are closed and dials under way
// that would be are given up; kept connections of before are not used for another request. When it returns, nothing more is
// sent to whoever is refused now.
func (e *Egress) Renew(ctx context.Context) {
	e.pools.renew()
	e.lines.renew()
	e.open.each(func(c *judged) {
		if c.judge.Admit(ctx, c.intent) != nil {
			c.abandon()
		}
	})
}
