package sender

import (
	"context"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// pair names a destination: which of our servers speaks to which other one.
type pair struct{ from, to matrix.ServerName }

// dispatch is the sender while it holds the lease. Only its own goroutine touches it.
type dispatch struct {
	*Sender
	dests map[pair]*destination
	sets  map[string]*storage.ServerSet
	// pos, part are how far the outbox was read.
	pos, part int64
	results   chan []result
	underWay  int
	failing   int // of those under way
	ready     []*destination
	news      chan struct{}         // closed, and made anew, when there is something new to send
	unsaved   map[*destination]bool // whose rows are to be written
	pruned    time.Time
	pruneAt   int64
	saved     time.Time // when all of unsaved was written
	// waves are those stored, fresh those of this step by what they say, all of whom have the time ts.
	waves []*wave
	fresh map[string]*wave
	ts    int64
	early *time.Timer // for retries before the next tick
	// looks are how many more may begin before the next tick, looking those under way.
	looks, looking int
	looked         chan look
	calls          context.Context //nolint:containedctx // Why: it is that of all that is under way, and ends with run
	// asked is when somebody was last asked about rooms in which he took something, asks how many more may be before the next tick.
	asked map[int64]time.Time
	asks  int
	// held is what was held back and is not stored yet; frozen are the rooms of which something is.
	held   []*storage.HeldRow
	frozen map[int64]bool
}

func newDispatch(s *Sender) *dispatch {
	return &dispatch{Sender: s, dests: map[pair]*destination{}, sets: map[string]*storage.ServerSet{},
		results: make(chan []result, maxUnderWay), news: make(chan struct{}), unsaved: map[*destination]bool{}, fresh: map[string]*wave{}, early: time.NewTimer(savesWithin),
		looked: make(chan look, maxLooking), asked: map[int64]time.Time{}, asks: asksPerTick, looks: looksPerTick,
		frozen: map[int64]bool{}}
}

// run sends until the context ends, the lease is lost or the database fails. It returns when nothing is under way any more.
func (p *dispatch) run(ctx context.Context) (err error) {
	calls, stop := context.WithCancel(ctx)
	p.calls = calls
	defer func() {
		stop()
		p.endWatches()
		for p.underWay > 0 {
			for _, r := range <-p.results {
				if p.underWay--; r.err == nil { // Why: what has arrived need not be sent again
					p.arrived(r.d)
				}
			}
		}
		if err == nil || ctx.Err() != nil {
			p.lastWords(context.WithoutCancel(ctx))
		}
	}()
	if err := p.load(ctx); err != nil {
		return err
	}
	if p.Began != nil {
		p.crew.do(func() { p.Began(calls) })
	}
	tick := time.NewTicker(savesWithin)
	defer tick.Stop()
	defer p.early.Stop()
	for {
		if err := p.step(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case list := <-p.results:
			p.finished(list)
			p.more()
		case l := <-p.looked:
			p.lookEnded(l)
			p.more()
		case <-p.early.C:
			p.due() //nolint:contextcheck // what it begins ends with p.calls
		case <-tick.C:
			p.looks, p.asks = looksPerTick, asksPerTick
			p.due() //nolint:contextcheck // what it begins ends with p.calls
			p.measure()
			if err := p.release(ctx); err != nil {
				return err
			}
			if err := p.lease.Renew(ctx); err != nil {
				return err
			}
		}
	}
}

// more takes the further results that are there, so that what they lead to is stored at once.
func (p *dispatch) more() {
	for {
		select {
		case list := <-p.results:
			p.finished(list)
		case l := <-p.looked:
			p.lookEnded(l)
		default:
			return
		}
	}
}

// lastWords saves what has arrived and gives the lease back.
func (p *dispatch) lastWords(ctx context.Context) {
	c := &storage.Change{}
	c.Guard(p.lease.Held(), p.lease.Release())
	p.writeAll(c)
	if err := p.DB.Commit(ctx, c); err != nil {
		p.Log.Warn("save how far other servers were told", "error", err)
	}
}

// load reads where all destinations stand. The outbox is read from its beginning: it holds no more than what somebody waits for.
func (p *dispatch) load(ctx context.Context) error {
	list, err := p.DB.ListDestinations(ctx)
	for i := range list {
		p.dests[pair{list[i].Origin, list[i].Server}] = newDestination(list[i])
	}
	if err == nil {
		err = p.boardWaves(ctx)
	}
	if err == nil {
		err = p.loadHeld(ctx)
	}
	for _, d := range p.dests {
		d.queued = max(d.Pos, d.FlightPos)
		d.read = d.queued
		p.mark(d)
	}
	p.mu.Lock()
	p.moved, p.lists = true, true
	p.mu.Unlock()
	return err
}

// step does all that can be done now.
func (p *dispatch) step(ctx context.Context) error {
	if err := p.announce(ctx); err != nil {
		return err
	}
	if err := p.fanOut(ctx); err != nil {
		return err
	}
	p.takeHeard()
	p.takeEphemeral()
	return p.start(ctx)
}

// announce puts what changed in device lists into the outbox.
func (p *dispatch) announce(ctx context.Context) error {
	p.mu.Lock()
	lists, upto := p.lists, max(p.upto, p.DB.Position())
	p.lists = false
	p.mu.Unlock()
	if !lists || p.Announce == nil {
		return nil
	}
	return p.Announce(ctx, upto)
}

// fanOut reads new outbox rows and queues them where they are to go.
func (p *dispatch) fanOut(ctx context.Context) error {
	p.mu.Lock()
	moved, upto := p.moved, max(p.upto, p.DB.Position())
	p.moved = false
	p.mu.Unlock()
	for moved {
		rows, err := p.DB.ListOutbox(ctx, p.pos, p.part, upto, pageSize)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := p.spread(ctx, row); err != nil {
				return err
			}
			p.pos, p.part = row.Pos, row.Part
		}
		if len(rows) > 0 {
			p.hurry()
		}
		moved = len(rows) == pageSize
	}
	return nil
}

