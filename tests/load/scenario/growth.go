package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rempart/tests/load/csapi"
	"rempart/tests/load/stats"
)

const (
	costSenders  = 8
	memberRounds = 3  // measurements of each room, in turn
	growRooms    = 20 // rooms that are filled
	growSenders  = 64
)

// members compares the cost of an event in rooms of different size. The rooms
// are all made first and measured in turn, so that age does not count.
func members(ctx context.Context, e *Env, s *Sheet) error {
	sizes := e.Sizes.MemberSizes
	people, err := e.users(ctx, max(slices.Max(sizes), costSenders))
	if err != nil {
		return err
	}
	cs := e.clients(people[:costSenders])
	defer closeAll(cs)
	paths := make([]string, len(sizes))
	for i, n := range sizes {
		e.Log.Info("making a room", "target", e.Target.Name, "members", n)
		room, err := e.room(ctx, people[:max(n, costSenders)])
		if err != nil {
			return err
		}
		paths[i] = csapi.RoomPath(room)
	}
	totals := make([]cost, len(sizes))
	sent, latency := make([]int, len(sizes)), make([]*stats.Sample, len(sizes))
	for i := range sizes {
		latency[i] = stats.NewSample(0)
	}
	for range memberRounds {
		for i := range sizes {
			out, c, err := e.costOf(ctx, cs, paths[i], e.Sizes.Events/memberRounds)
			if err != nil {
				return err
			}
			totals[i] = totals[i].plus(c)
			sent[i] += out.sent
			latency[i].Merge(out.latency)
		}
	}
	for i, n := range sizes {
		at := fmt.Sprintf("event at %d members", n)
		s.cpu(e, totals[i], sent[i], at)
		s.add(at+" p50", "ms", stats.Millis(latency[i].Percentile(50)))
		if i > 0 && e.Target.Server != 0 {
			s.add(fmt.Sprintf("CPU at %d against %d members", n, sizes[0]), "x", totals[i].against(totals[0], sent[i], sent[0]))
			s.add(fmt.Sprintf("generator at %d against %d members", n, sizes[0]), "x", totals[i].slower(totals[0], sent[i], sent[0]))
		}
	}
	return nil
}

// plus adds what was used; the moments are of no meaning then.
func (c cost) plus(d cost) cost {
	return cost{wall: c.wall + d.wall, server: c.server + d.server, database: c.database + d.database, self: c.self + d.self}
}

// against is the CPU per event of c as a multiple of that of base.
func (c cost) against(base cost, n, baseN int) float64 {
	first := stats.Per((base.server + base.database).Seconds(), baseN)
	if first == 0 {
		return 0
	}
	return stats.Per((c.server+c.database).Seconds(), n) / first
}

// slower is this program's own CPU per event in c as a multiple of that in base. Its work is the same, so what is
// not 1 is the machine, which gives less for the same time at some moments than at others.
func (c cost) slower(base cost, n, baseN int) float64 {
	first := stats.Per(base.self.Seconds(), baseN)
	if first == 0 {
		return 0
	}
	return stats.Per(c.self.Seconds(), n) / first
}

// costOf measures up to n events of costSenders into one room.
func (e *Env) costOf(ctx context.Context, cs []*csapi.Client, path string, n int) (blasted, cost, error) {
	if err := e.warm(ctx, cs, path); err != nil {
		return blasted{}, cost{}, err
	}
	start, err := e.usage()
	if err != nil {
		return blasted{}, cost{}, err
	}
	out := blast{clients: cs, rooms: []string{path}, events: n, limit: e.Sizes.Time}.run(ctx, e)
	c, err := e.since(start)
	if err != nil {
		return out, c, err
	}
	return out, c, out.verdict(ctx)
}

// growth is a room that is measured at several ages of the database.
type growth struct {
	path   string
	people []csapi.User
	first  cost // at the beginning of the run
	sent   int
}

// growFirst measures a room of its own while the database is young.
func growFirst(ctx context.Context, e *Env, s *Sheet) error {
	room, people, err := e.hall(ctx, max(e.Sizes.Members, growSenders))
	if err != nil {
		return err
	}
	g := &growth{path: csapi.RoomPath(room), people: people}
	cs := e.clients(people[:costSenders])
	defer closeAll(cs)
	s.add("events at first", "", float64(e.events.Load()))
	out, c, err := e.costOf(ctx, cs, g.path, e.Sizes.Events)
	if err != nil {
		return err
	}
	g.first, g.sent = c, out.sent
	s.cpu(e, c, out.sent, "event at first")
	s.add("send p50 at first", "ms", stats.Millis(out.latency.Percentile(50)))
	e.young = g
	return nil
}

// grow measures that room again after others have filled the database, at each
// power of ten of events made by this run, up to GrowTo.
func grow(ctx context.Context, e *Env, s *Sheet) error {
	g := e.young
	if g == nil {
		return errors.New("there is no measurement from the beginning to compare with")
	}
	crowd, rooms := g.people[:growSenders], make([]string, growRooms)
	err := e.parallel(ctx, 4, growRooms, func(ctx context.Context, _ *csapi.Client, i int) error {
		id, err := e.room(ctx, slices.Concat(crowd[i:], crowd[:i])) // each made by another
		rooms[i] = csapi.RoomPath(id)
		return err
	})
	if err != nil {
		return err
	}
	cs := e.clients(g.people[:costSenders])
	defer closeAll(cs)
	end := time.Now().Add(e.Sizes.GrowTime)
	for _, size := range checkpoints(int(e.events.Load()), e.Sizes.GrowTo) {
		e.Log.Info("filling", "target", e.Target.Name, "events", size)
		if err := e.fill(ctx, crowd, rooms, size-int(e.events.Load()), time.Until(end)); err != nil {
			return err
		}
		later, c, err := e.costOf(ctx, cs, g.path, e.Sizes.Events)
		if err != nil {
			return err
		}
		s.cpu(e, c, later.sent, fmt.Sprintf("event at %d", size))
		s.add(fmt.Sprintf("send p50 at %d", size), "ms", stats.Millis(later.latency.Percentile(50)))
		if e.Target.Server != 0 {
			s.add(fmt.Sprintf("CPU at %d events against the first", size), "x", c.against(g.first, later.sent, g.sent))
			s.add(fmt.Sprintf("generator at %d events against the first", size), "x", c.slower(g.first, later.sent, g.sent))
		}
	}
	return nil
}

// checkpoints are the powers of ten above now and up to end, and end itself.
func checkpoints(now, end int) []int {
	var sizes []int
	for n := 1000; n < end; n *= 10 {
		if n > now {
			sizes = append(sizes, n)
		}
	}
	if end > now {
		sizes = append(sizes, end)
	}
	return sizes
}
