package egress

import (
	"net/http"
	"sync"
)

// pools keeps one pool of connections a kind. A pool belongs to one generation of the judge: after Renew there are fresh ones.
type pools struct {
	mu     sync.Mutex
	byKind map[Kind]*http.Transport
}

// pooled makes requests by the pool that its kind has at the moment.
type pooled struct {
	e    *Egress
	kind Kind
}

// RoundTrip implements [http.RoundTripper].
func (p pooled) RoundTrip(req *http.Request) (*http.Response, error) {
	return p.e.pools.of(p.e, p.kind).RoundTrip(req)
}

// CloseIdleConnections closes what nobody uses.
func (p pooled) CloseIdleConnections() { p.e.pools.of(p.e, p.kind).CloseIdleConnections() }

func (p *pools) of(e *Egress, kind Kind) *http.Transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.byKind[kind]
	if t == nil {
		if p.byKind == nil {
			p.byKind = map[Kind]*http.Transport{}
		}
		t = e.transport(kind)
		p.byKind[kind] = t
	}
	return t
}

// renew begins fresh pools. A pool that was told to close what is idle also closes each connection once its request is done.
func (p *pools) renew() {
	p.mu.Lock()
	old := p.byKind
	p.byKind = nil
	p.mu.Unlock()
	for _, t := range old {
		t.CloseIdleConnections()
	}
}

func (p *pools) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.byKind {
		t.CloseIdleConnections()
	}
}
