package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"rempart/internal/matrix"
)

// Limits of what a peer may make us wait for or keep.
const (
	headerTime     = 60 * time.Second
	maxHeaderBytes = 64 << 10
	idleTime       = 60 * time.Second
	maxIdle        = 256
	maxRedirects   = 5
)

// Target says where the requests of a context go when that is not what their URL says: to a Matrix server that was
// discovered. The URL's host then only tells connections apart.
type Target struct {
	Server matrix.ServerName
	// Tenant is which of our servers speaks to it.
	Tenant matrix.ServerName
	// Endpoints are tried in order.
	Endpoints []Endpoint
	// TLSName is whom the certificate must be for, a name or an IP address.
	TLSName string
}

type targetKey struct{}

// To returns a context whose requests go to a target.
func To(ctx context.Context, t Target) context.Context { return context.WithValue(ctx, targetKey{}, t) }

type serverKey struct{}

type tenantKey struct{}

// For returns a context whose connections are judged as being made on behalf of one of our servers.
func For(ctx context.Context, tenant matrix.ServerName) context.Context {
	return context.WithValue(ctx, tenantKey{}, tenant)
}

// About returns a context whose connections are judged as being made on behalf of a Matrix server, such as the look-up of
// its well-known file.
func About(ctx context.Context, s matrix.ServerName) context.Context {
	return context.WithValue(ctx, serverKey{}, s)
}

// Doer makes HTTP requests; what HTTP returns is one.
type Doer interface {
	Do(req *http.Request) (*http.Response, error)
}

// HTTP is the client for requests of a kind. It follows redirects for well-known files only, and those to https. It decompresses answers,
// whose readers must bound what they read.
// Answers must be read within the context of their request: the client itself knows no end.
func (e *Egress) HTTP(kind Kind) *http.Client {
	return &http.Client{Transport: pooled{e, kind}, CheckRedirect: redirects(kind)}
}

// transport speaks HTTP/1.1 only. Why: the streams of HTTP/2 would escape the bound on connections to a peer.
func (e *Egress) transport(kind Kind) *http.Transport {
	perHost := e.perHost
	if kind == Push {
		perHost *= 4 // Why: one gateway serves everybody who uses the same application
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			to, err := splitEndpoint(address)
			if err != nil {
				return nil, err
			}
			return e.dialEndpoint(ctx, network, e.intent(ctx, kind, to.Host), to.Port)
		},
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return e.dialTLS(ctx, kind, network, address)
		},
		MaxConnsPerHost:        perHost,
		MaxIdleConnsPerHost:    max(2, perHost/4),
		MaxIdleConns:           maxIdle,
		IdleConnTimeout:        idleTime,
		ResponseHeaderTimeout:  headerTime,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

func (e *Egress) intent(ctx context.Context, kind Kind, host string) Intent {
	server, _ := ctx.Value(serverKey{}).(matrix.ServerName)
	tenant, _ := ctx.Value(tenantKey{}).(matrix.ServerName)
	return Intent{Kind: kind, Server: server, Tenant: tenant, Host: host}
}

// dialTLS opens a TLS connection to the context's target, or to the address.
func (e *Egress) dialTLS(ctx context.Context, kind Kind, network, address string) (net.Conn, error) {
	if t, ok := ctx.Value(targetKey{}).(Target); ok {
		conn, err := e.dialFirst(ctx, Intent{Kind: kind, Server: t.Server, Tenant: t.Tenant}, t.Endpoints)
		if err != nil {
			return nil, err
		}
		return e.handshake(ctx, conn, t.TLSName)
	}
	to, err := splitEndpoint(address)
	if err != nil {
		return nil, err
	}
	conn, err := e.dialEndpoint(ctx, network, e.intent(ctx, kind, to.Host), to.Port)
	if err != nil {
		return nil, err
	}
	return e.handshake(ctx, conn, to.Host)
}

// redirects says which redirects a client follows.
func redirects(kind Kind) func(*http.Request, []*http.Request) error {
	if kind != WellKnown {
		return func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return func(req *http.Request, via []*http.Request) error {
		if req.URL.Scheme != "https" {
			return fmt.Errorf("redirected to %s, which is not https", req.URL.Scheme)
		}
		if len(via) > maxRedirects {
			return errors.New("redirected too often")
		}
		return nil
	}
}
