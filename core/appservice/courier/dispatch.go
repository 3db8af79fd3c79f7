package courier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rempart/storage"
)

// dispatch is the courier while it holds the lease. Only its own goroutine touches it.
type dispatch struct {
	*Courier
	links    []*link
	results  chan result
	underWay int
	unsaved  map[*link]bool // whose rows are to be written
	// told reports that rows of the outbox were told since it was last pruned.
	told   bool
	pruned time.Time
}

// result is how handing over a transaction ended.
type result struct {
	l   *link
	err error
}

func newDispatch(c *Courier) *dispatch {
	return &dispatch{Courier: c, results: make(chan result, len(c.Services.All())), unsaved: map[*link]bool{}}
}

// run tells until the context ends, the lease is lost or the database fails. It returns when nothing is under way any more.
func (p *dispatch) run(ctx context.Context) (err error) {
	calls, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		for ; p.underWay > 0; p.underWay-- {
			if r := <-p.results; r.err == nil { // Why: what has arrived need not be sent again
				err = errors.Join(err, p.arrived(context.WithoutCancel(ctx), r.l))
			}
		}
		if err == nil || ctx.Err() != nil {
			p.lastWords(context.WithoutCancel(ctx))
		}
	}()
	if err := p.load(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(ticks)
	defer tick.Stop()
	for {
		if err := p.step(ctx, calls); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case r := <-p.results:
			if err := p.finished(ctx, r); err != nil {
				return err
			}
		case <-tick.C:
			if err := p.prune(ctx); err != nil {
				return err
			}
			if err := p.lease.Renew(ctx); err != nil {
				return err
			}
		}
	}
}

// load reads where all services stand.
func (p *dispatch) load(ctx context.Context) error {
	cursors, err := p.DB.ListAppservices(ctx)
	if err != nil {
		return err
	}
	for i := range cursors {
		of := p.Services.ByNumber(cursors[i].Number)
		if of == nil || of.URL == "" {
			continue
		}
		l := &link{AppserviceCursor: cursors[i], of: of, rows: true, mail: of.Encryption, lists: of.Encryption,
			counted: map[int64]bool{}, ephemeral: map[string]json.RawMessage{}}
		p.links = append(p.links, l)
		p.stands(l, 0, 0)
		if !of.Encryption {
			continue
		}
		users, err := p.DB.ListServiceUsers(ctx, of.ID, manyUsers)
		if err != nil {
			return err
		}
		for _, u := range users {
			l.counted[u] = true
		}
	}
	return nil
}

// step does all that can be done now.
func (p *dispatch) step(ctx, calls context.Context) error {
	if err := p.gather(ctx); err != nil {
		return err
	}
	now := p.Clock().UnixMilli()
	var ready []*link
	for _, l := range p.links {
		if l.inFlight || l.idle() || l.Since != 0 && l.Retry > now {
			continue
		}
		ok, err := p.prepare(ctx, l)
		if err != nil {
			return err
		}
		if ok {
			ready = append(ready, l)
		}
	}
	if err := p.save(ctx, len(ready) > 0); err != nil {
		return err
	}
	for _, l := range ready {
		l.inFlight = true
		p.underWay++
		txn, body := l.Txn, l.body
		p.wg.Go(func() { p.results <- result{l, p.Gateway.Push(calls, l.ID, txn, body)} })
	}
	return nil
}

// save writes the services that moved. Without new transactions that can wait: what has arrived is at worst sent again, under the
// same id.
func (p *dispatch) save(ctx context.Context, now bool, more ...storage.Guard) error {
	if !now {
		return nil
	}
	c := &storage.Change{}
	c.Guard(p.lease.Held())
	for l := range p.unsaved {
		c.Add(&storage.AppserviceRow{AppserviceCursor: l.AppserviceCursor})
	}
	c.Guard(more...)
	if err := p.DB.Commit(ctx, c); err != nil {
		return fmt.Errorf("store transactions for application services: %w", err)
	}
	clear(p.unsaved)
	return nil
}

// prune forgets now and then what every service has been told. Why all look for rows first: a service that is told nothing would
// stand where it began, and hold back what the others have.
func (p *dispatch) prune(ctx context.Context) error {
	now := p.Clock()
	if !p.told || now.Sub(p.pruned) < idlePrune {
		return nil
	}
	p.pruned, p.told = now, false
	upto := p.DB.Position()
	for _, l := range p.links {
		if l.idle() && !l.inFlight {
			l.rows = true
			if _, err := p.prepare(ctx, l); err != nil {
				return err
			}
		}
		upto = min(upto, l.Pos)
	}
	if err := p.save(ctx, true); err != nil {
		return err
	}
	done, err := p.DB.PruneAppserviceOutbox(ctx, upto)
	if !done {
		p.told = true // the rest goes next time
	}
	return err
}

// finished takes in how handing over ended.
func (p *dispatch) finished(ctx context.Context, r result) error {
	p.underWay--
	r.l.inFlight, r.l.body = false, nil
	if r.err == nil {
		return p.arrived(ctx, r.l)
	}
	if r.l.Since == 0 {
		p.Log.Warn("an application service does not take events", "service", r.l.ID, "error", r.err)
	}
	r.l.failed(p.Clock(), r.err)
	p.unsaved[r.l] = true
	p.stands(r.l, 0, 1)
	return p.save(ctx, true) // Why now: administrators see it, and the next transaction may be an hour away
}

// arrived notes that a service took its transaction; messages for devices are forgotten then.
func (p *dispatch) arrived(ctx context.Context, l *link) error {
	f, err := readFlight(l.Flight)
	if err != nil {
		return err
	}
	if l.Since != 0 {
		p.Log.Info("an application service takes events again", "service", l.ID)
	}
	l.arrived(p.Clock())
	p.told = true
	p.unsaved[l] = true
	p.stands(l, 1, 0)
	if len(f.Drop) == 0 {
		return nil
	}
	c := &storage.Change{}
	c.Guard(p.lease.Held())
	for _, m := range f.Drop {
		c.Guard(storage.DeleteOneToDevice(m.Device, m.Pos, m.Part))
	}
	c.Add(&storage.AppserviceRow{AppserviceCursor: l.AppserviceCursor})
	return p.DB.Commit(ctx, c)
}

// lastWords saves what has arrived and gives the lease back.
func (p *dispatch) lastWords(ctx context.Context) {
	c := &storage.Change{}
	c.Guard(p.lease.Held(), p.lease.Release())
	for l := range p.unsaved {
		c.Add(&storage.AppserviceRow{AppserviceCursor: l.AppserviceCursor})
	}
	if err := p.DB.Commit(ctx, c); err != nil {
		p.Log.Warn("save how far application services were told", "error", err)
	}
}
