package inbound

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"rempart/federation/client"
	"rempart/federation/keys"
	"rempart/internal/matrix"
)

// Authenticator checks the signatures of requests; it is httpx's. It may be used concurrently.
type Authenticator struct {
	Keys *keys.Ring
	// Admit says whether one of our servers, the last, speaks with another at all; it is asked before anything else is done for that.
	Admit func(ctx context.Context, server, ours matrix.ServerName) error
	// Heard, if set, is told of every server that made a good request. It must be quick.
	Heard func(server matrix.ServerName)
	// Clock may be nil for the wall clock.
	Clock func() time.Time
}

// maxHeaders bounds how many signatures of one request are tried.
const maxHeaders = 4

// AuthenticateServer finds who signed a request, and which of our servers it is for.
// Spec: server-server-api/#request-authentication
func (a Authenticator) AuthenticateServer(ctx context.Context, r *http.Request, body []byte) (matrix.Caller, error) {
	var last error = matrix.Unauthorized("This request must be signed by the server that makes it.")
	headers := r.Header.Values("Authorization")
	for _, header := range headers[:min(len(headers), maxHeaders)] {
		x, ok := parseXMatrix(header)
		if !ok {
			continue
		}
		caller, err := a.check(ctx, x, r, body)
		if err == nil {
			if a.Heard != nil {
				a.Heard(caller.Server)
			}
			return caller, nil
		}
		last = err
	}
	return matrix.Caller{}, last
}

// check verifies one signature.
func (a Authenticator) check(ctx context.Context, x xMatrix, r *http.Request, body []byte) (matrix.Caller, error) {
	to := x.destination
	if to == "" { // older servers do not say
		to = a.Keys.Asked(r.Host)
	}
	if _, ours := a.Keys.Own[to]; !ours {
		return matrix.Caller{}, matrix.Unauthorized("This request is for another server.")
	}
	if _, ours := a.Keys.Own[x.origin]; ours {
		// Why: we do not speak with ourselves over the network; whoever shows our signature has taken it from elsewhere.
		return matrix.Caller{}, matrix.Unauthorized("This request claims to come from this server.")
	}
	if a.Admit != nil {
		if err := a.Admit(ctx, x.origin, to); err != nil {
			return matrix.Caller{}, err
		}
	}
	signed, err := client.SignedRequest(r.Method, r.RequestURI, x.origin, x.destination, body)
	if err != nil {
		return matrix.Caller{}, err
	}
	pub, err := a.Keys.Key(ctx, x.origin, x.key, a.now().UnixMilli())
	if err != nil {
		return matrix.Caller{}, err
	}
	sig, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(x.sig, "="))
	if err != nil || !ed25519.Verify(pub, signed, sig) {
		return matrix.Caller{}, matrix.Unauthorized("The signature of this request is wrong.")
	}
	return matrix.Caller{Server: x.origin, Destination: to}, nil
}

func (a Authenticator) now() time.Time {
	if a.Clock != nil {
		return a.Clock()
	}
	return time.Now()
}
