// Package webfetch reads pages of the web for previews: bounded in time, bytes and redirects. Each step, redirects included,
// goes through the client that it was given, whose judge decides about the name and the address.
package webfetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Bounds of one fetch.
const (
	maxRedirects = 5
	oneTime      = 12 * time.Second
)

// Doer makes one HTTP request and follows no redirect.
type Doer interface {
	Do(req *http.Request) (*http.Response, error)
}

// Client fetches pages. It may be used concurrently.
type Client struct {
	// HTTP makes the requests.
	HTTP Doer
	// Agent is how we call ourselves.
	Agent string
}

// Page is what was found.
type Page struct {
	URL  *url.URL // where it was found in the end
	Type string
	Body []byte
	// Cut says that there was more of it.
	Cut bool
}

// Fetch reads at most limit bytes of a page.
func (c *Client) Fetch(ctx context.Context, address string, limit int64) (*Page, error) {
	ctx, cancel := context.WithTimeout(ctx, oneTime)
	defer cancel()
	at, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("address of a page: %w", err)
	}
	for range maxRedirects + 1 {
		p, next, err := c.step(ctx, at, limit)
		if err != nil || p != nil {
			return p, err
		}
		at = next
	}
	return nil, errors.New("redirected too often")
}

// step makes one request: a page, or where to look instead.
func (c *Client) step(ctx context.Context, at *url.URL, limit int64) (*Page, *url.URL, error) {
	if at.Scheme != "http" && at.Scheme != "https" || at.Host == "" || at.User != nil {
		return nil, nil, errors.New("not the address of a web page")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("User-Agent", c.Agent)
	req.Header.Set("Accept", "text/html,application/xhtml+xml,image/*;q=0.8,*/*;q=0.1")
	res, err := c.HTTP.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if to := res.Header.Get("Location"); to != "" && res.StatusCode >= 300 && res.StatusCode < 400 {
		next, err := at.Parse(to)
		return nil, next, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("the page's server answered %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, nil, err
	}
	p := &Page{URL: at, Type: res.Header.Get("Content-Type"), Body: body}
	if int64(len(body)) > limit {
		p.Body, p.Cut = body[:limit], true
	}
	return p, nil, nil
}
