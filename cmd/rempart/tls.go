package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
)

// certificates holds the server's certificate and reads it again at SIGHUP, so that a renewal cuts no connection.
type certificates struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
	signals           chan os.Signal
	wg                sync.WaitGroup
}

// loadCertificates reads the pair and begins to watch for SIGHUP, until close.
func loadCertificates(certFile, keyFile string, logger *slog.Logger) (*certificates, error) {
	c := &certificates{certFile: certFile, keyFile: keyFile, signals: make(chan os.Signal, 1)}
	if err := c.reload(); err != nil {
		return nil, err
	}
	signal.Notify(c.signals, syscall.SIGHUP)
	c.wg.Go(func() {
		for range c.signals {
			if err := c.reload(); err != nil { // Why go on: the old certificate still serves
				logger.Error("the certificate that served so far stays", "error", err)
				continue
			}
			logger.Info("the certificate was read again", "ends", c.current.Load().Leaf.NotAfter)
		}
	})
	return c, nil
}

func (c *certificates) reload() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("TLS certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.current.Store(&pair)
	return nil
}

func (c *certificates) close() {
	signal.Stop(c.signals)
	close(c.signals)
	c.wg.Wait()
}

func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}
