package pushers

import (
	"time"

	"rempart/storage"
)

// item is something that a pusher is to be told.
type item struct {
	pos, event, room, thread int64
	at                       int64 // when it was queued, in milliseconds; 0: long ago, perhaps
	invite                   bool
	highlight                bool // by the event's stored outcome
}

// pusher is a pusher as the goroutine that owns all of them knows it.
type pusher struct {
	nid, user int64
	gate      *gate
	setAt     int64
	// done is the position up to which it has been told everything that is not in queue.
	done int64
	// queue is what is to be told next; lost says that further things are in the database only.
	queue []item
	lost  bool
	// count says that the number of unread messages may have changed; told is the last that was told, -1 unknown.
	count bool
	told  int64

	inFlight, marked, gone bool
	// behind is its stored place, 0 when that is the common cursor; stored is since, as it is stored.
	behind, stored int64
	since, retry   int64
	success        int64
	reason         string
}

// gate is a gateway as an application uses it. All its pushers wait while it fails.
type gate struct {
	url, app     string
	host         string // for the log: what else the url says is the user's
	underWay     int
	since, retry int64 // milliseconds; since 0: it does not fail
	waiting      []*pusher
	shut         bool // the policy refuses it
}

// failed leaves the gateway alone for a while.
func (g *gate) failed(now time.Time, atLeast time.Duration) {
	if g.since == 0 {
		g.since = now.UnixMilli()
	}
	if g.retry > now.UnixMilli() {
		return // one of those under way when it began to fail
	}
	g.retry = now.Add(max(backOff(now.Sub(time.UnixMilli(g.since))), atLeast)).UnixMilli()
}

// open reports whether another request may go to the gateway: one while it fails, to see whether it is back.
func (g *gate) open(now int64) bool {
	if g.shut {
		return false
	}
	if g.since != 0 {
		return g.retry <= now && g.underWay == 0
	}
	return g.underWay < maxGate
}

// push queues an item. A queue that is full forgets it: it will be read again.
func (p *pusher) push(it item) {
	if it.pos <= p.done || !p.lost && len(p.queue) > 0 && it.pos <= p.queue[len(p.queue)-1].pos {
		return // it was told, or is queued
	}
	if p.lost || len(p.queue) >= maxQueue {
		p.lost = true
		return
	}
	p.queue = append(p.queue, it)
}

// idle reports whether there is nothing to tell.
func (p *pusher) idle() bool { return len(p.queue) == 0 && !p.lost && !p.count }

// waits reports whether there are events that it has not been told of.
func (p *pusher) waits() bool { return len(p.queue) > 0 || p.lost }

// place is where it stands: 0 with the common cursor.
func (p *pusher) place() int64 {
	if p.waits() {
		return max(p.done, 1)
	}
	return 0
}

// progress is what is kept of a pusher.
func (p *pusher) progress() *storage.PusherProgressRow {
	return &storage.PusherProgressRow{PusherProgress: storage.PusherProgress{
		Pusher: p.nid, Behind: p.place(), Since: p.since, Retry: p.retry, Success: p.success, Reason: p.reason}}
}
