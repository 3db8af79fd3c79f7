package rooms

import (
	"context"
	"encoding/json"

	"rempart/storage"
)

// FoldJob is the kind of the jobs that fold what a purge left of a room's old states.
const FoldJob = "rooms.fold"

// Folding is the body of such a job. Its second half runs some time after the first, when no write is under way any
// more that was built on what the first half gave up.
type Folding struct {
	Room   int64 `json:"room"`
	Before int64 `json:"before"`
	Second bool  `json:"second,omitempty"`
}

// foldLater adds to a Change the job of folding a room's states from before a position.
func (s *Service) foldLater(ctx context.Context, c *storage.Change, f Folding, due int64) error {
	nid, err := s.db.NewID(ctx, storage.OtherNIDs)
	if err != nil {
		return err
	}
	body, err := json.Marshal(f)
	if err == nil {
		c.Add(&storage.JobRow{Job: storage.Job{NID: nid, Kind: FoldJob, Body: body, Due: due}})
	}
	return err
}

// foldWait is how long, in milliseconds, a write that is under way may take.
const foldWait = 60_000

// Fold does one half of the work: the state before events that are older than the position is no longer known, and
// then the rows go that only they needed. What such an event would be judged by is from then on asked for elsewhere, as
// with any event whose state is not known.
func (s *Service) Fold(ctx context.Context, f Folding) error {
	r, err := s.RoomByNID(ctx, f.Room)
	if err != nil {
		return err
	}
	now, err := r.snapshotNow(ctx)
	if err != nil {
		return err
	}
	heads := make([]int64, len(now.heads))
	for i, h := range now.heads {
		heads[i] = h.nid
	}
	kept, err := s.db.ListKept(ctx, r.nid, f.Before, heads)
	if err != nil {
		return err
	}
	if f.Second {
		return s.foldState(ctx, r, now, kept)
	}
	if err := s.db.FoldEvents(ctx, r.nid, f.Before, kept.Depth, heads); err != nil {
		return err
	}
	s.events.removeRoom(r.nid)
	c := &storage.Change{}
	c.Live(storage.Live{Kind: storage.KindRoom, Room: r.nid}) // other nodes forget these events too
	f.Second = true
	if err := s.foldLater(ctx, c, f, s.opts.Clock().UnixMilli()+foldWait); err != nil {
		return err
	}
	return s.db.Commit(ctx, c)
}

func (s *Service) foldState(ctx context.Context, r *Room, now *snapshot, kept *storage.Kept) error {
	if kept.Seq > now.seq || kept.Seq == 0 {
		return nil
	}
	m, err := s.stateAt(ctx, r, Version{Seq: kept.Seq})
	if err != nil {
		return err
	}
	n, err := s.db.FoldState(ctx, r.nid, kept, m.pairs())
	s.log.Info("old room state folded", "room", string(r.id), "rows", n)
	return err
}
