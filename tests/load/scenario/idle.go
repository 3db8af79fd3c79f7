package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"rempart/tests/load/csapi"
	"rempart/tests/load/stats"
)

// idleRoom is how many people share a room in the idle scenarios.
const idleRoom = 50

// idle is n people, in rooms of 50, who wait for news that do not come.
func idle(n int) Act {
	return func(ctx context.Context, e *Env, s *Sheet) error {
		tokens := make([]string, n)
		people, err := e.idlePeople(ctx, n, tokens)
		if err != nil {
			return err
		}
		before, err := e.usage()
		if err != nil {
			return err
		}
		p := &park{}
		ctx, cancel := context.WithCancel(ctx)
		defer p.wg.Wait()
		defer cancel()
		p.enter(ctx, e, people[:n/5], tokens[:n/5])
		if err := errors.Join(e.quiet(ctx), e.quiet(ctx)); err != nil {
			return err
		}
		fifth, err := e.since(before)
		if err != nil {
			return err
		}
		p.enter(ctx, e, people[n/5:], tokens[n/5:])
		if err := errors.Join(e.quiet(ctx), e.quiet(ctx)); err != nil {
			return err
		}
		full, err := e.since(before)
		if err != nil {
			return err
		}
		s.idle(e, n, before, fifth.after, full.after)
		return e.idleCost(ctx, s, p, n)
	}
}

// idlePeople makes the accounts, their rooms and a sync token for each.
func (e *Env) idlePeople(ctx context.Context, n int, tokens []string) ([]csapi.User, error) {
	people, err := e.users(ctx, n)
	if err != nil {
		return nil, err
	}
	for i := 0; i < n; i += idleRoom {
		if _, err := e.room(ctx, people[i:min(i+idleRoom, n)]); err != nil {
			return nil, err
		}
	}
	err = e.parallel(ctx, prepareWorkers, n, func(ctx context.Context, c *csapi.Client, i int) error {
		return csapi.Patiently(ctx, func() error {
			s, err := c.As(people[i]).Sync(ctx, "", "", 0)
			tokens[i] = s.Next
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("first sync: %w", err)
	}
	return people, e.quiet(ctx)
}

// idle writes the memory per waiting sync: over all, and for the last four
// fifths, which is free of what the first connections bring with them.
func (s *Sheet) idle(e *Env, n int, none, fifth, all usage) {
	if e.Target.Server == 0 {
		s.note("without -pid there is no memory to read")
		return
	}
	kib := func(from, to usage, n int) float64 {
		return stats.Per(float64(to.serverRSS-from.serverRSS)/1024, n)
	}
	s.add("server memory per sync", "KiB", kib(none, all, n))
	s.add("per sync from a fifth on", "KiB", kib(fifth, all, n-n/5))
	s.add("server memory before", "MiB", mib(none.serverRSS))
	s.add("server memory after", "MiB", mib(all.serverRSS))
}

// idleCost writes what waiting costs in CPU, over five seconds.
func (e *Env) idleCost(ctx context.Context, s *Sheet, p *park, n int) error {
	start, err := e.usage()
	if err != nil {
		return err
	}
	if err := pause(ctx, 5*time.Second); err != nil {
		return err
	}
	c, err := e.since(start)
	if err != nil {
		return err
	}
	if e.Target.Server != 0 {
		s.add("server CPU while waiting", "ms/s", stats.Millis(c.server+c.database)/c.wall.Seconds())
	}
	s.add("waiting syncs", "", float64(n))
	s.add("answers without news", "", float64(p.early.Load()))
	if failed := p.failed.Load(); failed > 0 {
		return fmt.Errorf("%d of %d waiting syncs failed", failed, n)
	}
	return nil
}

// park is waiting syncs. They end with the context they entered with; wg tells
// when.
type park struct {
	wg            sync.WaitGroup
	early, failed atomic.Int64
}

// enter sets people waiting and returns; quiet tells when they all are.
func (p *park) enter(ctx context.Context, e *Env, people []csapi.User, tokens []string) {
	for i, u := range people {
		p.wg.Go(func() {
			c := csapi.NewClient(e.Target.Address, u)
			defer c.Conn.Close()
			since := tokens[i]
			for ctx.Err() == nil {
				s, err := c.Sync(ctx, since, "", 5*time.Minute)
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					p.failed.Add(1)
					return
				}
				since = s.Next
				p.early.Add(1)
			}
		})
	}
}
