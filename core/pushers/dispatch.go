package pushers

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"rempart/storage"
)

// dispatch is the service while it holds the lease. Only its own goroutine touches it, but for badges.
type dispatch struct {
	*Service
	users    map[int64][]*pusher
	gates    map[[2]string]*gate
	audience map[int64][]int64 // users with pushers, by room
	kept     int               // pairs in audience
	badges   *badges

	pos, saved int64 // how far the stream was read, and how far that is stored
	more       bool  // there is more to read
	ready      []*pusher
	results    chan result
	underWay   int
	unsaved    map[*pusher]bool // whose rows may have to be written, and all that fail
	active     bool             // somebody was told something, or is to be
	rejected   []result
}

func newDispatch(s *Service) *dispatch {
	return &dispatch{Service: s, users: map[int64][]*pusher{}, gates: map[[2]string]*gate{}, audience: map[int64][]int64{},
		badges: newBadges(s), results: make(chan result, maxUnderWay), unsaved: map[*pusher]bool{}}
}

// run tells until the context ends, the lease is lost or the database fails. It returns when nothing is under way any more.
func (d *dispatch) run(ctx context.Context) (err error) {
	calls, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		for ; d.underWay > 0; d.underWay-- {
			if r := <-d.results; r.err == nil { // Why: what has arrived need not be told again
				d.advance(r)
			}
		}
		if err == nil || ctx.Err() != nil {
			d.lastWords(context.WithoutCancel(ctx))
		}
	}()
	if err := d.load(ctx); err != nil {
		return fmt.Errorf("read pushers: %w", err)
	}
	tick := time.NewTicker(savesWithin)
	defer tick.Stop()
	for {
		if err := d.step(ctx, calls); err != nil {
			return err
		}
		if d.more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
		case r := <-d.results:
			if err := d.finished(r); err != nil {
				return err
			}
		case <-tick.C:
			d.due()
			d.survey()
			if err := d.save(ctx); err != nil {
				return err
			}
			if err := d.lease.Renew(ctx); err != nil {
				return err
			}
		}
	}
}

// load reads all pushers and where they stand.
func (d *dispatch) load(ctx context.Context) error {
	d.news() // what was heard before is in the database
	if err := d.DB.PrunePusherProgress(ctx); err != nil {
		return err
	}
	head := d.DB.Position()
	cursor, err := d.DB.FindPushCursor(ctx)
	if err != nil {
		return err
	}
	rows, err := d.DB.ListActivePushers(ctx, 0)
	if err != nil {
		return err
	}
	first := head
	for i := range rows {
		p := d.enter(ctx, &rows[i])
		p.done = max(rows[i].Pos, rows[i].Behind)
		p.behind, p.stored = rows[i].Behind, rows[i].Since
		if p.lost = p.behind != 0; p.lost {
			d.unsaved[p] = true
			d.mark(p)
			continue
		}
		first = min(first, p.done)
	}
	d.pos = max(min(cursor, head), first)
	d.saved, d.more = cursor, true
	return nil
}

// enter takes in a pusher.
func (d *dispatch) enter(ctx context.Context, row *storage.ActivePusher) *pusher {
	p := &pusher{nid: row.NID, user: row.User, gate: d.gate(ctx, row.URL, row.AppID), setAt: row.SetAt, told: -1, since: row.Since, retry: row.Retry,
		success: row.Success, reason: row.Reason}
	d.users[p.user] = append(d.users[p.user], p)
	d.compare(p, map[News]bool{})
	return p
}

func (d *dispatch) gate(ctx context.Context, address, app string) *gate {
	key := [2]string{address, app}
	g := d.gates[key]
	if g == nil {
		g = &gate{url: address, app: app, host: hostOf(address)}
		d.judge(ctx, g)
		d.gates[key] = g
	}
	return g
}

// hostOf is the host of a gateway's address, "" when it has none.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// judge asks whether a gateway may be told anything. Requests that are under way are ended by the way out.
func (d *dispatch) judge(ctx context.Context, g *gate) {
	err := d.Gateway.Admit(ctx, g.url)
	if shut := err != nil; shut != g.shut {
		g.shut = shut
		d.Log.Warn("the policy decides otherwise about a push gateway", "gateway", g.host, "refused", shut, "error", err)
	}
}

// step does all that can be done now.
func (d *dispatch) step(ctx, calls context.Context) error {
	n := d.news()
	if n.all {
		for user := range d.users {
			n.changed[user] = true
		}
	}
	if n.rejudge {
		d.judgeAll(ctx)
	}
	for user := range n.changed {
		if err := d.reload(ctx, user); err != nil {
			return err
		}
	}
	if n.moved || d.more {
		if err := d.fanOut(ctx, n.upto); err != nil {
			return err
		}
	}
	return d.start(ctx, calls)
}

// reload reads a user's pushers again.
func (d *dispatch) reload(ctx context.Context, user int64) error {
	rows, err := d.DB.ListActivePushers(ctx, user)
	if err != nil {
		return err
	}
	had := map[int64]*pusher{}
	for _, p := range d.users[user] {
		p.gone = true
		had[p.nid] = p
	}
	delete(d.users, user)
	for i := range rows {
		row := &rows[i]
		p := had[row.NID]
		if p == nil {
			p = d.enter(ctx, row)
			p.done = row.Pos
			if p.lost = row.Pos < d.pos; p.lost {
				d.mark(p)
			}
			continue
		}
		d.users[user] = append(d.users[user], p)
		p.gone = false
		d.redirect(p, d.gate(ctx, row.URL, row.AppID))
		if p.setAt != row.SetAt { // it is there again: no reason to wait
			p.setAt, p.retry, p.count = row.SetAt, 0, true
			d.mark(p)
		}
	}
	if len(had) == 0 && len(rows) > 0 {
		d.forgetAudiences() // of no room is known that he is in it
	}
	return nil
}

// redirect gives a pusher the gateway at which it is told from now on. What the former one did says nothing about that.
func (d *dispatch) redirect(p *pusher, to *gate) {
	if p.gate == to {
		return
	}
	if i := slices.Index(p.gate.waiting, p); i >= 0 {
		p.gate.waiting, p.marked = slices.Delete(p.gate.waiting, i, i+1), false
	}
	p.gate, p.since, p.retry, p.reason = to, 0, 0, ""
	d.unsaved[p] = true
	d.mark(p)
}

// mark notes that a pusher may have something to be told.
func (d *dispatch) mark(p *pusher) {
	if !p.marked && !p.inFlight && !p.gone {
		p.marked = true
		d.ready = append(d.ready, p)
	}
}

// due marks what is to be tried again.
func (d *dispatch) due() {
	now := d.Clock().UnixMilli()
	for key, g := range d.gates {
		d.release(g, now)
		if g.underWay == 0 && len(g.waiting) == 0 && g.since == 0 && len(d.gates) > 1000 {
			delete(d.gates, key) // it is made anew when it is needed
		}
	}
	for p := range d.unsaved {
		if p.since != 0 && p.retry <= now && !p.idle() {
			d.mark(p)
		}
	}
}

// release lets waiting pushers through a gate, as many as it has room for.
func (d *dispatch) release(g *gate, now int64) {
	if len(g.waiting) == 0 || !g.open(now) {
		return
	}
	n := maxGate - g.underWay
	if g.since != 0 {
		n = 1
	}
	n = min(n, len(g.waiting))
	d.ready = append(d.ready, g.waiting[:n]...)
	if g.waiting = g.waiting[n:]; len(g.waiting) == 0 {
		g.waiting = nil
	}
}
