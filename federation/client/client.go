// Package client asks other servers: it finds them, signs requests, and has one typed call for each operation of the
// server-server API.
//
// Every call bounds its time and the size of its answer, whatever the peer does. Whatever the peer answers is a claim: events
// are handed on as JSON, to be checked by who asked. The package keeps no state but a cache of where servers are, and
// leaves it to its callers when to ask again.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"
	"unicode/utf8"

	"rempart/internal/egress"
	"rempart/internal/matrix"
)

// Keys finds the key with which a server of this installation signs.
type Keys interface {
	SigningKey(server matrix.ServerName) (matrix.SigningKey, bool)
}

// Options is what a client is made of.
type Options struct {
	Egress *egress.Egress
	Keys   Keys
	Log    *slog.Logger
	// Agent is how requests name this software.
	Agent string
	// Clock may be nil for the wall clock.
	Clock func() time.Time
}

// Client makes requests to other servers. It may be used concurrently.
//
// In every call "from" is the server of this installation that asks and signs, and "to" the one that is asked.
type Client struct {
	egress    *egress.Egress
	http      egress.Doer
	cdn       egress.Doer // for content that servers keep elsewhere
	keys      Keys
	log       *slog.Logger
	agent     string
	discovery *discovery
	scratch   sync.Pool // *[]byte, for what is signed
}

// New makes a client.
func New(o Options) *Client {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Client{
		egress: o.Egress, http: o.Egress.HTTP(egress.Federation), cdn: o.Egress.HTTP(egress.Media), keys: o.Keys, log: o.Log, agent: o.Agent,
		discovery: newDiscovery(o.Egress, o.Clock, o.Agent),
	}
}

// Bounds of a call that states none of its own.
const (
	defaultTime = 30 * time.Second
	joinTime    = 10 * time.Minute // while it is read it is taken in
	longTime    = time.Minute
	smallAnswer = 64 << 10
	plainAnswer = 4 << 20
	pageAnswer  = 8 << 20  // a hundred events
	namesAnswer = 16 << 20 // 300,000 names of events
	largeAnswer = 64 << 20 // read as it comes
	joinAnswer  = 192 << 20
)

// request is one call under way.
type request struct {
	method string
	// uri is the path, escaped, with the query.
	uri string
	// body is JSON; nil sends none.
	body []byte
	// limit bounds the answer in bytes after decompression; 0 means plainAnswer.
	limit int64
	// wait bounds the whole call, besides the context; 0 means defaultTime.
	wait time.Duration
	// unsigned requests carry no signature.
	unsigned bool
	// once forbids to send the request again when a kept connection turns out to be closed.
	once bool
}

func get(uri string) request { return request{method: http.MethodGet, uri: uri} }
func put(uri string, body []byte) request {
	return request{method: http.MethodPut, uri: uri, body: body}
}
func post(uri string, body []byte) request {
	return request{method: http.MethodPost, uri: uri, body: body}
}
func (q request) within(d time.Duration) request { q.wait = d; return q }
func (q request) upTo(n int64) request           { q.limit = n; return q }

// call makes a request and decodes the answer into a pointer; *json.RawMessage takes it as it came.
func (c *Client) call(ctx context.Context, from, to matrix.ServerName, q request, into any) error {
	if q.wait == 0 {
		q.wait = defaultTime
	}
	ctx, cancel := context.WithTimeout(ctx, q.wait)
	defer cancel()
	res, err := c.send(ctx, from, to, q)
	if err != nil {
		return fmt.Errorf("ask %s: %w", to, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := readAnswer(res, q.limit)
	if err == nil {
		err = ctx.Err() // Why: a peer that sees us go may end its answer as if it were whole
	}
	if err != nil {
		return fmt.Errorf("ask %s: %w", to, err)
	}
	if !utf8.Valid(body) { // Why: encoding/json lets it pass, and what holds it is read by none of our clients
		return fmt.Errorf("ask %s: %w", to, errNotJSON)
	}
	if raw, ok := into.(*json.RawMessage); ok {
		if !json.Valid(body) {
			return fmt.Errorf("ask %s: %w", to, errNotJSON)
		}
		*raw = body
		return nil
	}
	if err := matrix.Decode(body, into); err != nil {
		return fmt.Errorf("ask %s: %w", to, errors.Join(errNotJSON, err))
	}
	return nil
}

// Errors of calls that are not refusals by the peer.
var (
	errNotJSON  error = badAnswer("the answer is not the JSON that it should be")
	errTooLarge error = badAnswer("the answer is too large")
	errNoKey          = errors.New("no signing key for the asking server")
)

// send finds the server, signs and makes the request, and gives a successful answer whose body is still to be read.
func (c *Client) send(ctx context.Context, from, to matrix.ServerName, q request) (*http.Response, error) {
	place, err := c.discovery.find(ctx, from, to)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse("https://" + place.pool + q.uri)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(egress.To(ctx, place.target), q.method, u.String(), bodyOf(q.body))
	if err != nil {
		return nil, err
	}
	req.URL, req.Host = u, place.host
	req.Header.Set("User-Agent", c.agent)
	if q.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if !q.once {
		req.Header["X-Idempotency-Key"] = []string{} // net/http: may be sent again, and is not sent itself
	}
	if !q.unsigned {
		key, ok := c.keys.SigningKey(from)
		if !ok {
			return nil, fmt.Errorf("%w: %s", errNoKey, from)
		}
		header, err := Authorization(key, to, q.method, u.RequestURI(), q.body)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", header)
	}
	res, err := c.http.Do(req)
	if err != nil {
		c.discovery.failed(to)
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		defer func() { _ = res.Body.Close() }()
		return nil, remoteError(to, res)
	}
	return res, nil
}

func bodyOf(b []byte) io.Reader {
	if b == nil {
		return nil
	}
	return bytes.NewReader(b)
}

// readAnswer reads a body that may be of any size and speed: up to the limit, until the request's context ends.
func readAnswer(res *http.Response, limit int64) ([]byte, error) {
	if limit == 0 {
		limit = plainAnswer
	}
	if res.ContentLength > limit {
		return nil, errTooLarge
	}
	var buf bytes.Buffer
	if res.ContentLength > 0 {
		buf.Grow(int(min(res.ContentLength+bytes.MinRead, plainAnswer)))
	}
	if _, err := buf.ReadFrom(io.LimitReader(res.Body, limit+1)); err != nil {
		return nil, err
	}
	if int64(buf.Len()) > limit {
		return nil, errTooLarge
	}
	return buf.Bytes(), nil
}
