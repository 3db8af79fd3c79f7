package main

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"rempart/internal/egress"
	"rempart/internal/matrix"
)

// maxPlaces bounds the servers whose last address is kept in mind.
const maxPlaces = 20_000

// places are the addresses at which other servers were last dialled, or would have been: what is known of where they are. It may be
// used concurrently. Only our own dials count, never where a request claims to come from.
type places struct {
	moves atomic.Uint32 // how often one became admissible, or ceased to be
	mu    sync.RWMutex
	known map[matrix.ServerName]whereabouts
	moved map[matrix.ServerName]bool // of which that is not kept yet
}

type whereabouts struct {
	addr netip.AddrPort
	ok   bool
}

// of is the last address of a server; the zero value when it is not known.
func (p *places) of(server matrix.ServerName) netip.AddrPort {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.known[server].addr
}

// note keeps where a server was found, and whether that was admitted.
func (p *places) note(i *egress.Intent, ok bool) {
	if i.Kind != egress.Federation || i.Server == "" || !i.Addr.IsValid() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old, known := p.known[i.Server]
	if known && old.ok == ok && old.addr == i.Addr {
		return
	}
	if p.known == nil || len(p.known) >= maxPlaces {
		p.known = map[matrix.ServerName]whereabouts{}
	}
	p.known[i.Server] = whereabouts{i.Addr, ok}
	if p.moved == nil {
		p.moved = map[matrix.ServerName]bool{}
	}
	p.moved[i.Server] = true
	if known && old.ok != ok || !known && !ok {
		p.moves.Add(1)
	}
}

// refused are the servers whose last address was not admitted.
func (p *places) refused() []matrix.ServerName {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out []matrix.ServerName
	for name, w := range p.known {
		if !w.ok {
			out = append(out, name)
		}
	}
	return out
}