// spread queues one row for each of its targets.
func (p *dispatch) spread(ctx context.Context, row *storage.OutboxRow) error {
	set, err := p.set(ctx, row.TargetsID())
	if err != nil {
		return err
	}
	row.Targets = set
	for _, name := range set.Names() {
		if name != row.Origin {
			p.enqueue(name, row)
		}
	}
	if row.Extra != "" && !contains(set, row.Extra) {
		p.enqueue(row.Extra, row)
	}
	return nil
}

func (p *dispatch) enqueue(to matrix.ServerName, row *storage.OutboxRow) {
	key := pair{row.Origin, to}
	d := p.dests[key]
	if d == nil {
		d = newDestination(storage.Destination{Origin: row.Origin, Server: to, Pos: row.Pos - 1})
		d.queued, d.read = row.Pos-1, row.Pos-1
		p.dests[key] = d
	}
	if row.Pos <= d.queued && (row.Pos < d.queued || len(d.queue) == 0) {
		return // it has it, or has it under way
	}
	d.push(row)
	if !d.inFlight && d.Since == 0 {
		p.mark(d)
	}
}

// set finds a set of servers; they are few and shared.
func (p *dispatch) set(ctx context.Context, id string) (*storage.ServerSet, error) {
	if id == "" {
		return nil, nil
	}
	if s := p.sets[id]; s != nil {
		return s, nil
	}
	s, err := p.DB.FindServerSet(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(p.sets) > 10_000 {
		clear(p.sets)
	}
	p.sets[id] = s
	return s, nil
}

// takeHeard wakes those who spoke to us.
func (p *dispatch) takeHeard() {
	p.mu.Lock()
	heard := p.heard
	if len(heard) > 0 {
		p.heard = map[matrix.ServerName]bool{}
	}
	p.mu.Unlock()
	if len(heard) == 0 {
		return
	}
	for key, d := range p.dests {
		switch {
		case !heard[key.to]:
		case d.inFlight:
			d.spoke = true
		case d.Since != 0:
			d.Retry = 0
			p.mark(d)
		}
	}
}

// takeEphemeral hands ephemeral messages to their destinations; to one that fails they are lost, unless they last.
func (p *dispatch) takeEphemeral() {
	p.mu.Lock()
	list := p.ephemeral
	p.ephemeral = nil
	p.mu.Unlock()
	for _, t := range list {
		for _, to := range t.to {
			key := pair{t.from, to}
			d := p.dests[key]
			if d == nil {
				d = newDestination(storage.Destination{Origin: t.from, Server: to, Pos: p.pos})
				d.queued, d.read = p.pos, p.pos
				p.dests[key] = d
			}
			if d.tell(t.key, t.edu) && d.Since == 0 {
				p.mark(d)
			}
		}
	}
}

// due marks the destinations whose time to be tried again has come.
func (p *dispatch) due() {
	now := p.Clock()
	for _, d := range p.dests {
		if d.Since != 0 && d.Retry <= now.UnixMilli() {
			p.retry(d, now)
		}
	}
}

// mark notes that a destination may have something to send.
func (p *dispatch) mark(d *destination) {
	if !d.marked && !d.inFlight {
		d.marked = true
		p.ready = append(p.ready, d)
	}
}
