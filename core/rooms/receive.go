package rooms

import (
	"context"
	"errors"
	"fmt"
	"math"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Arrival says how events came.
type Arrival struct {
	// From is the server that sent them.
	From matrix.ServerName
	// Outliers are kept without a place in the graph: auth chains, and state that others told us.
	Outliers bool
	// Backfill is history from before our stream: it moves neither heads nor current state and wakes nobody.
	Backfill bool
	// State is the whole state before the events, where their prev_events are not known here; known events.
	State []matrix.EventID
	// Relay says that the other servers in the room are to hear of the events from us.
	Relay bool
}

// Outcome is what became of one event.
type Outcome struct {
	ID matrix.EventID
	// Stored is the event as it is kept, nil when it is not.
	Stored *Stored
	// Known says that the event was here before.
	Known bool
	// Refused says why the event was rejected or soft-failed; nil when it was accepted.
	Refused error
	// Err says why the event was not taken in.
	Err error
}

// ErrMissing says that an event refers to others which must be fetched first.
type ErrMissing struct {
	// Prev and Auth are the events that are not known here.
	Prev, Auth []matrix.EventID
}

func (e ErrMissing) Error() string {
	return fmt.Sprintf("%d previous and %d auth events are missing", len(e.Prev), len(e.Auth))
}

// Receive takes events into a room, each after those it refers to. Their format, hashes and signatures have been
// checked by the caller; the rest of the checks is made here. An event's own failure is in its Outcome; one that refers to
// what is not known fails with ErrMissing.
// Spec: server-server-api/#checks-performed-on-receipt-of-a-pdu
func (s *Service) Receive(ctx context.Context, id matrix.RoomID, events []*matrix.Event, a Arrival) ([]Outcome, error) {
	out := make([]Outcome, 0, len(events))
	for _, e := range inOrder(events) {
		o := Outcome{ID: e.ID}
		if e.RoomID != id {
			o.Err = matrix.Forbidden("The event belongs to another room.")
		} else {
			o.Err = s.receive(ctx, e, a, &o)
		}
		if o.Err != nil && ctx.Err() != nil {
			return out, ctx.Err()
		}
		out = append(out, o)
	}
	if r := s.rooms.byID(id); r != nil && !a.Outliers && !a.Backfill {
		s.collapse(ctx, r)
	}
	return out, nil
}

// inOrder puts parents before children, otherwise keeping the order.
func inOrder(events []*matrix.Event) []*matrix.Event {
	byID := make(map[matrix.EventID]*matrix.Event, len(events))
	for _, e := range events {
		byID[e.ID] = e
	}
	out := make([]*matrix.Event, 0, len(events))
	placed := make(map[matrix.EventID]bool, len(events)) // false: its parents are being placed, or lie in a circle with it
	for _, e := range events {
		for stack := []*matrix.Event{e}; len(stack) > 0; {
			top := stack[len(stack)-1]
			done, open := placed[top.ID]
			if open {
				if stack = stack[:len(stack)-1]; !done {
					placed[top.ID] = true
					out = append(out, top)
				}
				continue
			}
			placed[top.ID] = false
			for _, refs := range [][]matrix.EventID{top.PrevEvents, top.AuthEvents} {
				for _, id := range refs {
					if parent := byID[id]; parent != nil {
						if _, open := placed[id]; !open { // Why also when it waits on the stack: it must come before this one
							stack = append(stack, parent)
						}
					}
				}
			}
		}
	}
	return out
}

// receive takes in one event.
func (s *Service) receive(ctx context.Context, e *matrix.Event, a Arrival, o *Outcome) error {
	need := needs{events: 1}
	race := contender{s: s}
	defer race.end() //nolint:contextcheck // the others hear that the turn is over, whatever became of the event
	for {
		if err := need.satisfy(ctx, s); err != nil {
			return err
		}
		r, fresh, err := s.roomFor(ctx, e)
		if err != nil {
			return err
		}
		c, err := s.enqueue(ctx, r, &need, func(ctx context.Context, b *builder) error {
			b.newRoom = fresh
			*o = Outcome{ID: e.ID}
			return b.receive(ctx, e, a, o)
		})
		switch {
		case errors.Is(err, errNeeds):
			continue
		case errors.Is(err, storage.ErrStale):
		case err != nil || c == nil:
			return err
		default:
			err = c.finish(ctx)
		}
		if err == nil {
			if fresh != nil {
				s.rooms.add(r)
			}
			return nil
		}
		if !errors.Is(err, storage.ErrStale) && !s.db.IsDuplicate(err) || !race.lost(r) { //nolint:contextcheck // as race.end
			return fmt.Errorf("receive event %s: %w", e.ID, err)
		}
	}
}

// roomFor finds the room of an event. The first event of a room that is not known makes it: then its row is to be added.
func (s *Service) roomFor(ctx context.Context, e *matrix.Event) (*Room, *storage.RoomRow, error) {
	r, err := s.Room(ctx, e.RoomID)
	if err == nil || !matrix.HasCode(err, matrix.CodeNotFound) {
		return r, nil, err
	}
	if e.Type != "m.room.create" || !e.StateKeyEquals("") {
		return nil, nil, err
	}
	nid, err := s.db.NewID(ctx, storage.RoomNIDs)
	if err != nil {
		return nil, nil, err
	}
	r = &Room{s: s, nid: nid, id: e.RoomID, version: e.Version, tip: &snapshot{}}
	return r, &storage.RoomRow{NID: nid, RoomID: e.RoomID, RoomVersion: e.Version.ID, Created: s.nowMS(), Kind: roomKind(e)}, nil
}

// collapse joins the heads of a room that has too many, by events of a local member, each of which joins as many as it may name.
// Why: every head makes each further event and each resolution dearer, and remote servers may leave any number.
func (s *Service) collapse(ctx context.Context, r *Room) {
	for heads := math.MaxInt; ; {
		v, err := s.Current(ctx, r)
		if err != nil || len(v.snap.heads) <= maxHeads || len(v.snap.heads) >= heads || len(s.shutFor(r.nid, v.snap.servers, s.opts.Server)) > 0 {
			return
		}
		heads = len(v.snap.heads)
		s.joinHeads(ctx, r)
	}
}

// maxJoiners bounds in whose name it is tried to join heads.
const maxJoiners = 10

// joinHeads joins the heads of a room, as far as one event can.
func (s *Service) joinHeads(ctx context.Context, r *Room) {
	locals, err := s.db.ListLocalMembers(ctx, r.nid, storage.MemberJoin)
	if err != nil {
		s.log.Error("list members to collapse a room", "room", r.id, "error", err)
		return
	}
	for _, u := range locals[:min(len(locals), maxJoiners)] {
		dummy := Draft{Sender: u, Type: "org.matrix.dummy_event", Content: []byte("{}")}
		if _, err := s.Compose(ctx, r, func(*View) ([]Draft, error) { return []Draft{dummy}, nil }); err == nil {
			return
		}
	}
}
