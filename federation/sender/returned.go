package sender

import (
	"context"
	"time"

	"rempart/internal/matrix"
)

// Bounds of what is done about servers that return or took something.
const (
	maxReturned    = 256 // that wait
	returnedAtOnce = 4
	askedAgain     = time.Second // between two servers that are asked what they know of one room
	asksPerTick    = 5
	maxAskedRooms  = 10_000
)

// greeted is a server that is there, and the rooms of which it took something; none: it has returned.
type greeted struct {
	server matrix.ServerName
	rooms  []int64
}

// returned notes that a server is there again. Of very many at once some are passed over: they will speak for themselves.
func (p *dispatch) returned(server matrix.ServerName) {
	if p.Returned == nil {
		return
	}
	select {
	case p.back <- greeted{server: server}:
	default:
	}
}

// reached notes that a server took events of rooms. Of all to whom an event goes the first is taken: each knows what was said in the room.
func (p *dispatch) reached(d *destination, rooms []int64) {
	if p.Reached == nil || p.asks == 0 || p.within(d) {
		return
	}
	now := p.Clock()
	var anew []int64
	for _, room := range rooms {
		if now.Sub(p.asked[room]) >= askedAgain {
			if len(p.asked) >= maxAskedRooms {
				clear(p.asked)
			}
			p.asked[room] = now
			anew = append(anew, room)
		}
	}
	if len(anew) == 0 {
		return
	}
	p.asks--
	select {
	case p.back <- greeted{d.Server, anew}:
	default:
	}
}

// greet asks servers that are there for what happened meanwhile, until the context ends.
func (s *Sender) greet(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case g := <-s.back:
			if g.rooms == nil {
				s.Returned(ctx, g.server)
			} else {
				s.Reached(ctx, g.server, g.rooms)
			}
		}
	}
}
