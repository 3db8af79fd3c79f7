package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"

	"rempart/config"
	"rempart/internal/httpx"
	"rempart/internal/metrics"
)

// server is the running process: the app and the listeners that bring it requests.
type server struct {
	app     *app
	config  *config.Config
	logger  *slog.Logger
	certs   *certificates // nil without TLS
	running []*http.Server
	client  net.Addr
	failed  chan error // a listener that ended by itself
	wg      sync.WaitGroup
}

// listen opens every address of the configuration, and says all that fail.
func (s *server) listen(ctx context.Context, registry *metrics.Registry) error {
	l := s.config.Listen
	if l.TLSCert != "" {
		var err error
		if s.certs, err = loadCertificates(l.TLSCert, l.TLSKey, s.logger); err != nil {
			return misconfigured(err)
		}
	}
	outside := httpx.ListenOptions{ProxyProtocol: l.ProxyProtocol, Trusted: l.TrustedProxies}
	errs := []error{
		unopened("client", s.open(ctx, l.Client, s.app.client, outside, l.ClientTLS)),
		unopened("federation", s.open(ctx, l.Federation, s.app.federation, outside, true)),
		unopened("metrics", s.open(ctx, l.Metrics, registry, httpx.ListenOptions{}, false)),
		unopened("pprof", s.open(ctx, l.Pprof, profiles(), httpx.ListenOptions{}, false)),
	}
	return errors.Join(errs...)
}

// unopened names the key of an address that cannot be listened on, and what helps.
func unopened(key string, err error) error {
	advice := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		advice = ": another program has this address; stop it, or set another one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		advice = ": this machine does not have this address"
	case errors.Is(err, syscall.EACCES):
		advice = ": this user may not; ports below 1024 need CAP_NET_BIND_SERVICE, sockets a folder that can be written"
	case errors.Is(err, syscall.ENOENT):
		advice = ": the socket's folder does not exist"
	}
	return fmt.Errorf("listen.%s: %w%s", key, err, advice)
}

// open starts one listener; an empty address starts none.
func (s *server) open(ctx context.Context, address string, h http.Handler, o httpx.ListenOptions, tls bool) error {
	if address == "" {
		return nil
	}
	l, err := httpx.Listen(ctx, address, o)
	if err != nil {
		return err
	}
	if s.client == nil {
		s.client = l.Addr()
	}
	server := httpx.NewServer(h, s.logger)
	s.running = append(s.running, server)
	serve := func() error { return server.Serve(l) }
	if tls {
		server.TLSConfig = s.certs.config()
		serve = func() error { return server.ServeTLS(l, "", "") }
	}
	s.wg.Go(func() {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			select {
			case s.failed <- err:
			default: // another failure stops the server already
			}
		}
	})
	return nil
}

// stop drains: /ready turns to 503, waiting syncs are answered, requests under way finish, and then the app closes.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	s.app.drain()
	var stopping sync.WaitGroup
	for _, server := range s.running {
		stopping.Go(func() {
			if server.Shutdown(ctx) != nil {
				_ = server.Close() // time is up: cut what is left
			}
		})
	}
	stopping.Wait()
	s.wg.Wait()
	if s.certs != nil {
		s.certs.close()
	}
	return s.app.close()
}

// clientAddress is where clients reach the server on this machine.
func (s *server) clientAddress() string {
	if s.client.Network() == "unix" {
		return "unix:" + s.client.String()
	}
	scheme := "http://"
	if s.config.Listen.ClientTLS {
		scheme = "https://"
	}
	return scheme + s.client.String()
}
