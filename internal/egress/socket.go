package egress

import (
	"context"
	"net"
	"net/http"
)

// Socket carries requests to a unix socket of this machine, whatever host their URL names: that of a process which this one
// has started. Connections may be taken over (websockets); CloseIdleConnections closes those that nobody uses.
func (e *Egress) Socket(kind Kind, path string) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return e.Dial(ctx, kind, "unix", path)
		},
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        idleTime,
		ResponseHeaderTimeout:  headerTime,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
	}
}
