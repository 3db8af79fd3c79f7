package sender

import (
	"context"
	"time"

	"rempart/internal/egress"
	"rempart/internal/matrix"
)

// Bounds of looking whether servers that could not be reached are there again. Those for whom there is no room wait for the next second.
const (
	lookPause     = 7 * time.Second // between looks at one, so that its return is seen within ten seconds
	maxLooking    = 64              // at once
	looksPerTick  = 100
	watchAtLeast  = time.Minute // so long one watch is kept, then where the server is is found out again
	watchTime     = 15 * time.Second
	looksAreWorth = calmPause // who has failed for less is tried at once
)

// look is a look at a destination and how it ended.
type look struct {
	d     *destination
	watch *egress.Watch // nil when it is over
	there bool
	err   error
}

// retry has a destination whose time has come tried again. Who has failed for some time is looked at first: that costs neither a signature
// nor an entry in the record, so that it can be done often.
func (p *dispatch) retry(d *destination, now time.Time) {
	failing := now.Sub(time.UnixMilli(d.Since))
	switch {
	case d.inFlight || d.looking:
	case failing < looksAreWorth || d.there || p.within(d):
		p.mark(d)
	case p.looking < maxLooking && p.looks > 0:
		p.looks--
		p.looking++
		d.looking = true
		watch := d.watch
		if watch != nil && now.After(d.anew) {
			watch.End()
			watch = nil
		}
		if watch == nil {
			d.anew = now.Add(min(max(failing/30, watchAtLeast), longestPause))
		}
		d.watch = nil
		p.crew.do(func() { p.looked <- p.lookAt(d.Origin, d.Server, look{d: d, watch: watch}) })
	}
}

// lookAt looks whether a server takes connections.
func (p *dispatch) lookAt(from, to matrix.ServerName, l look) look {
	ctx, cancel := context.WithTimeout(p.calls, watchTime)
	defer cancel()
	if l.watch == nil {
		if l.watch, l.err = p.Client.Watch(ctx, from, to); l.err != nil {
			return l
		}
	}
	if l.there, l.err = l.watch.Look(ctx); l.err != nil {
		l.watch.End()
		l.watch = nil
	}
	return l
}

// lookEnded takes in a look. Who is there is told at the next tick.
// Why not at once: there are many who take connections and stay silent all the same; what is stored to ask all of them again is one commit a second.
func (p *dispatch) lookEnded(l look) {
	d, now := l.d, p.Clock()
	p.looking--
	d.looking = false
	if d.watch = l.watch; d.Since == 0 {
		d.unwatch()
		return
	}
	switch {
	case d.inFlight:
	case l.there:
		d.Retry, d.there = 0, true
	case l.watch == nil:
		d.Retry = now.Add(backOff(now.Sub(time.UnixMilli(d.Since)))).UnixMilli()
	default:
		d.Retry = now.Add(lookPause).UnixMilli()
	}
}

// unwatch ends the watch over a destination.
func (d *destination) unwatch() {
	if d.watch != nil {
		d.watch.End()
		d.watch = nil
	}
}

// endWatches waits for looks under way and ends all watches.
func (p *dispatch) endWatches() {
	for ; p.looking > 0; p.looking-- {
		l := <-p.looked
		l.d.watch = l.watch
	}
	for _, d := range p.dests {
		d.unwatch()
	}
}
