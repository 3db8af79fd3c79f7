package scenario

import (
	"context"
	"fmt"
	"time"

	"rempart/tests/load/csapi"
	"rempart/tests/load/stats"
)

// sendWith is senders at full speed into one room while listeners sync.
func sendWith(senders, listeners int) Act {
	return func(ctx context.Context, e *Env, s *Sheet) error {
		room, people, err := e.hall(ctx, max(e.Sizes.Members, senders))
		if err != nil {
			return err
		}
		return e.measureSend(ctx, s, csapi.RoomPath(room), people[:senders], people[:min(listeners, len(people))])
	}
}

func (e *Env) measureSend(ctx context.Context, s *Sheet, path string, senders, listeners []csapi.User) error {
	cs := e.clients(senders)
	defer closeAll(cs)
	if err := e.warm(ctx, cs, path); err != nil {
		return err
	}
	var a *audience
	var err error
	if len(listeners) > 0 {
		if a, err = e.listen(ctx, listeners, e.Sizes.Events); err != nil {
			return err
		}
		defer a.close()
	}
	start, err := e.usage()
	if err != nil {
		return err
	}
	out := blast{clients: cs, rooms: []string{path}, events: e.Sizes.Events, limit: e.Sizes.Time}.run(ctx, e)
	wall := time.Since(start.at)
	if a != nil {
		a.drain(ctx, int64(out.sent*len(listeners)))
	}
	c, err := e.since(start)
	if err != nil {
		return err
	}
	s.sending(e, out, c, wall)
	if a != nil {
		a.close()
		s.heard(e, a.sum(), c, out.sent, len(listeners))
	}
	s.memory(e, c)
	return out.verdict(ctx)
}

// sending writes the figures of a blast.
func (s *Sheet) sending(e *Env, out blasted, c cost, wall time.Duration) {
	s.add("rate", "events/s", float64(out.sent)/wall.Seconds())
	s.latency("send", out.latency)
	s.cpu(e, c, out.sent, "event")
	s.add("events", "", float64(out.sent))
	s.failures("sends", out.failed, out.first)
}

// verdict is an error when there is nothing that could be called a measurement.
func (b blasted) verdict(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if b.failed >= maxFailures || b.sent == 0 {
		return fmt.Errorf("%d sent, %d failed: %w", b.sent, b.failed, orTime(b.first))
	}
	return nil
}

// warm sends a few events over the connections that will be measured and waits
// for the server to come to rest.
func (e *Env) warm(ctx context.Context, cs []*csapi.Client, path string) error {
	b := blast{clients: cs, rooms: []string{path}, events: max(100, 4*len(cs)), limit: max(e.Sizes.Time, 10*time.Second), unseen: true}
	if err := b.run(ctx, e).verdict(ctx); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	return e.quiet(ctx)
}

// lonely is one sender who waits for each answer.
func lonely(ctx context.Context, e *Env, s *Sheet) error {
	room, people, err := e.hall(ctx, e.Sizes.Members)
	if err != nil {
		return err
	}
	cs := e.clients(people[:1])
	defer closeAll(cs)
	path := csapi.RoomPath(room)
	if err := e.warm(ctx, cs, path); err != nil {
		return err
	}
	start, err := e.usage()
	if err != nil {
		return err
	}
	out := blast{clients: cs, rooms: []string{path}, events: max(e.Sizes.Events/5, 1), limit: e.Sizes.Time}.run(ctx, e)
	c, err := e.since(start)
	if err != nil {
		return err
	}
	s.sending(e, out, c, c.wall)
	return out.verdict(ctx)
}

// fanout is one sender at a steady rate to a room where everybody waits.
func fanout(ctx context.Context, e *Env, s *Sheet) error {
	room, people, err := e.hall(ctx, e.Sizes.Members)
	if err != nil {
		return err
	}
	cs := e.clients(people[:1])
	defer closeAll(cs)
	path := csapi.RoomPath(room)
	if err := e.warm(ctx, cs, path); err != nil {
		return err
	}
	n := max(int(e.Sizes.FanoutRate*e.Sizes.FanoutTime.Seconds()), 1)
	a, err := e.listen(ctx, people, n)
	if err != nil {
		return err
	}
	defer a.close()
	start, err := e.usage()
	if err != nil {
		return err
	}
	out := e.steady(ctx, cs[0], path, n)
	a.drain(ctx, int64(out.sent*len(people)))
	c, err := e.since(start)
	if err != nil {
		return err
	}
	a.close()
	s.sending(e, out, c, c.wall)
	s.heard(e, a.sum(), c, out.sent, len(people))
	s.memory(e, c)
	return out.verdict(ctx)
}

// steady sends n events on a fixed schedule, late ones at once, for at most
// twice the time that takes.
func (e *Env) steady(ctx context.Context, c *csapi.Client, path string, n int) blasted {
	out := blasted{latency: stats.NewSample(n)}
	start, step := time.Now(), time.Duration(float64(time.Second)/e.Sizes.FanoutRate)
	for i := range n {
		if wait := time.Until(start.Add(time.Duration(i) * step)); wait > 0 && pause(ctx, wait) != nil {
			break
		}
		if time.Since(start) > 2*time.Duration(n)*step+time.Second || out.failed >= maxFailures {
			break
		}
		at := time.Now()
		if _, err := c.Send(ctx, path, i); err != nil {
			if out.failed++; out.first == nil {
				out.first = err
			}
			continue
		}
		out.latency.Add(time.Since(at))
	}
	out.sent = out.latency.Len()
	e.events.Add(int64(out.sent))
	return out
}
