package rooms

import (
	"context"
	"errors"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of what another server is told at once.
const (
	maxBackfill = 100
	maxGap      = 20
	maxVisitors = 200 // users of a server whose part in a room decides what it sees
)

// serverViewer decides which events of a room another server may see. Not for concurrent use.
type serverViewer struct {
	s    *Service
	room *Room
	// origin is the server, users those of it who ever had to do with the room; nil before anybody needs them.
	origin matrix.ServerName
	users  []matrix.UserID
	// until is the last event that the server may read, the one by which its last member went; 0 while it has a member.
	until  int64
	at     map[Version]bool
	erased map[matrix.UserID]bool // senders looked up
	// oldest is the time before which messages have had their day.
	oldest int64
	// waiting are events of the room that this server has not been told; nil before anybody needs them.
	waiting map[int64]bool
}

// viewerOf finds a room for a server that wants to read it: one with a member of that server, or that had one. Why who has gone too: the event
// by which he went refers to what his server may not have got, without which it could not take it in, and would go on with a room of its own. He
// is told nothing of later. Why not only where we are in it: what our last user said, and that he went, is asked for when he has gone; what we
// know of the room ends there.
func (s *Service) viewerOf(ctx context.Context, origin matrix.ServerName, id matrix.RoomID) (*serverViewer, error) {
	r, err := s.known(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.admitsTo(ctx, r, origin); err != nil {
		return nil, err
	}
	v := &serverViewer{s: s, room: r, origin: origin, at: map[Version]bool{}, erased: map[matrix.UserID]bool{}}
	in, err := s.joinedFrom(ctx, r, origin)
	if err == nil && !in {
		var were visitors
		were, err = s.visitorsOf(ctx, r, origin)
		if v.until = were.gone; err == nil && v.until == 0 {
			err = matrix.Forbidden("Your server is not in this room.")
		}
	}
	if err == nil {
		v.oldest, err = s.Oldest(ctx, r)
	}
	return v, err
}

// reaches reports whether an event was here before the server's last member went.
func (v *serverViewer) reaches(e *Stored) bool { return v.until == 0 || e.Row.NID <= v.until }

// sees applies the room's history visibility at the event to the server's users.
// Spec: client-server-api/#room-history-visibility
func (v *serverViewer) sees(ctx context.Context, e *Stored) (bool, error) {
	if !e.Before().Known() {
		return e.IsState(), nil
	}
	if ok, seen := v.at[e.Before()]; seen {
		return ok, nil
	}
	ok, err := v.allows(ctx, e.Before())
	if err == nil {
		v.at[e.Before()] = ok
	}
	return ok, err
}

func (v *serverViewer) allows(ctx context.Context, at Version) (bool, error) {
	hv, err := v.s.KeyAt(ctx, v.room, at, matrix.StateTuple{Type: "m.room.history_visibility"})
	if err != nil || hv == nil {
		return err == nil, err
	}
	visibility := hv.HistoryVisibility()
	if visibility != "joined" && visibility != "invited" {
		return true, nil
	}
	return v.had(ctx, at, visibility == "invited")
}

// had reports whether the server had a member in the room, or one who was invited if that is enough.
func (v *serverViewer) had(ctx context.Context, at Version, invited bool) (bool, error) {
	if v.users == nil {
		all, err := v.s.visitorsOf(ctx, v.room, v.origin)
		if err != nil {
			return false, err
		}
		v.users = all.users[:min(len(all.users), maxVisitors)]
	}
	for _, u := range v.users {
		m, err := v.s.KeyAt(ctx, v.room, at, memberTuple(u))
		if err != nil {
			return false, err
		}
		if m != nil && (m.Membership() == "join" || invited && m.Membership() == "invite") {
			return true, nil
		}
	}
	return false, nil
}

// show is an event as the server may see it: whole, or as a redaction would leave it, so that the graph holds together.
func (v *serverViewer) show(ctx context.Context, e *Stored) (*matrix.Event, error) {
	if held, err := v.holds(ctx, e); held || err != nil {
		return orRedacted(e, err)
	}
	if e.IsState() {
		return e.Event, nil
	}
	if e.Past(v.oldest) {
		return e.Redacted()
	}
	ok, err := v.sees(ctx, e)
	if err == nil && ok {
		ok, err = v.unforgotten(ctx, e)
	}
	if err != nil || ok {
		return e.Event, err
	}
	return e.Redacted()
}

// unforgotten is false of what somebody said whose account was closed with erasure, for servers that were not there.
// Spec: client-server-api/#post_matrixclientv3accountdeactivate
func (v *serverViewer) unforgotten(ctx context.Context, e *Stored) (bool, error) {
	erased, known := v.erased[e.Sender]
	if !known {
		user, err := v.s.db.FindUser(ctx, e.Sender)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return false, err
		}
		erased = user.Is(storage.UserErased)
		v.erased[e.Sender] = erased
	}
	if !erased {
		return true, nil
	}
	return v.had(ctx, e.Before(), false)
}

func (v *serverViewer) showAll(ctx context.Context, events []*Stored) ([]*matrix.Event, error) {
	out := make([]*matrix.Event, 0, len(events))
	for _, e := range events {
		shown, err := v.show(ctx, e)
		if err != nil {
			return nil, err
		}
		out = append(out, shown)
	}
	return out, nil
}

// placed finds an event with its place, that another server names.
func (v *serverViewer) placed(ctx context.Context, id matrix.EventID) (*Stored, error) {
	e, err := v.s.placedEvent(ctx, v.room, id)
	if err != nil {
		return nil, err
	}
	if e == nil || !e.Before().Known() || e.Has(storage.FlagRejected) {
		return nil, matrix.NotFound("This event is not known here.")
	}
	if !v.reaches(e) {
		return nil, orForbidden(nil)
	}
	return e, nil
}

// ServeEvent is one event for another server. Spec: server-server-api/#get_matrixfederationv1eventeventid
func (s *Service) ServeEvent(ctx context.Context, origin matrix.ServerName, id matrix.EventID) (*matrix.Event, error) {
	rooms, err := s.db.ListRoomsOfEvent(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, nid := range rooms {
		r, err := s.RoomByNID(ctx, nid)
		if err != nil {
			return nil, err
		}
		v, err := s.viewerOf(ctx, origin, r.id)
		if matrix.HasCode(err, matrix.CodeForbidden) && len(rooms) > 1 {
			continue // Why: in versions 1 and 2 anybody may give an event of his room the id of one of another
		}
		if err != nil {
			return nil, err
		}
		e, err := s.EventByID(ctx, r, id)
		if err != nil || e.Has(outOfBand) {
			continue
		}
		if !v.reaches(e) {
			return nil, orForbidden(nil)
		}
		return v.show(ctx, e)
	}
	return nil, matrix.NotFound("This event is not known here.")
}

// ServeState is the state before an event and what it rests on, for another server.
// Spec: server-server-api/#get_matrixfederationv1stateroomid
func (s *Service) ServeState(ctx context.Context, origin matrix.ServerName, id matrix.RoomID, at matrix.EventID) (state, auth []*Stored, err error) {
	v, e, err := s.viewerAt(ctx, origin, id, at)
	if err != nil {
		return nil, nil, err
	}
	if state, auth, err = s.StateWithAuth(ctx, v.room, e.Before()); err != nil {
		return nil, nil, err
	}
	return state, auth, errors.Join(v.holdBack(ctx, state), v.holdBack(ctx, auth))
}

// viewerAt finds a room for a server that wants to know its state before an event, with the event.
func (s *Service) viewerAt(ctx context.Context, origin matrix.ServerName, id matrix.RoomID, at matrix.EventID) (*serverViewer, *Stored, error) {
	v, err := s.viewerOf(ctx, origin, id)
	if err != nil {
		return nil, nil, err
	}
	e, err := v.placed(ctx, at)
	if err != nil {
		return nil, nil, err
	}
	if ok, err := v.sees(ctx, e); err != nil || !ok {
		return nil, nil, orForbidden(err)
	}
	return v, e, nil
}

func orForbidden(err error) error {
	if err == nil {
		err = matrix.Forbidden("Your server may not see this event.")
	}
	return err
}

// StateWithAuth is a whole state with the auth chains of its events.
func (s *Service) StateWithAuth(ctx context.Context, r *Room, at Version) (state, auth []*Stored, err error) {
	if state, err = s.stateEvents(ctx, r, at); err != nil {
		return nil, nil, err
	}
	auth, err = s.authChain(ctx, state)
	return state, auth, err
}

// authChain are all events that some events rest on, those themselves left out unless others rest on them.
func (s *Service) authChain(ctx context.Context, of []*Stored) ([]*Stored, error) {
	var chain []*Stored
	seen := map[int64]bool{}
	todo := of
	for len(todo) > 0 {
		var next []int64
		for _, e := range todo {
			for _, nid := range e.Row.Auth {
				if !seen[nid] {
					seen[nid] = true
					next = append(next, nid)
				}
			}
		}
		events, err := s.Events(ctx, next)
		if err != nil {
			return nil, err
		}
		chain, todo = append(chain, events...), events
	}
	return s.withCreate(ctx, chain, of, seen)
}

// withCreate adds the create event, which events of room version 12 rest on without naming it.
func (s *Service) withCreate(ctx context.Context, chain, of []*Stored, seen map[int64]bool) ([]*Stored, error) {
	if len(of) == 0 || !of[0].Version.RoomIDIsCreateHash {
		return chain, nil
	}
	r, err := s.RoomByNID(ctx, of[0].Row.Room)
	if err != nil {
		return nil, err
	}
	create, err := s.findEvent(ctx, r, r.id.CreateEventID())
	if err != nil || create == nil || seen[create.Row.NID] {
		return chain, err
	}
	return append(chain, create), nil
}

// ServeEventAuth is the auth chain of an event. Spec: server-server-api/#get_matrixfederationv1event_authroomideventid
func (s *Service) ServeEventAuth(ctx context.Context, origin matrix.ServerName, id matrix.RoomID, event matrix.EventID) ([]*Stored, error) {
	v, err := s.viewerOf(ctx, origin, id)
	if err != nil {
		return nil, err
	}
	e, err := s.EventByID(ctx, v.room, event)
	if err == nil && !v.reaches(e) {
		err = orForbidden(nil)
	}
	if err != nil {
		return nil, err
	}
	chain, err := s.authChain(ctx, []*Stored{e})
	if err != nil {
		return nil, err
	}
	return chain, v.holdBack(ctx, chain)
}

// ServeBackfill are events of a room, the named ones and those before them, newest first.
// Spec: server-server-api/#get_matrixfederationv1backfillroomid
func (s *Service) ServeBackfill(ctx context.Context, origin matrix.ServerName, id matrix.RoomID, from []matrix.EventID, limit int) ([]*matrix.Event, error) {
	v, err := s.viewerOf(ctx, origin, id)
	if err != nil {
		return nil, err
	}
	events, err := s.ancestors(ctx, v.room, from, nil, true, clamp(limit, maxBackfill))
	if err != nil {
		return nil, err
	}
	// MSC1763: an expired event is not shared with other servers. Why these are left out, and those of a gap redacted: nothing is built on them.
	return v.showAll(ctx, slices.DeleteFunc(events, func(e *Stored) bool { return e.Past(v.oldest) || !v.reaches(e) }))
}

// ServeMissing are events of a room between two sets, both left out, oldest first.
// Spec: server-server-api/#post_matrixfederationv1get_missing_eventsroomid
func (s *Service) ServeMissing(ctx context.Context, origin matrix.ServerName, id matrix.RoomID, earliest, latest []matrix.EventID,
	limit int, minDepth int64) ([]*matrix.Event, error) {
	v, err := s.viewerOf(ctx, origin, id)
	if err != nil {
		return nil, err
	}
	events, err := s.ancestors(ctx, v.room, latest, earliest, false, clamp(limit, maxGap))
	if err != nil {
		return nil, err
	}
	events = slices.DeleteFunc(events, func(e *Stored) bool { return e.Event.Depth < minDepth || !v.reaches(e) })
	slices.Reverse(events)
	return v.showAll(ctx, events)
}

func clamp(n, most int) int {
	if n <= 0 {
		return min(10, most)
	}
	return min(n, most)
}

// ancestors walks back from some events, the deepest first, up to a limit; it stops at those named in until.
func (s *Service) ancestors(ctx context.Context, r *Room, from, until []matrix.EventID, own bool, limit int) ([]*Stored, error) {
	stop := map[int64]bool{}
	for _, id := range until[:min(len(until), 100)] {
		if e, err := s.findEvent(ctx, r, id); err == nil && e != nil {
			stop[e.Row.NID] = true
		}
	}
	var front, out []*Stored
	seen := map[int64]bool{}
	add := func(e *Stored) {
		if !seen[e.Row.NID] && !stop[e.Row.NID] && e.Before().Known() {
			seen[e.Row.NID] = true
			front = append(front, e)
		}
	}
	for _, id := range from[:min(len(from), 100)] {
		e, err := s.findEvent(ctx, r, id)
		if err != nil {
			return nil, err
		}
		if e == nil {
			continue
		}
		if own {
			add(e)
			continue
		}
		seen[e.Row.NID] = true
		parents, err := s.Events(ctx, e.Row.Prev)
		if err != nil {
			return nil, err
		}
		for _, p := range parents {
			add(p)
		}
	}
	for len(front) > 0 && len(out) < limit {
		i := deepest(front)
		e := front[i]
		front = slices.Delete(front, i, i+1)
		if !e.Has(storage.FlagRejected) {
			out = append(out, e)
		}
		parents, err := s.Events(ctx, e.Row.Prev)
		if err != nil {
			return nil, err
		}
		for _, p := range parents {
			add(p)
		}
	}
	return out, nil
}

// deepest is the index of the event that stands last in room order.
func deepest(events []*Stored) int {
	i := 0
	for j, e := range events {
		if e.Row.Depth > events[i].Row.Depth || e.Row.Depth == events[i].Row.Depth && e.Row.NID > events[i].Row.NID {
			i = j
		}
	}
	return i
}
