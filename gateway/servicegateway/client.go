package servicegateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rempart/core"
	"rempart/core/appservice"
	"rempart/internal/egress"
	"rempart/internal/matrix"
)

// Bounds of a request.
const (
	pushTime  = 60 * time.Second // bridges work while they answer
	queryTime = 20 * time.Second
	lookTime  = 15 * time.Second
	maxAnswer = 1 << 20
)

// Client speaks to the services of a registry. It may be used concurrently.
type Client struct {
	http     egress.Doer
	services *appservice.Registry
	agent    string
}

var _ core.Appservices = (*Client)(nil)

// New makes a client that goes out by an egress and says what software it is.
func New(e *egress.Egress, services *appservice.Registry, agent string) *Client {
	return &Client{http: e.HTTP(egress.Appservice), services: services, agent: agent}
}

// Endpoints are the "host:port" of the services' addresses, for the judge.
func Endpoints(services *appservice.Registry) []string {
	var out []string
	for _, s := range services.All() {
		u, err := url.Parse(s.URL)
		if err != nil || s.URL == "" {
			continue
		}
		port := u.Port()
		switch {
		case port != "":
		case u.Scheme == "https":
			port = "443"
		default:
			port = "80"
		}
		host := u.Hostname()
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		out = append(out, host+":"+port)
	}
	return out
}

// Push hands over a transaction. Spec: application-service-api/#put_matrixappv1transactionstxnid
func (c *Client) Push(ctx context.Context, service, txn string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, pushTime)
	defer cancel()
	path := "/transactions/" + url.PathEscape(txn)
	_, err := c.call(ctx, service, http.MethodPut, path, path, body)
	return err
}

// HasUser asks for a user. Spec: application-service-api/#get_matrixappv1usersuserid
func (c *Client) HasUser(ctx context.Context, service string, user matrix.UserID) (bool, error) {
	return c.has(ctx, service, "/users/"+url.PathEscape(string(user)))
}

// HasAlias asks for an alias. Spec: application-service-api/#get_matrixappv1roomsroomalias
func (c *Client) HasAlias(ctx context.Context, service string, alias matrix.RoomAlias) (bool, error) {
	return c.has(ctx, service, "/rooms/"+url.PathEscape(string(alias)))
}

func (c *Client) has(ctx context.Context, service, path string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	_, err := c.call(ctx, service, http.MethodGet, path, path, nil)
	if statusOf(err) == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// Ping asks for a sign of life; a failure says how in the words of the client-server API.
// Spec: application-service-api/#post_matrixappv1ping
func (c *Client) Ping(ctx context.Context, service, txn string) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	asked := map[string]string{}
	if txn != "" {
		asked["transaction_id"] = txn
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return err
	}
	_, err = c.call(ctx, service, http.MethodPost, "/ping", "", body)
	var status *StatusError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		return matrix.NewError(http.StatusBadGateway, "M_BAD_STATUS", "The application service answered with an error.").
			With("status", status.Status).With("body", status.Body).Wrap(err)
	case errors.Is(err, context.DeadlineExceeded):
		return matrix.NewError(http.StatusGatewayTimeout, "M_CONNECTION_TIMEOUT", "The application service did not answer in time.").Wrap(err)
	}
	return matrix.NewError(http.StatusBadGateway, "M_CONNECTION_FAILED", "The application service cannot be reached.").Wrap(err)
}

// ThirdParty looks something up. Spec: application-service-api/#third-party-networks
func (c *Client) ThirdParty(ctx context.Context, service, path string, query map[string][]string) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	path = "/thirdparty/" + path
	if len(query) > 0 {
		path += "?" + url.Values(query).Encode()
	}
	raw, err := c.call(ctx, service, http.MethodGet, path, "/_matrix/app/unstable"+path, nil)
	if statusOf(err) == http.StatusNotFound {
		return nil, nil
	}
	return raw, err
}

// StatusError is an answer that says no.
type StatusError struct {
	Status int
	Body   string
}

// Error says what was answered.
func (e *StatusError) Error() string {
	return fmt.Sprintf("the application service answered %d: %.200s", e.Status, e.Body)
}

func statusOf(err error) int {
	var e *StatusError
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// call makes a request, and makes it again at an older path when the service does not know the route.
// Spec: application-service-api/#legacy-routes
func (c *Client) call(ctx context.Context, service, method, path, older string, body []byte) ([]byte, error) {
	raw, err := c.do(ctx, service, method, "/_matrix/app/v1"+path, body)
	if older == "" || !unknownRoute(err) {
		return raw, err
	}
	again, second := c.do(ctx, service, method, older, body)
	if second != nil {
		return raw, err
	}
	return again, nil
}

// unknownRoute reports whether an answer may mean that the service has no such route.
func unknownRoute(err error) bool {
	switch statusOf(err) {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

func (c *Client) do(ctx context.Context, service, method, path string, body []byte) ([]byte, error) {
	s := c.services.ByID(service)
	if s == nil || s.URL == "" {
		return nil, matrix.NewError(http.StatusBadRequest, "M_URL_NOT_SET", "The application service has no address.")
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(s.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+s.HSToken)
	// Why: every call may be made twice, and a kept connection that the service has closed is no failure. The header is not sent.
	req.Header["X-Idempotency-Key"] = []string{}
	req.Header.Set("User-Agent", c.agent)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, withoutAddress(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case res.StatusCode < 200 || res.StatusCode > 299:
		return nil, &StatusError{res.StatusCode, string(raw[:min(len(raw), 4096)])}
	case err != nil:
		return nil, err
	case len(raw) > maxAnswer:
		return nil, errors.New("the answer of the application service is too large")
	}
	return raw, nil
}

// withoutAddress drops the URL from an error: it may hold what somebody looked for.
func withoutAddress(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
