package pushers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"rempart/core"
	"rempart/storage"
)

// task is one request to be made: about an event, or about the count alone.
type task struct {
	p     *pusher
	nid   int64
	user  int64
	setAt int64
	told  int64
	url   string
	gate  *gate
	// about is the event; nil when only the count is told. retrying says that it was tried before, or waited.
	about *item
}

// result is how a task ended.
type result struct {
	task
	// sent says that a request was made and taken; count is what it told to be unread.
	sent  bool
	count int64
	// gone says that the pusher is not there any more, rejected that its gateway does not want it.
	gone, rejected bool
	// err is why the gateway did not take it; fatal what is wrong with ourselves.
	err, fatal error
}

// start makes requests for pushers that are ready, as many as may be under way.
func (d *dispatch) start(ctx, calls context.Context) error {
	now := d.Clock().UnixMilli()
	todo := d.ready
	d.ready = nil
	for i, p := range todo {
		if d.underWay >= maxUnderWay {
			d.ready = append(d.ready, todo[i:]...)
			return nil
		}
		if p.gone || p.inFlight || p.idle() || p.since != 0 && p.retry > now {
			p.marked = false
			continue
		}
		if !p.gate.open(now) {
			p.gate.waiting = append(p.gate.waiting, p)
			continue
		}
		p.marked = false
		if p.lost && len(p.queue) == 0 {
			if err := d.catchUp(ctx, p); err != nil {
				return err
			}
			if p.idle() {
				continue
			}
		}
		d.launch(calls, p)
	}
	return nil
}

// launch makes one request.
func (d *dispatch) launch(calls context.Context, p *pusher) {
	t := task{p: p, nid: p.nid, user: p.user, setAt: p.setAt, told: p.told, url: p.gate.url, gate: p.gate}
	if len(p.queue) > 0 {
		it := p.queue[0]
		t.about = &it
	} else if p.lost {
		d.mark(p) // nothing of what was read concerns him; there is more
		d.more = true
		return
	}
	p.inFlight, p.count = true, false
	d.underWay++
	t.gate.underWay++
	d.wg.Go(func() { d.results <- d.tell(calls, t) })
}

// finished takes in how a request ended, and lets the next one through.
func (d *dispatch) finished(r result) error {
	p, now := r.p, d.Clock()
	d.underWay--
	r.gate.underWay--
	p.inFlight = false
	if r.fatal != nil {
		return r.fatal
	}
	d.count(&r)
	switch {
	case r.gone:
		p.gone = true
	case r.rejected && r.setAt != p.setAt: // it is another one by now, and not told yet
	case r.rejected:
		d.Log.Info("a push gateway rejects a pusher: it is removed", "gateway", r.gate.host)
		p.gone = true
		d.rejected = append(d.rejected, r)
	case r.err == nil:
		d.advance(r)
	default:
		d.failed(r)
	}
	if !p.idle() {
		d.mark(p)
	}
	d.release(r.gate, now.UnixMilli())
	return nil
}

// advance notes that a pusher was told something, or need not be.
func (d *dispatch) advance(r result) {
	p := r.p
	d.active = true
	d.unsaved[p] = true
	if r.about != nil && len(p.queue) > 0 && p.queue[0].pos == r.about.pos {
		p.done = r.about.pos
		if p.queue = p.queue[1:]; len(p.queue) == 0 {
			p.queue = nil
		}
	}
	if !r.sent {
		return
	}
	p.told, p.success = r.count, d.Clock().UnixMilli()
	p.since, p.retry, p.reason = 0, 0, ""
	if r.gate.since != 0 {
		d.Log.Info("a push gateway is back", "gateway", r.gate.host)
		r.gate.since, r.gate.retry = 0, 0
	}
}

// failed leaves a gateway alone for a while, or a single pusher whose notification it does not like.
func (d *dispatch) failed(r result) {
	p, now := r.p, d.Clock()
	p.count = p.count || r.about == nil
	d.unsaved[p] = true
	if p.gate.shut {
		return // it waits for another policy, and was cut off by this one
	}
	if p.since == 0 {
		p.since = now.UnixMilli()
	}
	if p.reason = r.err.Error(); len(p.reason) > 300 {
		p.reason = p.reason[:300]
	}
	var answer *core.GatewayError
	if isAnswer := errors.As(r.err, &answer); !isAnswer || !ownFault(answer.Status) {
		if r.gate.since == 0 {
			d.Log.Warn("a push gateway cannot be reached", "gateway", r.gate.host, "error", r.err)
		}
		p.retry = 0
		after := shortestPause
		if isAnswer {
			after = max(after, answer.RetryAfter)
		}
		r.gate.failed(now, after)
		return
	}
	p.retry = now.Add(backOff(now.Sub(timeOf(p.since)))).UnixMilli()
	if now.Sub(timeOf(p.since)) > givenUp {
		// Why: a notification that a gateway never takes would keep everything behind it.
		d.Log.Error("a push gateway does not take a notification: it is left out", "gateway", r.gate.host, "error", r.err)
		d.advance(r)
		p.since, p.retry = 0, 0
	}
}

// ownFault reports whether a status speaks of what was sent rather than of the gateway.
func ownFault(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// catchUp reads what a pusher missed.
func (d *dispatch) catchUp(ctx context.Context, p *pusher) error {
	events, err := d.DB.ListPushEventsOf(ctx, p.user, p.done, d.pos, maxQueue)
	if err != nil {
		return err
	}
	invites, err := d.DB.ListPushInvitesOf(ctx, p.user, p.done, d.pos, maxQueue)
	if err != nil {
		return err
	}
	upto := d.pos
	for _, list := range [][]storage.PushChange{events, invites} {
		if len(list) == maxQueue {
			upto = min(upto, list[maxQueue-1].Pos)
		}
	}
	all := append(events, invites...)
	slices.SortFunc(all, func(a, b storage.PushChange) int { return cmp.Compare(a.Pos, b.Pos) })
	p.lost = false
	for i := range all {
		c := &all[i]
		if c.Pos > upto {
			break
		}
		it := item{pos: c.Pos, event: c.Event, room: c.Room, thread: c.Thread, invite: c.Kind == storage.KindMembership}
		if !it.invite {
			hits, err := d.hits(ctx, c)
			if err != nil {
				return err
			}
			var notify bool
			if it.highlight, notify = hits.outcome(p.user, c.Flags); !notify {
				continue
			}
		}
		p.queue = append(p.queue, it)
	}
	p.lost = upto < d.pos
	if len(p.queue) == 0 {
		p.done = upto
	}
	d.badges.touchAll(p.user)
	d.unsaved[p] = true
	return nil
}
