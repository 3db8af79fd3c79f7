package egress

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Bounds of a look at who could not be reached.
const (
	lookTime  = 2 * time.Second
	maxLooked = 2 // addresses of one server
)

// Watch looks again and again whether a server that could not be reached takes connections. It is for one goroutine at a time.
//
// Each look is judged, as every connection is. Why the record has one entry for all of them: somebody who is gone for a week would fill it. The
// entry is there before the first look; its end says what came of the last, and how often was looked for nothing.
type Watch struct {
	e          *Egress
	generation uint64
	at         []Intent
	permits    []Permit
	looks      int
	err        error // of the last look
}

// ErrWatchOver says that a watch must be begun anew, since what it was judged by has changed.
var ErrWatchOver = errors.New("the policy has changed since this watch began")

// Watch begins to look for the context's target, at the addresses that it has now.
func (e *Egress) Watch(ctx context.Context) (*Watch, error) {
	target, ok := ctx.Value(targetKey{}).(Target)
	if !ok {
		return nil, errors.New("no target to watch")
	}
	w := &Watch{e: e, generation: e.Generation()}
	for _, endpoint := range target.Endpoints[:min(len(target.Endpoints), maxLooked)] {
		i := Intent{Kind: Federation, Server: target.Server, Tenant: target.Tenant, Host: endpoint.Host, Watch: true}
		if err := w.add(ctx, i, endpoint.Port); err != nil {
			w.err = errors.Join(w.err, err)
		}
	}
	if len(w.at) == 0 {
		return nil, errors.Join(w.err, errors.New("no address to watch"))
	}
	return w, nil
}

// add adds the addresses of a host that are admitted.
func (w *Watch) add(ctx context.Context, i Intent, port uint16) error {
	if _, err := w.e.examine(ctx, i); err != nil {
		return err
	}
	addrs, err := w.e.lookup(ctx, i.Host)
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		if len(w.at) == maxLooked {
			break
		}
		i.Addr = netip.AddrPortFrom(addr.Unmap(), port)
		i, err := w.e.examine(ctx, i)
		if err != nil {
			return err
		}
		if w.e.recorder != nil {
			permit, err := w.e.recorder.Begin(ctx, i)
			if err != nil {
				return fmt.Errorf("record watch: %w", err)
			}
			w.permits = append(w.permits, permit)
		}
		w.at = append(w.at, i)
	}
	return nil
}

// Look reports whether a connection could be made, which is closed at once.
func (w *Watch) Look(ctx context.Context) (bool, error) {
	if w.e.Generation() != w.generation {
		return false, ErrWatchOver
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	w.looks++
	for _, i := range w.at {
		conn, err := w.e.connectTo(ctx, "tcp", i, nil)
		if w.err = err; err == nil {
			_ = conn.Close()
			return true, nil
		}
	}
	return false, nil
}

// End ends the watch and its entries in the record.
func (w *Watch) End() {
	var o Outcome
	if w.err != nil || w.looks == 0 {
		o.Err = fmt.Errorf("looked %d times, nobody was there: %v", w.looks, w.err) //nolint:errorlint // Why: it may be nil, and nobody unwraps it
	}
	for _, p := range w.permits {
		p.End(o)
	}
	w.permits = nil
}
