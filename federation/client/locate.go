package client

import (
	"context"
	"net"
	"strconv"

	"rempart/internal/egress"
	"rempart/internal/matrix"
)

// Location is where a server is, as it was found.
type Location struct {
	// Delegated is whom the well-known file names, "" where there is none.
	Delegated matrix.ServerName
	// Addresses are host and port of where connections go, in the order in which they are tried.
	Addresses []string
	// Certificate is whom the server's certificate must be for.
	Certificate string
}

// Locate finds a server without asking it anything but its well-known file. Spec: server-server-api/#resolving-server-names
func (c *Client) Locate(ctx context.Context, server matrix.ServerName) (Location, error) {
	p, err := c.discovery.find(ctx, "", server)
	if err != nil {
		return Location{}, err
	}
	l := Location{Certificate: p.target.TLSName}
	for _, e := range p.target.Endpoints {
		l.Addresses = append(l.Addresses, net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))))
	}
	if _, known := fixed(server, server); !known {
		e, err := c.discovery.entryOf(server)
		if err != nil {
			return l, err
		}
		select {
		case <-e.lock:
			l.Delegated = e.wk.to
			e.lock <- struct{}{}
		case <-ctx.Done():
			return l, ctx.Err()
		}
	}
	return l, nil
}

// Watch begins to look whether a server that could not be reached takes connections again.
func (c *Client) Watch(ctx context.Context, from, to matrix.ServerName) (*egress.Watch, error) {
	p, err := c.discovery.find(ctx, from, to)
	if err != nil {
		return nil, err
	}
	return c.egress.Watch(egress.To(ctx, p.target))
}
