package federation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"sync"
	"time"

	"rempart/internal/testkit/mx"
)

// soul is a person with one device that stays, which remembers what it was told.
type soul struct {
	*mx.Client
	seat *seat
	n    int

	// extra are devices that come and go; only the one who acts touches them.
	extra []*mx.Client
	cross int

	others  map[string]bool // everybody
	mu      sync.Mutex
	since   string
	got     map[string]int             // messages to the device
	keys    map[string]json.RawMessage // keys of others as they were when they were asked for last
	dirty   map[string]bool            // those to be asked for
	invited map[string]bool
	twice   []string
	seen    map[string]bool // events of timelines
}

func newSoul(c *mx.Client, s *seat, n int) *soul {
	return &soul{Client: c, seat: s, n: n, got: map[string]int{}, keys: map[string]json.RawMessage{}, dirty: map[string]bool{}, invited: map[string]bool{},
		seen: map[string]bool{}}
}

// heard is what a sync tells.
type heard struct {
	Next  string                           `json:"next_batch"`
	Lists struct{ Changed, Left []string } `json:"device_lists"`
	To    struct {
		Events []struct{ Content struct{ ID string } }
	} `json:"to_device"`
	Rooms struct {
		Join map[string]struct {
			Timeline struct{ Events []mx.Event }
		}
		Invite map[string]json.RawMessage
		Leave  map[string]json.RawMessage
	}
}

// listen syncs until its context ends, and asks for the keys of whom it is told that they changed.
func (p *soul) listen(ctx context.Context) {
	for ctx.Err() == nil {
		var s heard
		q := url.Values{"timeout": {"1000"}, "filter": {`{"room":{"timeline":{"limit":100}}}`}}
		if p.since != "" {
			q.Set("since", p.since)
		}
		if err := p.Do(ctx, "GET", "/_matrix/client/v3/sync?"+q.Encode(), nil, &s); err != nil {
			rest(ctx)
			continue
		}
		if p.since == "" { // Why: a first sync names nobody, since everything is new
			p.dirty = maps.Clone(p.others)
		}
		p.take(&s)
		p.ask(ctx)
	}
}

// rest is for who asked a server that is down.
func rest(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(50 * time.Millisecond):
	}
}

// take remembers what a sync tells.
func (p *soul) take(s *heard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since = s.Next
	for _, e := range s.To.Events {
		p.got[e.Content.ID]++
	}
	for _, u := range s.Lists.Changed {
		p.dirty[u] = true
	}
	for _, u := range s.Lists.Left {
		delete(p.dirty, u)
		delete(p.keys, u)
	}
	for id, r := range s.Rooms.Join {
		delete(p.invited, id)
		for _, e := range r.Timeline.Events {
			if key := id + " " + e.ID; p.seen[key] {
				p.twice = append(p.twice, key)
			} else {
				p.seen[key] = true
			}
		}
	}
	for id := range s.Rooms.Leave {
		delete(p.invited, id)
	}
	for id := range s.Rooms.Invite {
		p.invited[id] = true
	}
}

// ask asks for the keys of those who changed. Who cannot be reached is asked again.
func (p *soul) ask(ctx context.Context) {
	p.mu.Lock()
	asked := map[string][]string{}
	for u := range p.dirty {
		asked[u] = []string{}
	}
	p.mu.Unlock()
	if len(asked) == 0 {
		return
	}
	found, failed, err := queryKeys(ctx, p.Client, asked)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for u := range asked {
		if !failed[string(server(u))] {
			p.keys[u] = found[u]
			delete(p.dirty, u)
		}
	}
}

// queryKeys gives what a server says of keys, in one text for each user.
func queryKeys(ctx context.Context, c *mx.Client, asked map[string][]string) (map[string]json.RawMessage, map[string]bool, error) {
	var a struct {
		Devices  map[string]map[string]map[string]any `json:"device_keys"`
		Master   map[string]any                       `json:"master_keys"`
		Self     map[string]any                       `json:"self_signing_keys"`
		Failures map[string]json.RawMessage
	}
	if err := c.Do(ctx, "POST", "/_matrix/client/v3/keys/query", map[string]any{"device_keys": asked}, &a); err != nil {
		return nil, nil, err
	}
	out, failed := map[string]json.RawMessage{}, map[string]bool{}
	for u := range asked {
		for _, d := range a.Devices[u] {
			delete(d, "unsigned") // what a device is called is not told to others
		}
		raw, err := json.Marshal([]any{a.Devices[u], a.Master[u], a.Self[u]}) // whose keys are sorted
		if err != nil {
			return nil, nil, err
		}
		out[u] = raw
	}
	for s := range a.Failures {
		failed[s] = true
	}
	return out, failed, nil
}

// uploadKeys publishes the identity of a device.
func (p *soul) uploadKeys(ctx context.Context, token, device string, n int) error {
	c := &mx.Client{URL: p.URL, Token: token}
	return c.Do(ctx, "POST", "/_matrix/client/v3/keys/upload", map[string]any{"device_keys": map[string]any{
		"user_id": p.UserID, "device_id": device, "algorithms": []string{"m.olm.v1.curve25519-aes-sha2"},
		"keys":       map[string]string{"ed25519:" + device: fmt.Sprintf("key%d", n)},
		"signatures": map[string]any{p.UserID: map[string]string{"ed25519:" + device: "c2ln"}}}}, nil)
}

// surely repeats a request until its server has answered.
func surely(ctx context.Context, act func() error) error {
	for {
		err := act()
		var refused *mx.Error
		if err == nil || errors.As(err, &refused) && refused.Status < 500 || ctx.Err() != nil {
			return err
		}
		rest(ctx)
	}
}
