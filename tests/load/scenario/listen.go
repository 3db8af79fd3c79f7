package scenario

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"rempart/tests/load/csapi"
	"rempart/tests/load/stats"
)

// audience is people who sync all the time, each on a connection of his own.
// Close ends them; the figures may be read after that.
type audience struct {
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	ears     []*ear
	received atomic.Int64 // messages seen for the first time by a listener
}

// ear is one listener; its fields are its goroutine's until the audience closes.
type ear struct {
	client  *csapi.Client
	filter  string
	since   string
	seen    []bool // by sequence number
	latency *stats.Sample
	answers int
	gaps    int
	twice   int
	failed  int
	first   error
}

const (
	listenTimeline = 50 // events per room that a listener asks for
	listenWait     = 30 * time.Second
)

// listen gives these people a first sync and sets them waiting. Messages with
// sequence numbers below events are counted.
func (e *Env) listen(ctx context.Context, people []csapi.User, events int) (*audience, error) {
	a := &audience{ears: make([]*ear, len(people))}
	err := e.parallel(ctx, prepareWorkers, len(people), func(ctx context.Context, c *csapi.Client, i int) error {
		r := &ear{client: csapi.NewClient(e.Target.Address, people[i]), seen: make([]bool, events), latency: stats.NewSample(events)}
		a.ears[i] = r
		var err error
		if r.filter, err = c.As(people[i]).UploadFilter(ctx, listenTimeline); err != nil {
			return fmt.Errorf("filter: %w", err)
		}
		var s csapi.Synced
		err = csapi.Patiently(ctx, func() error { s, err = c.As(people[i]).Sync(ctx, "", r.filter, 0); return err })
		r.since = s.Next
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("first sync of listeners: %w", err)
	}
	ctx, a.cancel = context.WithCancel(ctx)
	for _, r := range a.ears {
		a.wg.Go(func() { r.run(ctx, &a.received) })
	}
	return a, e.quiet(ctx)
}

func (r *ear) run(ctx context.Context, received *atomic.Int64) {
	defer r.client.Conn.Close()
	for ctx.Err() == nil {
		s, err := r.client.Sync(ctx, r.since, r.filter, listenWait)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if r.failed++; r.first == nil {
				r.first = err
			}
			_ = pause(ctx, 200*time.Millisecond)
			continue
		}
		now := time.Now()
		r.since = s.Next
		r.answers++
		r.gaps += s.Gaps()
		received.Add(r.note(s.Body, now))
	}
}

// note counts the messages of an answer that this listener had not seen.
func (r *ear) note(answer []byte, now time.Time) (fresh int64) {
	csapi.ScanMessages(answer, func(sent time.Time, seq int) {
		switch {
		case seq >= len(r.seen):
		case r.seen[seq]:
			r.twice++
		default:
			r.seen[seq] = true
			r.latency.Add(now.Sub(sent))
			fresh++
		}
	})
	return fresh
}

// drain waits until want messages have arrived in all, or nothing has for two
// seconds.
func (a *audience) drain(ctx context.Context, want int64) {
	last, since := a.received.Load(), time.Now()
	for last < want && time.Since(since) < 2*time.Second && pause(ctx, 5*time.Millisecond) == nil {
		if n := a.received.Load(); n != last {
			last, since = n, time.Now()
		}
	}
}

// close ends all listeners and waits for them.
func (a *audience) close() {
	a.cancel()
	a.wg.Wait()
}

// heard is the audience's figures together.
type heard struct {
	latency                      *stats.Sample
	answers, gaps, twice, failed int
	first                        error
}

// sum may be called after close.
func (a *audience) sum() heard {
	h := heard{latency: stats.NewSample(int(a.received.Load()))}
	for _, r := range a.ears {
		h.latency.Merge(r.latency)
		h.answers += r.answers
		h.gaps += r.gaps
		h.twice += r.twice
		h.failed += r.failed
		if h.first == nil {
			h.first = r.first
		}
	}
	return h
}

// heard writes what an audience heard of sent events.
func (s *Sheet) heard(e *Env, h heard, c cost, sent, listeners int) {
	n := h.latency.Len()
	s.latency("delivery", h.latency)
	s.add("deliveries", "", float64(n))
	s.add("not delivered", "", float64(sent*listeners-n))
	s.add("delivered twice", "", float64(h.twice))
	s.add("timelines with a gap", "", float64(h.gaps))
	s.add("events per sync answer", "", stats.Per(float64(n), h.answers))
	if e.Target.Server != 0 {
		s.add("CPU per 1,000 deliveries", "s", 1000*stats.Per((c.server+c.database).Seconds(), n))
	}
	s.failures("syncs", h.failed, h.first)
}
