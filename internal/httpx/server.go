package httpx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

// Limits of a connection. Why neither a read nor a write timeout: a sync waits longer than any body may take; bodies
// have a deadline of their own.
const (
	headerTime = 10 * time.Second
	idleTime   = 3 * time.Minute
	maxHeader  = 32 << 10 // a filter may come in the query
)

// NewServer makes a server with this package's limits. The caller sets TLSConfig if it serves TLS, and stops it with
// Shutdown.
func NewServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       begin,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// ListenOptions says how a listener treats its peers.
type ListenOptions struct {
	// ProxyProtocol expects a PROXY v2 header from trusted peers.
	ProxyProtocol bool
	// Trusted are the peers that may send one; a unix socket's peers always may.
	Trusted []netip.Prefix
}

// Listen opens "host:port" or "unix:/path/of/socket". A socket file that nobody listens on any more is replaced.
func Listen(ctx context.Context, address string, o ListenOptions) (net.Listener, error) {
	var l net.Listener
	var err error
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		l, err = listenUnix(ctx, path)
	} else {
		l, err = new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	h, err := newHangups()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", address, err), l.Close())
	}
	l = &clearListener{Listener: l, hangups: h}
	if o.ProxyProtocol {
		l = &proxyListener{Listener: l, trusted: o.Trusted}
	}
	return l, nil
}

// listenUnix opens a socket that the owner's group may use too, so that a web server in that group can reach it.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if err := removeStale(path); err != nil {
			return nil, err
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil { //nolint:gosec // the group is meant to use it
		_ = l.Close()
		return nil, err
	}
	return l, nil
}
