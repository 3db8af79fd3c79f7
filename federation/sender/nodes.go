package sender

import (
	"context"
	"encoding/json"
	"time"

	"rempart/core"
	"rempart/internal/matrix"
)

// What a node that does not hold the lease hears is handed to the one that does, as an ephemeral message between nodes: it is lost
// when nobody holds the lease at that moment, as what is ephemeral may be.

// signalKind begins the messages between nodes that are the sender's.
const signalKind = 'F'

// Bounds of what is handed over.
const (
	signalRoom   = 5000            // bytes of one message between nodes
	heardAgain   = 5 * time.Second // so often the holder is told that a server speaks to us
	maxHeardLast = 10_000
)

// handed is a message between nodes: an ephemeral message for other servers, or that some of them spoke to us.
type handed struct {
	From  matrix.ServerName   `json:"f,omitempty"`
	To    []matrix.ServerName `json:"t,omitempty"`
	Key   string              `json:"k,omitempty"`
	EDU   *core.EDU           `json:"e,omitempty"`
	Heard matrix.ServerName   `json:"h,omitempty"`
}

// handOver tells the node that holds the lease. What does not fit is told in parts, each for some of the servers; a message that does not
// fit at all is lost.
func (s *Sender) handOver(h handed) {
	raw, err := json.Marshal(h)
	switch {
	case err != nil:
		s.Log.Error("hand over to the sending node", "error", err)
	case len(raw) >= signalRoom && len(h.To) > 1:
		half := len(h.To) / 2
		first, second := h, h
		first.To, second.To = h.To[:half], h.To[half:]
		s.handOver(first)
		s.handOver(second)
	case len(raw) < signalRoom:
		if err := s.DB.Broadcast(context.Background(), append([]byte{signalKind}, raw...)); err != nil {
			s.Log.Warn("hand over to the sending node", "error", err)
		}
	}
}

// signalled takes what another node hands over.
func (s *Sender) signalled(payload []byte) {
	if len(payload) == 0 || payload[0] != signalKind || !s.isHolding() {
		return
	}
	var h handed
	if json.Unmarshal(payload[1:], &h) != nil {
		return
	}
	if h.Heard != "" {
		s.Heard(h.Heard)
	}
	if h.EDU != nil {
		s.Tell(h.From, h.To, h.Key, *h.EDU)
	}
}

func (s *Sender) isHolding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holding
}

// hold notes whether this node sends. What is ephemeral is not kept for later.
func (s *Sender) hold(holding bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holding = holding; !holding {
		s.stats.destinations.Store(0)
		s.stats.failing.Store(0)
		s.stats.due.Store(0)
		s.ephemeral = nil
		clear(s.heard)
	}
}

// heardElsewhere tells the holder of the lease that a server spoke to this node, now and then; mu is held.
func (s *Sender) heardElsewhere(server matrix.ServerName) bool {
	now := s.Clock()
	if now.Sub(s.heardLast[server]) < heardAgain {
		return false
	}
	if len(s.heardLast) >= maxHeardLast || s.heardLast == nil {
		s.heardLast = map[matrix.ServerName]time.Time{}
	}
	s.heardLast[server] = now
	return true
}
