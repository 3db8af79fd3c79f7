// Package pushgateway speaks the Push Gateway API: it hands notifications to gateways, by the one way out. What is in them
// is core/pushers' business. Spec: push-gateway-api/
package pushgateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"rempart/core"
	"rempart/internal/egress"
	"rempart/internal/matrix"
)

// Limits of one request.
const (
	timeout   = 30 * time.Second
	maxAnswer = 64 << 10
	longest   = time.Hour // that a gateway can ask to be left alone
)

// Client hands notifications to gateways. It may be used concurrently.
type Client struct {
	egress *egress.Egress
	http   egress.Doer
	agent  string
}

var _ core.PushGateway = (*Client)(nil)

// New makes a client that goes out by an egress and says what software it is.
func New(e *egress.Egress, agent string) *Client {
	return &Client{egress: e, http: e.HTTP(egress.Push), agent: agent}
}

// Admit asks the judge about a gateway's name.
func (c *Client) Admit(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	return c.egress.Admit(ctx, egress.Intent{Kind: egress.Push, Host: u.Hostname()})
}

// Notify hands over one notification. Spec: push-gateway-api/#post_matrixpushv1notify
func (c *Client) Notify(ctx context.Context, address string, body []byte) (rejected []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", c.agent)
	res, err := c.http.Do(req)
	if err != nil {
		var shown *url.Error
		if errors.As(err, &shown) {
			err = shown.Err // Why: the address holds what a user chose; it stays out of the log
		}
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode != http.StatusOK:
		return nil, &core.GatewayError{Status: res.StatusCode, RetryAfter: retryAfter(res)}
	case len(answer) > maxAnswer:
		return nil, errors.New("the push gateway's answer is too long")
	}
	var a struct {
		Rejected []string `json:"rejected"`
	}
	// Why a failure: what answers 200 to everything, such as a portal, has delivered nothing.
	if err := matrix.Decode(answer, &a); err != nil {
		return nil, fmt.Errorf("the push gateway's answer is not understood: %w", err)
	}
	return a.Rejected, nil
}

// retryAfter reads for how long a gateway wants to be left alone.
func retryAfter(res *http.Response) time.Duration {
	seconds, err := strconv.ParseInt(res.Header.Get("Retry-After"), 10, 64)
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(min(seconds, int64(longest/time.Second)))*time.Second, longest)
}
