package rooms

import (
	"context"
	"errors"
	"slices"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/storage"
)

// readable is the version of a room's state that a user may read: the present for members and in world-readable
// rooms, the state at the leave for those who left.
func (s *Service) readable(ctx context.Context, room *Room, user matrix.UserID) (Version, error) {
	if user == Auditor {
		return s.CurrentVersion(ctx, room)
	}
	m, err := s.standingOf(ctx, room, user)
	if err != nil {
		return Version{}, err
	}
	if m.Membership == storage.MemberJoin {
		return s.CurrentVersion(ctx, room)
	}
	view, err := s.Current(ctx, room)
	if err != nil {
		return Version{}, err
	}
	if open, err := s.canPeek(ctx, view, user); err != nil || open {
		return view.Version(), err
	}
	if m.Forgotten || m.Membership != storage.MemberLeave && m.Membership != storage.MemberBan {
		return Version{}, notInRoom()
	}
	left, err := s.lastLeave(ctx, room, user)
	if err != nil {
		return Version{}, err
	}
	if left == nil {
		return Version{}, notInRoom()
	}
	return left.After(), nil
}

// lastLeave is the event by which the user last stopped being a member; nil when he never was one. What came after it,
// such as a ban, he does not see.
func (s *Service) lastLeave(ctx context.Context, room *Room, user matrix.UserID) (*Stored, error) {
	history, err := s.KeyHistory(ctx, room, memberTuple(user))
	var left *Stored
	joined := false
	for _, e := range history {
		switch is := e.Membership() == "join"; {
		case is:
			joined = true
		case joined:
			joined, left = false, e
		}
	}
	return left, err
}

// State is the whole state that the user may read.
// Spec: client-server-api/#get_matrixclientv3roomsroomidstate
func (s *Service) State(ctx context.Context, room *Room, user matrix.UserID) ([]*Stored, error) {
	at, err := s.readable(ctx, room, user)
	if err != nil {
		return nil, err
	}
	return s.stateEvents(ctx, room, at)
}

func (s *Service) stateEvents(ctx context.Context, room *Room, at Version) ([]*Stored, error) {
	nids, err := s.stateNIDs(ctx, room, at)
	if err != nil {
		return nil, err
	}
	return s.Events(ctx, nids)
}

// stateNIDs are the numbers of the events of a whole state, ascending.
func (s *Service) stateNIDs(ctx context.Context, room *Room, at Version) ([]int64, error) {
	if !at.Known() {
		return nil, matrix.NotFound("The state there is not known here.")
	}
	state, err := s.stateAt(ctx, room, at)
	if err != nil {
		return nil, err
	}
	nids := make([]int64, 0, state.size())
	state.all(func(_, event int64) bool { nids = append(nids, event); return true })
	slices.Sort(nids)
	return nids, nil
}

// StateEvent is one piece of the state that the user may read, or M_NOT_FOUND.
// Spec: client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey
func (s *Service) StateEvent(ctx context.Context, room *Room, user matrix.UserID, t matrix.StateTuple) (*Stored, error) {
	at, err := s.readable(ctx, room, user)
	if err != nil {
		return nil, err
	}
	e, err := s.KeyAt(ctx, room, at, t)
	if err == nil && e == nil {
		err = matrix.NotFound("The room has no such state.")
	}
	return e, err
}

// Event is one event that the user may see, or M_NOT_FOUND.
// Spec: client-server-api/#get_matrixclientv3roomsroomideventeventid
func (s *Service) Event(ctx context.Context, room *Room, user matrix.UserID, id matrix.EventID) (*Stored, error) {
	e, err := s.EventByID(ctx, room, id)
	if isNotFound(err) {
		return nil, noEvent()
	}
	if err != nil {
		return nil, err
	}
	seen, err := s.Visible(ctx, room, user, []*Stored{e})
	if err != nil {
		return nil, err
	}
	if len(seen) == 0 {
		return nil, noEvent()
	}
	return seen[0], nil
}

func noEvent() error {
	return matrix.NotFound("There is no such event, or you may not see it.")
}

// MembersRequest chooses memberships. Spec: client-server-api/#get_matrixclientv3roomsroomidmembers
type MembersRequest struct {
	At                        *matrix.PageToken
	Membership, NotMembership string
}

// match reports whether a membership is asked for. Two conditions are joined by "or", as the specification has it.
func (q *MembersRequest) match(m string) bool {
	is, isNot := q.Membership != "", q.NotMembership != ""
	return !is && !isNot || is && m == q.Membership || isNot && m != q.NotMembership
}

