package scenario

import (
	"context"
	"fmt"
	"time"

	"rempart/tests/load/csapi"
	"rempart/tests/load/stats"
)

// pageWalks is how many people page through the whole room, one after another.
const pageWalks = 5

// paginate walks from the newest event of a room to its beginning and checks
// that every message is met once.
func paginate(ctx context.Context, e *Env, s *Sheet) error {
	room, people, err := e.hall(ctx, e.Sizes.Members)
	if err != nil {
		return err
	}
	path := csapi.RoomPath(room)
	cs := e.clients(people[:min(8, len(people))])
	defer closeAll(cs)
	b := blast{clients: cs, rooms: []string{path}, events: e.Sizes.PageEvents, limit: 10 * e.Sizes.Time}
	if out := b.run(ctx, e); out.sent != b.events {
		return fmt.Errorf("only %d of %d messages sent: %w", out.sent, b.events, orTime(out.first))
	}
	if err := e.quiet(ctx); err != nil {
		return err
	}
	start, err := e.usage()
	if err != nil {
		return err
	}
	wall, missed := stats.NewSample(0), 0
	for i := range pageWalks {
		n, err := e.walk(ctx, cs[i%len(cs)], path, wall)
		if err != nil {
			return err
		}
		missed = max(missed, e.Sizes.PageEvents-n)
	}
	c, err := e.since(start)
	if err != nil {
		return err
	}
	s.latency("page", wall)
	s.add("pages", "", float64(wall.Len()))
	s.cpu(e, c, wall.Len(), "page")
	if missed > 0 {
		return fmt.Errorf("back-pagination missed %d of %d messages", missed, e.Sizes.PageEvents)
	}
	return nil
}

// walk pages through the whole room once and returns how many messages it met.
func (e *Env) walk(ctx context.Context, c *csapi.Client, path string, wall *stats.Sample) (met int, err error) {
	seen := make([]bool, e.Sizes.PageEvents)
	from := ""
	for page := 0; page == 0 || from != ""; page++ {
		if page > 10+4*e.Sizes.PageEvents/e.Sizes.PageLimit {
			return met, fmt.Errorf("pagination does not end: %d pages", page)
		}
		at := time.Now()
		chunk, end, err := c.Messages(ctx, path, from, e.Sizes.PageLimit)
		if err != nil {
			return met, fmt.Errorf("page %d: %w", page, err)
		}
		wall.Add(time.Since(at))
		csapi.ScanMessages(chunk, func(_ time.Time, seq int) {
			if seq < len(seen) && !seen[seq] {
				seen[seq] = true
				met++
			}
		})
		from = end
	}
	return met, nil
}
