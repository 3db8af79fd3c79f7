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

// blast is senders at full speed: each sends, waits for the answer, sends again.
type blast struct {
	clients []*csapi.Client
	rooms   []string // paths; event i goes to room i modulo their number
	events  int      // at most
	limit   time.Duration
	unseen  bool // events are not to be counted by listeners
}

// blasted is what came of a blast.
type blasted struct {
	latency *stats.Sample
	sent    int
	failed  int
	first   error // the first failure
}

// maxFailures ends a blast: a server that refuses everything is not measured.
const maxFailures = 50

// lastAnswer is how long a request under way may take when the time is over.
const lastAnswer = 20 * time.Second

// run sends until the events are sent, the time is over, or too much failed.
func (b blast) run(ctx context.Context, e *Env) blasted {
	// Why two bounds: what is under way at the end is let through, for an event
	// that arrives uncounted would be a delivery too many.
	end := time.Now().Add(b.limit)
	ctx, cancel := context.WithTimeout(ctx, b.limit+lastAnswer)
	defer cancel()
	var ticket, failed atomic.Int64
	var once sync.Once
	var out blasted
	samples := make([]*stats.Sample, len(b.clients))
	var wg sync.WaitGroup
	for w, c := range b.clients {
		samples[w] = stats.NewSample(b.events/len(b.clients) + 1)
		wg.Go(func() {
			for failed.Load() < maxFailures {
				i := int(ticket.Add(1)) - 1
				if i >= b.events || time.Now().After(end) || ctx.Err() != nil {
					return
				}
				start := time.Now()
				_, err := c.Send(ctx, b.rooms[i%len(b.rooms)], b.seq(i))
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					failed.Add(1)
					once.Do(func() { out.first = err })
					continue
				}
				samples[w].Add(time.Since(start))
			}
		})
	}
	wg.Wait()
	out.latency = stats.NewSample(b.events)
	out.latency.Merge(samples...)
	out.sent, out.failed = out.latency.Len(), int(failed.Load())
	e.events.Add(int64(out.sent))
	return out
}

// seq is the number in the message; listeners do not see negative ones.
func (b blast) seq(i int) int {
	if b.unseen {
		return -1
	}
	return i
}

// fill sends at least n events as fast as it goes, unmeasured.
func (e *Env) fill(ctx context.Context, people []csapi.User, rooms []string, n int, limit time.Duration) error {
	if n <= 0 {
		return nil
	}
	cs := e.clients(people)
	defer closeAll(cs)
	out := blast{clients: cs, rooms: rooms, events: n, limit: limit, unseen: true}.run(ctx, e)
	if out.sent < n {
		return fmt.Errorf("only %d of %d events sent in %s, %d failed: %w", out.sent, n, limit, out.failed, orTime(out.first))
	}
	return ctx.Err()
}

func orTime(err error) error {
	if err == nil {
		return context.DeadlineExceeded
	}
	return err
}

// failures writes what went wrong, if anything did.
func (s *Sheet) failures(what string, n int, first error) {
	if n > 0 {
		s.add("failed "+what, "", float64(n))
		s.note(fmt.Sprintf("%d %s failed, the first with: %v", n, what, first))
	}
}
