package search

import (
	"rempart/internal/matrix"
)

// Group is the part of a page's results that share a room or a sender.
type Group struct {
	// Order is the place of the group among the others: that of its first result.
	Order   int
	Results []matrix.EventID
	Next    *Token
}

// ByRoom and BySender name what results may be grouped by.
const (
	ByRoom   = "room_id"
	BySender = "sender"
)

// Groups divides the page's results.
func (p *Page) Groups(by string) map[string]*Group {
	out := map[string]*Group{}
	for _, f := range p.Results {
		g := out[f.key(by)]
		if g == nil {
			g = &Group{Order: len(out) + 1, Next: p.nextOf(f, by)}
			out[f.key(by)] = g
		}
		g.Results = append(g.Results, f.Event.ID)
	}
	return out
}

func (f *Found) key(by string) string {
	if by == BySender {
		return string(f.Event.Sender)
	}
	return string(f.Room.ID())
}

// nextOf is where the further results of a group start; nil when the page has its last one.
func (p *Page) nextOf(f Found, by string) *Token {
	if p.Next == nil {
		return nil
	}
	next := Token{Before: p.Next.Before, Room: p.from.Room, Sender: p.from.Sender}
	if by == BySender {
		next.Sender = f.Event.Row.Sender
	} else {
		next.Room = f.Event.Row.Room
	}
	if p.end < len(p.sorted) {
		for i := range p.end {
			if h := &p.sorted[i]; by == BySender && h.Sender == f.Event.Row.Sender || by == ByRoom && h.Room == f.Event.Row.Room {
				next.Offset++
			}
		}
	}
	return &next
}
