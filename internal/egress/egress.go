// Package egress is the only way out of this process: whatever connects to another machine does so by its dialer.
//
// It owns how connections are opened. Those who need one are handed the dialer by cmd; the core never sees it.
package egress

import (
	"context"
	"net"
	"time"
)

// Dialer opens outbound connections. The zero value is ready; it may be used concurrently.
type Dialer struct{}

// dialTimeout bounds one attempt.
const dialTimeout = 15 * time.Second

// DialContext connects to an address like "mail.example.org:587".
func (Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, network, address)
}
