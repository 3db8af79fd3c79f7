package rooms

import (
	"cmp"
	"context"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// RelationsRequest asks for the events that relate to one. Spec: client-server-api/#relationships-api
type RelationsRequest struct {
	Parent matrix.EventID
	// RelType and EventType choose among them; empty ones choose all.
	RelType, EventType string
	From, To           *matrix.PageToken
	Backward           bool
	Limit              int
	// Recurse asks for those too that relate to the parent through others.
	Recurse bool
}

// RelationsPage is a stretch of them.
type RelationsPage struct {
	Events []*Stored
	// Next is where the next page starts; nil when there is none.
	Next *matrix.PageToken
	// Depth is how many relations deep was looked.
	Depth int
}

// Bounds of a recursion. The specification asks for a depth of at least 3.
const (
	relationDepth = 3
	maxRelated    = 1000
)

// Relations reads a page of the events that relate to one which the user may see.
func (s *Service) Relations(ctx context.Context, room *Room, user matrix.UserID, q RelationsRequest) (*RelationsPage, error) {
	if _, err := s.Event(ctx, room, user, q.Parent); err != nil {
		return nil, err
	}
	v, err := s.viewerFor(ctx, room, user)
	if err != nil {
		return nil, err
	}
	if q.Limit = min(q.Limit, 100); q.Limit <= 0 {
		q.Limit = 20
	}
	sq := storage.RelationQuery{Room: room.NID(), RelType: q.RelType, Type: q.EventType, Backward: q.Backward, Limit: q.Limit + 1}
	sq.After, sq.Upto = s.stretch(q)
	if q.Recurse {
		return s.relatedDeep(ctx, v, q, sq)
	}
	return s.related(ctx, v, q, sq)
}

// stretch is the span of positions that a request is about.
func (s *Service) stretch(q RelationsRequest) (after, upto int64) {
	first, last := q.From, q.To
	if q.Backward {
		first, last = last, first
	}
	after, upto = -1, s.db.Position()
	if first != nil && first.Live {
		after = first.Pos
	}
	if last != nil && last.Live {
		upto = min(upto, last.Pos)
	}
	return after, upto
}

// related pages through the direct relations, passing over those that the user may not see.
func (s *Service) related(ctx context.Context, v *viewer, q RelationsRequest, sq storage.RelationQuery) (*RelationsPage, error) {
	page := &RelationsPage{Depth: 1}
	for looked := 0; ; {
		found, err := s.relatingTo(ctx, q.Parent, sq)
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			if len(page.Events) == q.Limit {
				page.Next = nextAfter(page.Events, q.Backward)
				return page, nil
			}
			seen, err := v.filter(ctx, []*Stored{e})
			if err != nil {
				return nil, err
			}
			page.Events = append(page.Events, seen...)
		}
		if len(found) < sq.Limit || found[len(found)-1].Row.Pos == 0 {
			return page, nil
		}
		if looked += len(found); looked >= maxRelated { // Why: who has left may see none of a million
			page.Next = nextAfter(found, q.Backward)
			return page, nil
		}
		if last := found[len(found)-1].Row.Pos; q.Backward {
			sq.Upto = last - 1
		} else {
			sq.After = last
		}
	}
}

// relatedDeep follows relations of relations, and cuts a page out of all it finds.
func (s *Service) relatedDeep(ctx context.Context, v *viewer, q RelationsRequest, sq storage.RelationQuery) (*RelationsPage, error) {
	after, upto := sq.After, sq.Upto
	sq = storage.RelationQuery{Room: sq.Room, After: -1, Upto: s.db.Position(), Limit: maxRelated}
	page := &RelationsPage{}
	seen := map[matrix.EventID]bool{q.Parent: true}
	level := []matrix.EventID{q.Parent}
	var all []*Stored
	for ; page.Depth < relationDepth && len(level) > 0 && len(all) < maxRelated; page.Depth++ {
		var next []matrix.EventID
		for _, parent := range level {
			found, err := s.relatingTo(ctx, parent, sq)
			if err != nil {
				return nil, err
			}
			for _, e := range found {
				if seen[e.ID] || len(all) >= maxRelated {
					continue
				}
				seen[e.ID] = true
				next = append(next, e.ID)
				all = append(all, e)
			}
		}
		level = next
	}
	slices.SortFunc(all, func(a, b *Stored) int { return cmp.Compare(a.Row.Pos, b.Row.Pos) })
	if q.Backward {
		slices.Reverse(all)
	}
	for _, e := range all {
		r, _ := relationIn(e.Content)
		if e.Row.Pos <= after || e.Row.Pos > upto || q.RelType != "" && r.RelType != q.RelType || q.EventType != "" && e.Type != q.EventType {
			continue
		}
		seen, err := v.filter(ctx, []*Stored{e})
		if err != nil {
			return nil, err
		}
		if len(seen) == 0 {
			continue
		}
		if len(page.Events) == q.Limit {
			page.Next = nextAfter(page.Events, q.Backward)
			break
		}
		page.Events = append(page.Events, seen...)
	}
	return page, nil
}

