// Package icap has files judged by a content scanner that speaks ICAP. It makes no connection by itself.
//
// Spec: RFC 3507. A file is shown to the scanner as the body of an HTTP answer (RESPMOD), or of an HTTP request (REQMOD)
// where the service knows only that. The scanner says 204 when nothing is to be changed, which is: clean. Whatever it would
// put in the place of the file is a refusal, unless it is the very same file again.
package icap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Client scans files. Each scan opens a connection of its own; scans may run concurrently.
type Client struct {
	dial    func(ctx context.Context) (net.Conn, error)
	service *url.URL
	timeout time.Duration

	mu     sync.Mutex
	method string    // of the last OPTIONS
	until  time.Time // by when to ask again
}

const (
	usualTimeout = 5 * time.Minute
	// askEvery is for how long what a service can do is believed.
	askEvery    = 10 * time.Minute
	defaultPort = "1344"

	methodRespond = "RESPMOD"
	methodRequest = "REQMOD"
)

// ErrVerdict says that the scanner gave no verdict.
var ErrVerdict = errors.New("icap: no verdict")

// New makes a client of a service such as icap://127.0.0.1:1344/avscan. dial connects to "host:port"; timeout bounds one
// scan, 0 means five minutes.
func New(service string, timeout time.Duration, dial func(ctx context.Context, address string) (net.Conn, error)) (*Client, error) {
	u, err := url.Parse(service)
	if err != nil || u.Scheme != "icap" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("icap: %q is no address of a service; one looks like icap://127.0.0.1:1344/avscan", service)
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	if timeout == 0 {
		timeout = usualTimeout
	}
	address := net.JoinHostPort(u.Hostname(), port)
	return &Client{service: u, timeout: timeout, dial: func(ctx context.Context) (net.Conn, error) { return dial(ctx, address) }}, nil
}

// Scan shows a file to the scanner and reports whether it is clean.
func (c *Client) Scan(ctx context.Context, file io.Reader) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	method, err := c.chosen(ctx)
	if err != nil {
		return false, err
	}
	clean := false
	err = c.talk(ctx, func(conn net.Conn) error {
		shown := newWitness(file)
		sent := c.show(conn, method, shown)
		if shown.failed != nil { // what was sent of it says nothing about the whole
			return fmt.Errorf("read file: %w", shown.failed)
		}
		// Why the answer even so: a scanner may refuse and close before it has taken all of a long file.
		a, err := readAnswer(conn)
		if err != nil {
			return errors.Join(sent, err)
		}
		clean, err = a.verdict(shown)
		return err
	})
	return clean, err
}

// chosen is the method to use, which the service tells.
func (c *Client) chosen(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.until) {
		return c.method, nil
	}
	err := c.talk(ctx, func(conn net.Conn) error {
		if _, err := io.WriteString(conn, c.head("OPTIONS")+"Encapsulated: null-body=0\r\n\r\n"); err != nil {
			return err
		}
		a, err := readAnswer(conn)
		if err != nil {
			return err
		}
		if a.status != 200 {
			return fmt.Errorf("%w: the service answers %d to OPTIONS", ErrVerdict, a.status)
		}
		methods := strings.FieldsFunc(strings.ToUpper(strings.Join(a.header["Methods"], ",")), func(r rune) bool { return r == ',' || r == ' ' })
		switch {
		case slices.Contains(methods, methodRespond):
			c.method = methodRespond
		case slices.Contains(methods, methodRequest):
			c.method = methodRequest
		default:
			return fmt.Errorf("%w: the service knows neither RESPMOD nor REQMOD", ErrVerdict)
		}
		return nil
	})
	if err == nil {
		c.until = time.Now().Add(askEvery)
	}
	return c.method, err
}

// talk opens a connection that ends with the context.
func (c *Client) talk(ctx context.Context, fn func(conn net.Conn) error) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return fmt.Errorf("icap: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := fn(conn); err != nil {
		return fmt.Errorf("icap: %w", err)
	}
	return nil
}
