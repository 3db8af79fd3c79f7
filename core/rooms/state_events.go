package rooms

import (
	"context"
	"errors"
	"fmt"

	"rempart/core/appservice"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Stored is an event with what this installation knows of it. It is shared and must not be changed.
type Stored struct {
	*matrix.Event // the redacted form once a redaction took effect
	Row           storage.EventRow
	// RedactedBy is the redaction that took effect; nil for none.
	RedactedBy *matrix.Event

	full   *matrix.Event // the event as it came, when Event is the redacted form
	by     int64         // the number of the redaction, for one that was there before the event
	commit *commitment   // while the event is on its way
	posted bool          // other servers are to hear of it from us
	txn    *Transaction  // that made it here, while that is remembered
	// followers are the application services that are to hear of it.
	followers []*appservice.Service
}

// Before is the version of the room's state before the event.
func (e *Stored) Before() Version { return Version{e.Row.Branch, e.Row.Seq} }

// Position is the event's place in the live stream; 0 when it has none.
func (e *Stored) Position() int64 { return e.Row.Pos }

// Has reports whether all the flags are set.
func (e *Stored) Has(f storage.EventFlag) bool { return e.Row.Flags&f == f }

// After is the version of the room's state after the event.
func (e *Stored) After() Version {
	switch {
	case e.Row.Branch < 0 || e.Row.StateKey == 0 || e.Has(storage.FlagRejected):
		return e.Before()
	case e.Has(storage.FlagOwnBranch) && e.Row.Branch != e.Row.NID:
		return Version{e.Row.NID, 1}
	}
	return Version{e.Row.Branch, e.Row.Seq + 1}
}

// unredacted is the event as it came.
// Why: what an event authorises must not depend on whether its redaction was here already. A redaction takes the keys from a
// third-party invite.
func (e *Stored) unredacted() *matrix.Event {
	if e.full != nil {
		return e.full
	}
	return e.Event
}

func (e *Stored) bytes() int64 { return 768 + 2*int64(len(e.JSON)) }

// Events reads events by number, in the order asked for; those that do not exist are left out.
func (s *Service) Events(ctx context.Context, nids []int64) ([]*Stored, error) {
	return s.eventsBy(ctx, nids, true)
}

// eventsBy is Events; keep says whether those that are read stay in memory.
func (s *Service) eventsBy(ctx context.Context, nids []int64, keep bool) ([]*Stored, error) {
	out := make([]*Stored, len(nids))
	var missing []int64
	for i, nid := range nids {
		if out[i] = s.events.get(nid); out[i] == nil {
			missing = append(missing, nid)
		}
	}
	if len(missing) > 0 {
		found, err := s.readEvents(ctx, missing, keep)
		if err != nil {
			return nil, err
		}
		for i, nid := range nids {
			if out[i] == nil {
				out[i] = found[nid]
			}
		}
	}
	kept := out[:0]
	for _, e := range out {
		if e != nil {
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// event reads one event that must exist.
func (s *Service) event(ctx context.Context, nid int64) (*Stored, error) {
	if e := s.events.get(nid); e != nil {
		return e, nil
	}
	found, err := s.readEvents(ctx, []int64{nid}, true)
	if err != nil {
		return nil, err
	}
	if found[nid] == nil {
		return nil, fmt.Errorf("event %d: %w", nid, storage.ErrNotFound)
	}
	return found[nid], nil
}

func (s *Service) readEvents(ctx context.Context, nids []int64, keep bool) (map[int64]*Stored, error) {
	var records []*storage.EventRecord
	removals := s.events.removals.Load()
	err := s.db.EachEvent(ctx, nids, func(r *storage.EventRecord) error {
		records = append(records, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	found := make(map[int64]*Stored, len(records))
	for _, r := range records {
		e, err := s.restore(ctx, r)
		if err != nil {
			return nil, err
		}
		found[r.EventRow.NID] = e
		if keep {
			s.events.keep(e, removals)
		}
	}
	return found, nil
}

// restore makes the event of its record.
func (s *Service) restore(ctx context.Context, r *storage.EventRecord) (*Stored, error) {
	room, err := s.RoomByNID(ctx, r.EventRow.Room)
	if err != nil {
		return nil, err
	}
	e := &Stored{Row: r.EventRow}
	if e.Event, err = room.version.ParseTrusted(r.ID, r.JSON); err != nil {
		return nil, err
	}
	if r.RedactedBy != 0 {
		e.full = e.Event
		if e.Event, err = room.version.ParseTrusted(r.ID, r.Redacted); err != nil {
			return nil, err
		}
		if e.RedactedBy, err = s.redaction(ctx, room, r.RedactedBy); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// redaction is the event by which another was redacted, as it is shown. Why not as any event is read, with what redacted it in turn: in room
// versions 1 and 2 two events may name one another.
func (s *Service) redaction(ctx context.Context, room *Room, nid int64) (by *matrix.Event, err error) {
	if e := s.events.get(nid); e != nil {
		return e.Event, nil
	}
	err = s.db.EachEvent(ctx, []int64{nid}, func(r *storage.EventRecord) (err error) {
		text := r.JSON
		if r.RedactedBy != 0 {
			text = r.Redacted
		}
		by, err = room.version.ParseTrusted(r.ID, text)
		return err
	})
	if err == nil && by == nil {
		by = &matrix.Event{} // Why no error: it was purged, and what it redacted is state, which stays
	}
	return by, err
}

// EventByID finds an event of a room; M_NOT_FOUND when it is not known.
func (s *Service) EventByID(ctx context.Context, r *Room, id matrix.EventID) (*Stored, error) {
	e, err := s.findEvent(ctx, r, id)
	if err == nil && e == nil {
		return nil, matrix.NotFound("This event is not known here.")
	}
	return e, err
}

// findEvent is EventByID with nil for what is not known.
func (s *Service) findEvent(ctx context.Context, r *Room, id matrix.EventID) (*Stored, error) {
	if e := s.events.find(r.nid, id); e != nil {
		return e, nil
	}
	removals := s.events.removals.Load()
	rec, err := s.db.FindEvent(ctx, r.nid, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e, err := s.restore(ctx, rec)
	if err == nil {
		s.events.keep(e, removals)
	}
	return e, err
}

// placedEvent is findEvent for who needs to know where the event stands. Why an outlier is read again: another node may have given it its place,
// of which the stream does not tell.
func (s *Service) placedEvent(ctx context.Context, r *Room, id matrix.EventID) (*Stored, error) {
	e, err := s.findEvent(ctx, r, id)
	if err != nil || e == nil || !e.Has(storage.FlagOutlier) {
		return e, err
	}
	s.events.remove(e.Row.NID)
	return s.findEvent(ctx, r, id)
}
