package rooms

import (
	"context"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// viewer decides which events of one room one user may see. It remembers what it looked up, since many events share
// a version of the state. Not for concurrent use.
//
// Spec: client-server-api/#room-history-visibility
type viewer struct {
	s    *Service
	room *Room
	user matrix.UserID
	// joined says that the user is a member now; left is where the user last stopped being one (a stream position).
	joined bool
	member storage.MembershipRow
	all    bool // he is the Auditor
	// oldest is the time before which messages have had their day.
	oldest int64

	at   map[Version]standing
	past map[matrix.StateTuple][]storage.StateRow // what lookAhead has read: values of pieces of state, the oldest first
	// earlier are the events that those looked at together took the place of; nil for one that took nobody's.
	earlier map[int64]*Stored
	gone    map[matrix.UserID]bool // senders looked up: did they want to be forgotten?
	// ignored are those of whom the user wants to hear nothing; nil: not read yet.
	ignored map[matrix.UserID]bool
}

// standing is what the state before an event says about the user.
type standing struct {
	visibility, membership string
}

// viewerFor reads how the user stands to the room now.
func (s *Service) viewerFor(ctx context.Context, room *Room, user matrix.UserID) (*viewer, error) {
	v := &viewer{s: s, room: room, user: user, at: map[Version]standing{}}
	if user == Auditor {
		v.all, v.joined = true, true
		return v, nil
	}
	var err error
	if v.oldest, err = s.Oldest(ctx, room); err != nil {
		return nil, err
	}
	nid, err := s.db.FindUserNID(ctx, user)
	if errors.Is(err, storage.ErrNotFound) {
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	v.member, err = s.db.FindMembership(ctx, nid, room.NID())
	if errors.Is(err, storage.ErrNotFound) {
		return v, nil
	}
	v.joined = v.member.Membership == storage.MemberJoin
	return v, err
}

// Visible keeps those events that the user may see, in their order.
func (s *Service) Visible(ctx context.Context, room *Room, user matrix.UserID, events []*Stored) ([]*Stored, error) {
	v, err := s.viewerFor(ctx, room, user)
	if err != nil {
		return nil, err
	}
	return v.filter(ctx, events)
}

func (v *viewer) filter(ctx context.Context, events []*Stored) ([]*Stored, error) {
	out := make([]*Stored, 0, len(events))
	for _, e := range events {
		ok, err := v.sees(ctx, e)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if e, err = v.asSeen(ctx, e); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// sees applies the rules to one event, with the state before it and, where the event changes what the rules look at,
// the state after it.
func (v *viewer) sees(ctx context.Context, e *Stored) (bool, error) {
	if e.Row.Flags&(storage.FlagRejected|storage.FlagSoftFailed|storage.FlagNoState) != 0 {
		return false, nil
	}
	if v.all {
		return true, nil
	}
	if e.Past(v.oldest) {
		return false, nil
	}
	if e.Has(storage.FlagOutlier) {
		// Why: when this installation entered the room, its state came without the history. Members see the state.
		return v.joined && e.IsState(), nil
	}
	before, err := v.before(ctx, e)
	if err != nil {
		return false, err
	}
	ok, err := v.allows(ctx, before, e)
	if ok || err != nil {
		return ok, err
	}
	after := before
	switch {
	case e.Type == "m.room.history_visibility" && e.StateKeyEquals(""):
		after.visibility = e.HistoryVisibility()
	case e.Type == "m.room.member" && e.StateKeyEquals(string(v.user)):
		after.membership = e.Membership()
	default:
		return false, nil
	}
	return v.allows(ctx, after, e)
}

func (v *viewer) before(ctx context.Context, e *Stored) (standing, error) {
	at := e.Before()
	if st, ok := v.at[at]; ok {
		return st, nil
	}
	st := standing{visibility: "shared"}
	if at.Branch == storage.FoldedBranch { // Why: who was there then is no longer known
		st.visibility = "joined"
		return st, nil
	}
	hv, err := v.keyAt(ctx, at, visibilityTuple())
	if err != nil {
		return st, err
	}
	if hv != nil {
		st.visibility = hv.HistoryVisibility()
	}
	member, err := v.keyAt(ctx, at, v.ownTuple())
	if err != nil {
		return st, err
	}
	if member != nil {
		st.membership = member.Membership()
	}
	if v.past == nil || at.Branch != 0 { // the rest is had from memory, and a state of its own for each of 50,000 members is much
		v.at[at] = st
	}
	return st, nil
}

func (v *viewer) allows(ctx context.Context, st standing, e *Stored) (bool, error) {
	switch {
	case st.membership == "join":
		return true, nil
	case st.visibility == "world_readable":
		return v.s.near(ctx, v.room, v.user.Server())
	case st.visibility == "invited":
		return st.membership == "invite", nil
	case st.visibility == "joined":
		return false, nil
	case v.joined: // shared, and the user joined after the event
		return true, nil
	}
	return v.joinedAfter(ctx, e)
}

// joinedAfter reports whether the user, who is no member now, became one at some point after the event.
func (v *viewer) joinedAfter(ctx context.Context, e *Stored) (bool, error) {
	if v.member.Membership == storage.MemberNone || e.Row.Pos > v.member.Pos {
		return false, nil
	}
	history, err := v.s.KeyHistory(ctx, v.room, matrix.StateTuple{Type: "m.room.member", Key: string(v.user)})
	if err != nil {
		return false, err
	}
	for _, m := range history {
		if m.Row.Pos >= e.Row.Pos && m.Membership() == "join" {
			return true, nil
		}
	}
	return false, nil
}

// canPeek reports whether someone who is not in the room may read its present: world_readable rooms only.
func (s *Service) canPeek(ctx context.Context, view *View, user matrix.UserID) (bool, error) {
	hv, err := view.Get(ctx, matrix.StateTuple{Type: "m.room.history_visibility"})
	if err != nil || hv == nil {
		return false, err
	}
	if hv.HistoryVisibility() != "world_readable" {
		return false, nil
	}
	return s.near(ctx, view.room, user.Server())
}
