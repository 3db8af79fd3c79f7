package main

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// placesEvery is how often it is kept where servers were found.
const placesEvery = 5 * time.Second

// placeKeeper keeps where other servers were found, so that a restart does not forget it.
type placeKeeper struct {
	db     *storage.DB
	places *places
	log    *slog.Logger
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// keepPlaces reads what is known, and keeps what is found from now on until close.
func keepPlaces(ctx context.Context, db *storage.DB, p *places, log *slog.Logger) (*placeKeeper, error) {
	list, err := db.ListServerPlaces(ctx, maxPlaces)
	if err != nil {
		return nil, err
	}
	p.load(list)
	k := &placeKeeper{db: db, places: p, log: log}
	var run context.Context
	run, k.cancel = context.WithCancel(context.WithoutCancel(ctx))
	k.wg.Go(func() {
		tick := time.NewTicker(placesEvery)
		defer tick.Stop()
		for {
			select {
			case <-run.Done():
				return
			case <-tick.C:
				k.save(run)
			}
		}
	})
	return k, nil
}

// save writes what was found since the last time. What cannot be written is found again, or looked for by its name as after a first start.
func (k *placeKeeper) save(ctx context.Context) {
	list := k.places.news()
	if len(list) == 0 {
		return
	}
	c := &storage.Change{}
	for _, p := range list {
		c.Add(&storage.ServerPlaceRow{ServerPlace: p})
	}
	if err := k.db.Commit(ctx, c); err != nil {
		k.log.ErrorContext(ctx, "keep where servers were found", "servers", len(list), "error", err)
	}
}

func (k *placeKeeper) close() {
	k.cancel()
	k.wg.Wait()
	k.save(context.Background())
}

// load takes in what is known from before.
func (p *places) load(list []storage.ServerPlace) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = make(map[matrix.ServerName]whereabouts, len(list))
	for _, s := range list {
		if addr, err := netip.ParseAddrPort(s.Address); err == nil {
			p.known[s.Server] = whereabouts{addr, s.Admitted}
		}
	}
}

// news are the servers that were found elsewhere since it was last asked for.
func (p *places) news() []storage.ServerPlace {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []storage.ServerPlace
	for name := range p.moved {
		if w, known := p.known[name]; known {
			out = append(out, storage.ServerPlace{Server: name, Address: w.addr.String(), Admitted: w.ok})
		}
	}
	clear(p.moved)
	return out
}
