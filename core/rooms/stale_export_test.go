package rooms

import (
	"context"

	"rempart/storage"
)

// ReadWhile reads the room as a reader does who finds nothing in memory; in between something happens.
func (r *Room) ReadWhile(ctx context.Context, happen func()) error {
	seen := r.overtakes.Load()
	n, err := r.load(ctx)
	happen()
	r.show(n, seen)
	return err
}

// EndLate has the outcome of a local write be known only after another node wrote: the stream brings the one, then the other. It reports
// whether readers see the room as of the first for ever.
func EndLate() bool {
	r := &Room{}
	c := &commitment{room: r, snap: &snapshot{version: 1, seq: 1}}
	c.publish(true)
	r.overtaken(&storage.Live{Kind: storage.KindState})
	c.publish(false)
	return r.committed.Load() != nil
}

// BuiltBefore has a write of which the stream says nothing be built before another node's and be known after it.
func BuiltBefore() bool {
	r := &Room{}
	r.show(&snapshot{version: 1, seq: 1}, 0)
	c := &commitment{room: r, snap: &snapshot{version: 2, seq: 1}, seen: r.overtakes.Load()}
	r.overtaken(&storage.Live{Kind: storage.KindState})
	r.show(&snapshot{version: 3, seq: 2}, r.overtakes.Load())
	c.publish(false)
	return r.committed.Load() != nil
}

// KeepWhile reads an event as one does who finds it not in memory; in between something happens. It reports whether what was read is kept.
func (s *Service) KeepWhile(ctx context.Context, nid int64, happen func()) (bool, error) {
	s.events.remove(nid)
	removals := s.events.removals.Load()
	records := map[int64]*Stored{}
	err := s.db.EachEvent(ctx, []int64{nid}, func(r *storage.EventRecord) (err error) {
		records[nid], err = s.restore(ctx, r)
		return err
	})
	if err != nil {
		return false, err
	}
	happen()
	s.events.keep(records[nid], removals)
	return s.events.get(nid) == records[nid], nil
}