// Members lists membership events as the caller may read them, at a point of the timeline if one is named.
func (s *Service) Members(ctx context.Context, room *Room, c matrix.Caller, q MembersRequest) (*Listing, error) {
	at, err := s.readable(ctx, room, c.User)
	if err != nil {
		return nil, err
	}
	if q.At != nil && q.At.Live && at.Branch == 0 {
		seq, err := s.db.StateSeqAt(ctx, room.NID(), q.At.Pos)
		if err != nil {
			return nil, err
		}
		// Why: a room's first two versions are its creation and its creator's join. A client that shows the room from its
		// beginning asks for its members there, and before them there were none.
		at.Seq = min(max(seq, 2), at.Seq)
	}
	nids, err := s.stateNIDs(ctx, room, at)
	return &Listing{s: s, room: room, caller: c, nids: nids, keep: func(e *Stored) bool {
		return e.Type == "m.room.member" && q.match(e.Membership())
	}}, err
}

// JoinedMembers lists the members of a room, for members only.
func (s *Service) JoinedMembers(ctx context.Context, room *Room, c matrix.Caller) (*Listing, error) {
	m, err := s.standingOf(ctx, room, c.User)
	if err != nil {
		return nil, err
	}
	if m.Membership != storage.MemberJoin {
		return nil, notInRoom()
	}
	nids, err := s.db.ListMemberEvents(ctx, room.NID(), storage.MemberJoin)
	slices.Sort(nids)
	return &Listing{s: s, room: room, caller: c, nids: nids}, err
}

// Surroundings are the events around one event. Spec: client-server-api/#get_matrixclientv3roomsroomidcontexteventid
type Surroundings struct {
	Event         *Stored
	Before, After []*Stored // before: newest first
	Start, End    matrix.PageToken
	State         []*Stored
}

// Context reads what stands around an event. limit is split between both sides.
func (s *Service) Context(ctx context.Context, room *Room, user matrix.UserID, id matrix.EventID, limit int, f *EventFilter) (*Surroundings, error) {
	e, err := s.Event(ctx, room, user, id)
	if err != nil {
		return nil, err
	}
	out := &Surroundings{Event: e}
	here := matrix.HistoryPage(e.Row.Depth, e.Row.NID)
	before := matrix.HistoryPage(e.Row.Depth, e.Row.NID-1)
	if e.Row.Pos > 0 {
		here, before = matrix.LivePage(e.Row.Pos), matrix.LivePage(e.Row.Pos-1)
	}
	out.Start, out.End = before, here
	limit = max(limit, 0)
	if n := limit / 2; n > 0 {
		page, err := s.Messages(ctx, room, user, MessagesRequest{From: &before, Backward: true, Limit: n, Filter: f})
		if err != nil {
			return nil, err
		}
		out.Before, out.Start = page.Events, page.Reached
	}
	if n := limit - limit/2; n > 0 {
		page, err := s.Messages(ctx, room, user, MessagesRequest{From: &here, Limit: n, Filter: f})
		if err != nil {
			return nil, err
		}
		out.After, out.End = page.Events, page.Reached
	}
	last := e
	if n := len(out.After); n > 0 {
		last = out.After[n-1]
	}
	out.State, err = s.contextState(ctx, room, last, out, f)
	return out, err
}

// contextState is the state at the last event; with lazily loaded members only those who wrote.
func (s *Service) contextState(ctx context.Context, room *Room, last *Stored, c *Surroundings, f *EventFilter) ([]*Stored, error) {
	nids, err := s.stateNIDs(ctx, room, last.After())
	if err != nil {
		return nil, err
	}
	if f == nil {
		return s.Events(ctx, nids)
	}
	senders := map[matrix.UserID]bool{c.Event.Sender: true}
	for _, list := range [][]*Stored{c.Before, c.After} {
		for _, e := range list {
			senders[e.Sender] = true
		}
	}
	// Why in pieces: of 50,000 members a client that loads them lazily is shown some.
	list := &Listing{s: s, room: room, nids: nids, keep: func(e *Stored) bool {
		left := f.LazyLoadMembers && e.Type == "m.room.member" && !senders[matrix.UserID(*e.StateKey)]
		return !left && f.Match(e.Event)
	}}
	var kept []*Stored
	err = list.Each(ctx, func(events []*Stored) error {
		kept = append(kept, events...)
		return nil
	})
	return kept, err
}

// inviterOf finds a member of one of our servers who has the power to invite; "" when there is none.
func (s *Service) inviterOf(ctx context.Context, room *Room, v *View) (matrix.UserID, error) {
	locals, err := s.db.ListLocalMembers(ctx, room.NID(), storage.MemberJoin)
	if err != nil {
		return "", err
	}
	for _, u := range locals {
		key := ""
		auth, err := v.AuthState(ctx, u, "m.room.member", &key, nil)
		if err != nil {
			return "", err
		}
		if authrules.MayInvite(auth, u) {
			return u, nil
		}
	}
	return "", nil
}

// profile is what a local user shows of himself; empty for others.
func (s *Service) profile(ctx context.Context, user matrix.UserID) (storage.User, error) {
	u, err := s.db.FindUser(ctx, user)
	if errors.Is(err, storage.ErrNotFound) {
		return storage.User{}, nil
	}
	return u, err
}
