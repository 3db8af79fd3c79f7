package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rempart/internal/egress"
	"rempart/internal/matrix"
)

// delegation is what a well-known file says, or that it says nothing.
type delegation struct {
	to       matrix.ServerName // "" without delegation
	said     time.Time         // when a file said so
	until    time.Time         // when to ask again
	failures int               // in a row
}

// Bounds of well-known files. Spec: server-server-api/#resolving-server-names
const (
	wellKnownSize    = 50 << 10
	wellKnownWait    = 10 * time.Second
	wellKnownLeast   = 5 * time.Minute
	wellKnownDefault = 24 * time.Hour
	wellKnownMost    = 48 * time.Hour
	wellKnownRetry   = time.Minute // doubles with each failure,
	wellKnownCalm    = time.Hour   // up to this
)

// wellKnown reads well-known files.
type wellKnown struct {
	http  egress.Doer
	now   func() time.Time
	agent string
}

// errUnreachable says that there was no answer at all, or one that says that the server is not well.
var errUnreachable = errors.New("no answer")

// fetch asks for a server's file. Without one the server is not delegated; while it cannot be asked, what it said within the last two
// days goes on.
func (w *wellKnown) fetch(ctx context.Context, server matrix.ServerName, old delegation) delegation {
	to, life, err := w.ask(ctx, server)
	now := w.now()
	if err == nil {
		return delegation{to: to, said: now, until: now.Add(life)}
	}
	d := delegation{failures: old.failures + 1, until: now.Add(min(wellKnownRetry<<min(old.failures, 10), wellKnownCalm))}
	if errors.Is(err, errUnreachable) && old.to != "" && now.Sub(old.said) < wellKnownMost {
		d.to, d.said = old.to, old.said
	}
	return d
}

// ask reads the file once.
func (w *wellKnown) ask(ctx context.Context, server matrix.ServerName) (matrix.ServerName, time.Duration, error) {
	ctx, cancel := context.WithTimeout(egress.About(ctx, server), wellKnownWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+server.Host()+"/.well-known/matrix/server", nil)
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("User-Agent", w.agent)
	res, err := w.http.Do(req)
	if err != nil {
		return "", 0, errors.Join(errUnreachable, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests {
		return "", 0, errUnreachable
	}
	if res.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, wellKnownSize+1))
	if err != nil {
		return "", 0, errors.Join(errUnreachable, err)
	}
	if len(body) > wellKnownSize {
		return "", 0, errTooLarge
	}
	var file struct {
		Server string `json:"m.server"`
	}
	if err := matrix.Decode(body, &file); err != nil {
		return "", 0, err
	}
	to, err := matrix.ParseServerName(file.Server)
	if err != nil {
		return "", 0, err
	}
	return to, lifetime(res.Header, w.now()), nil
}

// lifetime is how long an answer may be kept, by its own headers within our bounds.
func lifetime(h http.Header, now time.Time) time.Duration {
	life := wellKnownDefault
	if expires, err := http.ParseTime(h.Get("Expires")); err == nil {
		life = expires.Sub(now)
	}
	for directive := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			life = 0
		case "max-age":
			if n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32); err == nil {
				life = time.Duration(n) * time.Second
			}
		}
	}
	return min(max(life, wellKnownLeast), wellKnownMost)
}
