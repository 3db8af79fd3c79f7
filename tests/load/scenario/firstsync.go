package scenario

import (
	"context"
	"fmt"
	"time"

	"rempart/tests/load/csapi"
	"rempart/tests/load/stats"
)

const (
	neighbours   = 10 // people who own the rooms of firstsync, and are in some
	roomPeople   = 5
	roomMessages = 10
)

// firstSync measures the sync of an account in many rooms.
func firstSync(ctx context.Context, e *Env, s *Sheet) error {
	me, owner, path, err := e.villager(ctx)
	if err != nil {
		return err
	}
	c, o := csapi.NewClient(e.Target.Address, me), csapi.NewClient(e.Target.Address, owner)
	defer closeAll([]*csapi.Client{c, o})
	if _, err := c.Sync(ctx, "", "", 0); err != nil {
		return fmt.Errorf("first sync: %w", err)
	}
	first, err := e.syncs(ctx, s, c, "first sync", e.Sizes.SyncRepeats, "")
	if err != nil {
		return err
	}
	s.add("first sync size", "KiB", float64(len(first.Body))/1024)
	since := first.Next
	if _, err := e.syncs(ctx, s, c, "empty sync", 100*e.Sizes.SyncRepeats, since); err != nil {
		return err
	}
	if _, err := o.Send(ctx, path, 0); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	e.events.Add(1)
	news, err := e.syncs(ctx, s, c, "incremental sync", 100*e.Sizes.SyncRepeats, since)
	if err != nil {
		return err
	}
	found := 0
	csapi.ScanMessages(news.Body, func(time.Time, int) { found++ })
	if found != 1 {
		return fmt.Errorf("an incremental sync after one message has %d", found)
	}
	return nil
}

// syncs measures n syncs from the same token. Why: the wait differs each time,
// since some servers answer an equal request from a cache; there is news, or
// the wait is none, so that it plays no other part.
func (e *Env) syncs(ctx context.Context, s *Sheet, c *csapi.Client, what string, n int, since string) (last csapi.Synced, err error) {
	if err := e.quiet(ctx); err != nil {
		return last, err
	}
	start, err := e.usage()
	if err != nil {
		return last, err
	}
	wall, done := stats.NewSample(n), 0
	for i := range n {
		wait := time.Duration(i+1) * time.Millisecond
		if what == "empty sync" {
			wait = 0
		}
		at := time.Now()
		if last, err = c.Sync(ctx, since, "", wait); err != nil {
			return last, fmt.Errorf("%s: %w", what, err)
		}
		wall.Add(time.Since(at))
		done++
		if time.Since(start.at) > 2*e.Sizes.Time {
			break
		}
	}
	cost, err := e.since(start)
	if err != nil {
		return last, err
	}
	s.add(what+" p50", "ms", stats.Millis(wall.Percentile(50)))
	s.add(what+" p95", "ms", stats.Millis(wall.Percentile(95)))
	if e.Target.Server != 0 {
		s.add(what+" CPU", "ms", stats.Per(stats.Millis(cost.server+cost.database), done))
	}
	return last, nil
}

// villager makes an account in SyncRooms rooms of five people with ten messages
// each, and returns it with the owner and the path of one of the rooms.
func (e *Env) villager(ctx context.Context) (me, owner csapi.User, path string, err error) {
	people, err := e.newUsers(ctx, neighbours+1)
	if err != nil {
		return me, owner, "", err
	}
	me, others := people[0], people[1:]
	paths := make([]string, e.Sizes.SyncRooms)
	err = e.parallel(ctx, 8, len(paths), func(ctx context.Context, c *csapi.Client, i int) error {
		members := make([]csapi.User, 0, roomPeople)
		for k := range roomPeople - 1 {
			members = append(members, others[(i+k)%neighbours])
		}
		room, err := e.room(ctx, append(members, me))
		if err != nil {
			return err
		}
		paths[i] = csapi.RoomPath(room)
		sender := c.As(members[0])
		for range roomMessages {
			err := csapi.Patiently(ctx, func() error { _, err := sender.Send(ctx, paths[i], -1); return err })
			if err != nil {
				return fmt.Errorf("send: %w", err)
			}
			e.events.Add(1)
		}
		return nil
	})
	return me, others[0], paths[0], err
}
