package rooms

import (
	"context"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Remove makes this installation forget a room: from the first moment on it is unknown here, and then all that it left goes,
// in pieces; step is called after each. It may be repeated with the same number after a crash, when the room itself is
// unknown already. Nobody should be in the room any more.
func (s *Service) Remove(ctx context.Context, nid int64, id matrix.RoomID, step func() error) error {
	c := &storage.Change{}
	c.Guard(storage.CloseRoom(nid, s.nowMS())...)
	c.Live(storage.Live{Kind: storage.KindRoom, Room: nid})
	if err := s.db.Commit(ctx, c); err != nil {
		return err
	}
	s.rooms.drop(nid, id)
	s.events.removeRoom(nid)
	return s.db.PurgeRoom(ctx, nid, step)
}

// drop forgets a room that is gone; whoever still holds it finds nothing any more.
func (c *roomCache) drop(nid int64, id matrix.RoomID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.held[nid]; el != nil {
		h, _ := c.order.Remove(el).(*heldRoom)
		c.used -= h.bytes
		delete(c.held, nid)
	}
	if p, ok := c.nids[nid]; ok {
		if r := p.Value(); r != nil {
			r.stale.Store(true)
			r.hide()
		}
	}
	delete(c.nids, nid)
	if c.ids[id] == nid {
		delete(c.ids, id)
	}
}

// Heads are the events of a room that nothing refers to yet.
func (s *Service) Heads(ctx context.Context, r *Room) ([]*Stored, error) {
	n, err := r.snapshotNow(ctx)
	if err != nil {
		return nil, err
	}
	nids := make([]int64, len(n.heads))
	for i, h := range n.heads {
		nids[i] = h.nid
	}
	return s.Events(ctx, nids)
}

// JoinHeads joins the heads of a room to one by an event of a local member, and tells how many heads there are less.
func (s *Service) JoinHeads(ctx context.Context, r *Room) (int, error) {
	v, err := s.Current(ctx, r)
	if err != nil || len(v.snap.heads) < 2 {
		return 0, err
	}
	s.joinHeads(ctx, r)
	after, err := s.Current(ctx, r)
	if err != nil {
		return 0, err
	}
	return max(0, len(v.snap.heads)-len(after.snap.heads)), nil
}
