package sender

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"rempart/storage"
)

// savesEvery is how often destinations are written that moved. What has arrived is at worst sent again, under the same id.
const savesEvery = 5 * time.Second

// wave is a transaction that says the same to all who are on it. It is stored once, under one id, before it is sent.
type wave struct {
	*storage.Wave
	body     []byte
	manifest manifest
	open     int // those on it whose rows do not say yet what became of it
}

// join puts a destination on the wave that says the same, or begins one.
func (p *dispatch) join(ctx context.Context, d *destination, f *flight, pos int64) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	key := string(d.Origin) + " " + strconv.FormatInt(pos, 10) + " " + string(raw)
	w := p.fresh[key]
	if w == nil {
		w = &wave{Wave: &storage.Wave{ID: newTxn(), Origin: d.Origin, FlightPos: pos, Flight: raw}}
		if err := p.encode(ctx, d, f); err != nil {
			return err
		}
		w.body, w.manifest = d.body, d.manifest
		p.fresh[key] = w
	}
	w.Servers = append(w.Servers, d.Server)
	w.carry(d)
	d.body, d.manifest = w.body, w.manifest
	return nil
}

func newTxn() string { return rand.Text()[:16] }

// carry has a destination under way with a wave.
func (w *wave) carry(d *destination) {
	d.land()
	w.open++
	d.wave, d.Txn, d.FlightPos, d.Flight = w, w.ID, w.FlightPos, w.Flight
}

// land takes a destination from its wave, because its own row says from now on how far it is.
func (d *destination) land() {
	if d.wave != nil {
		d.wave.open--
		d.wave = nil
	}
}

// boardWaves puts destinations back on the waves that were under way when somebody stopped. Whoever is on a later one had the earlier.
func (p *dispatch) boardWaves(ctx context.Context) error {
	list, err := p.DB.ListWaves(ctx)
	for _, row := range list {
		w := &wave{Wave: row}
		p.waves = append(p.waves, w)
		for _, to := range row.Servers {
			key := pair{row.Origin, to}
			d := p.dests[key]
			if d == nil {
				d = newDestination(storage.Destination{Origin: row.Origin, Server: to})
				p.dests[key] = d
			}
			if row.FlightPos <= d.Pos || d.Txn != "" && row.FlightPos <= d.FlightPos {
				continue
			}
			if d.Txn != "" {
				d.Pos = d.FlightPos
			}
			w.carry(d)
			p.unsaved[d] = true
		}
	}
	return err
}

// save stores what is about to be sent, and now and then all destinations that moved.
func (p *dispatch) save(ctx context.Context, list []*destination) error {
	c, clock := &storage.Change{}, p.Clock()
	prune := p.pruneAt < p.pos && clock.Sub(p.pruned) > pruneEvery
	whole := prune || len(p.unsaved) > 0 && clock.Sub(p.saved) >= savesEvery
	var alone []*destination
	for _, d := range list {
		if d.wave == nil && p.unsaved[d] {
			alone = append(alone, d)
		}
	}
	if len(alone)+len(p.fresh)+len(p.held) == 0 && !whole {
		return nil
	}
	c.Guard(p.lease.Held())
	for _, w := range p.fresh {
		c.Add(&storage.WaveRow{Wave: w.Wave})
	}
	for _, h := range p.held {
		c.Add(h)
	}
	if whole {
		p.writeAll(c)
	} else {
		for _, d := range alone {
			c.Add(&storage.DestinationRow{Destination: d.Destination})
		}
	}
	if prune {
		p.pruned = clock
	}
	if err := p.DB.Commit(ctx, c); err != nil {
		return fmt.Errorf("store transactions: %w", err)
	}
	p.held = nil
	p.stored(alone, whole, clock)
	if !prune {
		return nil
	}
	// Why also when busy: a sender that always has something under way must forget, too. What is under way was stored just now.
	upto := p.pos
	done, err := p.DB.PruneOutbox(ctx, p.told())
	if err != nil {
		return fmt.Errorf("forget what was told: %w", err)
	}
	if p.pruneAt = upto; !done {
		p.pruneAt, p.pruned = 0, clock.Add(savesEvery-pruneEvery) // the rest goes soon
	}
	return nil
}

// writeAll writes all destinations that moved, and forgets the waves that nobody needs after that.
func (p *dispatch) writeAll(c *storage.Change) {
	for d := range p.unsaved {
		c.Add(&storage.DestinationRow{Destination: d.Destination})
	}
	for _, w := range p.waves {
		if w.open == 0 {
			c.Guard(storage.DeleteWave(w.ID))
		}
	}
}

// stored notes what save has written.
func (p *dispatch) stored(alone []*destination, whole bool, now time.Time) {
	for _, d := range alone {
		delete(p.unsaved, d)
	}
	if whole {
		clear(p.unsaved)
		p.saved = now
		kept := p.waves[:0]
		for _, w := range p.waves {
			if w.open > 0 {
				kept = append(kept, w)
			}
		}
		clear(p.waves[len(kept):])
		p.waves = kept
	}
	for _, w := range p.fresh {
		p.waves = append(p.waves, w)
	}
	clear(p.fresh)
}
