package media

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"rempart/sfu"
)

// askTime bounds a question to the child, with the time that it may need to start again.
const askTime = 10 * time.Second

// maxAnswer bounds an answer of the child.
const maxAnswer = 16 << 20

// EnsureRoom implements [sfu.Backend].
func (p *Process) EnsureRoom(ctx context.Context, alias string) error {
	return p.ask(ctx, http.MethodPost, "/rooms", url.Values{"alias": {alias}}, nil)
}

// Participants implements [sfu.Backend].
func (p *Process) Participants(ctx context.Context) ([]sfu.Live, error) {
	if !p.Settings.SFU.Enabled {
		return nil, nil
	}
	var list []sfu.Live
	err := p.ask(ctx, http.MethodGet, "/participants", nil, &list)
	return list, err
}

// Kick implements [sfu.Backend].
func (p *Process) Kick(ctx context.Context, alias, identity string) error {
	return p.ask(ctx, http.MethodPost, "/kick", url.Values{"alias": {alias}, "identity": {identity}}, nil)
}

// Stats are the numbers of the child.
func (p *Process) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	err := p.ask(ctx, http.MethodGet, "/stats", nil, &s)
	return s, err
}

// Signal implements [sfu.Backend].
func (p *Process) Signal() http.Handler {
	if !p.Settings.SFU.Enabled {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), askTime)
		err := p.await(ctx)
		cancel()
		if err != nil {
			p.unreachable(w, r, err)
			return
		}
		p.signal.ServeHTTP(w, r)
	})
}

// unreachable answers when the child cannot.
func (p *Process) unreachable(w http.ResponseWriter, _ *http.Request, err error) {
	p.Log.Warn("signalling of a call", "error", err)
	http.Error(w, "the media server is starting", http.StatusServiceUnavailable)
}

// errProcess marks that the media process could not be asked.
var errProcess = errors.New("media process")

// askPause is between two attempts to ask a child that has just ended.
const askPause = 50 * time.Millisecond

// ask puts a question to the child. All of them may be put twice: when the child ends meanwhile, the next one is asked.
func (p *Process) ask(ctx context.Context, method, path string, query url.Values, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	for {
		if err := p.await(ctx); err != nil {
			return err
		}
		err := Ask(ctx, p.Transport, method, path, query, into)
		if !errors.Is(err, errProcess) {
			return err
		}
		select { // Why a pause: that the child has ended is known a little later
		case <-ctx.Done():
			return err
		case <-time.After(askPause):
		}
	}
}

// Ask puts one question to a media process by its socket, as the commands of the operator do too.
func Ask(ctx context.Context, by http.RoundTripper, method, path string, query url.Values, into any) error {
	q, err := http.NewRequestWithContext(ctx, method, "http://media"+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	a, err := by.RoundTrip(q)
	if err != nil {
		return fmt.Errorf("%w: %w", errProcess, err)
	}
	defer func() { _ = a.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(a.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%w: %w", errProcess, err)
	}
	if a.StatusCode/100 != 2 {
		return fmt.Errorf("media process: %s: %s", a.Status, body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}