// relatingTo reads the events that relate to another.
func (s *Service) relatingTo(ctx context.Context, parent matrix.EventID, q storage.RelationQuery) ([]*Stored, error) {
	q.Target = matrix.HashID(parent)
	nids, err := s.db.ListRelations(ctx, q)
	if err != nil || len(nids) == 0 {
		return nil, err
	}
	return s.Events(ctx, nids)
}

// nextAfter is the place behind the last event of a page.
func nextAfter(events []*Stored, backward bool) *matrix.PageToken {
	pos := events[len(events)-1].Row.Pos
	if backward {
		pos--
	}
	t := matrix.LivePage(max(pos, 0))
	return &t
}

// ThreadsRequest asks for a page of a room's threads. Spec: client-server-api/#querying-threads-in-a-room
type ThreadsRequest struct {
	// Participated asks for those only in which the user wrote.
	Participated bool
	From         *matrix.PageToken
	Limit        int
}

// Threads reads the roots of a room's threads, the one written to last first.
func (s *Service) Threads(ctx context.Context, room *Room, c matrix.Caller, q ThreadsRequest) ([]*Stored, *matrix.PageToken, error) {
	v, err := s.viewerFor(ctx, room, c.User)
	if err != nil {
		return nil, nil, err
	}
	if err := s.mayRead(ctx, v); err != nil {
		return nil, nil, err
	}
	if q.Limit = min(q.Limit, 100); q.Limit <= 0 {
		q.Limit = 20
	}
	before, own := int64(0), int64(0)
	if q.From != nil {
		before = q.From.Pos
	}
	if q.Participated {
		own = c.UserNID
	}
	list, err := s.db.ListThreads(ctx, room.NID(), before, own, q.Limit+1)
	if err != nil {
		return nil, nil, err
	}
	var next *matrix.PageToken
	if len(list) > q.Limit {
		list = list[:q.Limit]
		t := matrix.LivePage(list[q.Limit-1].Last)
		next = &t
	}
	var roots []*Stored
	for _, t := range list {
		root, err := s.threadRoot(ctx, v, t)
		if err != nil {
			return nil, nil, err
		}
		if root != nil {
			roots = append(roots, root)
		}
	}
	return roots, next, nil
}

// threadRoot finds the event that a thread's last one names; nil when it is not known or the user may not see it.
func (s *Service) threadRoot(ctx context.Context, v *viewer, t storage.Thread) (*Stored, error) {
	nids, err := s.db.ListRelations(ctx, storage.RelationQuery{Room: v.room.NID(), Target: t.Target, RelType: "m.thread",
		After: -1, Upto: t.Last, Backward: true, Limit: 1})
	if err != nil || len(nids) == 0 {
		return nil, err
	}
	last, err := s.Events(ctx, nids)
	if err != nil || len(last) == 0 {
		return nil, err
	}
	r, ok := relationIn(last[0].Content)
	if !ok {
		return nil, nil
	}
	root, err := s.EventByID(ctx, v.room, r.EventID)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if ok, err := v.sees(ctx, root); err != nil || !ok {
		return nil, err
	}
	// Spec: client-server-api/#get_matrixclientv1roomsroomidthreads: the root of an ignored user is shown redacted.
	ignored, err := v.ignores(ctx)
	if err != nil {
		return nil, err
	}
	if ignored[root.Sender] {
		return root.bare()
	}
	return v.asSeen(ctx, root)
}
