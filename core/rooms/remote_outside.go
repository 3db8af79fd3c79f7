package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Outside is what a room that this installation is not in showed of itself to a user, as a JSON list of stripped state;
// nil when it showed nothing. Spec: client-server-api/#stripped-state
func (s *Service) Outside(ctx context.Context, m *storage.MembershipRow) (json.RawMessage, error) {
	row, err := s.db.FindOutside(ctx, m.User, m.Room)
	if errors.Is(err, storage.ErrNotFound) || err == nil && row.Event != m.Event {
		return nil, nil
	}
	return row.Stripped, err
}

// standOutside notes how a user stands to a room that this installation is not in, by an event that came or went without the room.
func (s *Service) standOutside(ctx context.Context, r *Room, e *matrix.Event, user matrix.UserID, stripped []json.RawMessage,
	via []matrix.ServerName) error {
	unlock, err := s.standing.lock(ctx, r.id)
	if err != nil {
		return err
	}
	defer unlock()
	return s.writeOutside(ctx, r, e, user, stripped, via)
}

// writeOutside is standOutside for who holds the room's lock.
func (s *Service) writeOutside(ctx context.Context, r *Room, e *matrix.Event, user matrix.UserID, stripped []json.RawMessage,
	via []matrix.ServerName) error {
	if stripped == nil {
		stripped = []json.RawMessage{}
	}
	list, err := json.Marshal(stripped)
	if err != nil {
		return err
	}
	need := needsOf([]*matrix.Event{e})
	need.users = append(need.users, user)
	if err := need.satisfy(ctx, s); err != nil {
		return err
	}
	known, err := s.findEvent(ctx, r, e.ID)
	if err != nil {
		return err
	}
	note := func(c *storage.Change, event int64) error {
		nid, err := s.db.FindUserNID(ctx, user)
		if err != nil {
			return err
		}
		live := 1 + c.Live(storage.Live{Kind: storage.KindMembership, Room: r.nid, User: nid})
		c.Add(&storage.MembershipRow{At: storage.At{Live: live}, User: nid, Room: r.nid, Event: event,
			Membership: membershipNumber(e.Membership())})
		c.Add(&storage.OutsideRow{User: nid, Room: r.nid, Event: event, Stripped: list, Via: joinNames(via)})
		s.announceOutside(c, live, event, user)
		return nil
	}
	if known != nil {
		c := &storage.Change{}
		if err := note(c, known.Row.NID); err != nil {
			return err
		}
		return s.db.Commit(ctx, c)
	}
	return s.retried(ctx, r, need, func(ctx context.Context, b *builder) error {
		st := &Stored{Event: e}
		if err := b.row(ctx, st, nil); err != nil {
			return err
		}
		st.Row.Branch, st.Row.Depth = -1, e.Depth
		st.Row.Flags |= outOfBand
		b.add(st)
		return note(b.change, st.Row.NID)
	})
}

func joinNames(names []matrix.ServerName) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return strings.Join(out, " ")
}

// outsideEvent is the invitation or knock by which a user stands to a room from outside, nil when he does not.
func (s *Service) outsideEvent(ctx context.Context, r *Room, user matrix.UserID) (*Stored, *storage.OutsideRow, error) {
	m, err := s.standingOf(ctx, r, user)
	if err != nil || m.Membership != storage.MemberInvite && m.Membership != storage.MemberKnock {
		return nil, nil, err
	}
	row, err := s.db.FindOutside(ctx, m.User, r.nid)
	if errors.Is(err, storage.ErrNotFound) || err == nil && row.Event != m.Event {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	e, err := s.event(ctx, m.Event)
	return e, &row, err
}

// invitedBy are the servers that an invitation or a knock went through.
func (s *Service) invitedBy(ctx context.Context, r *Room, user matrix.UserID) []matrix.ServerName {
	e, row, err := s.outsideEvent(ctx, r, user)
	if err != nil || e == nil {
		return nil
	}
	names := []matrix.ServerName{e.Sender.Server()}
	for _, n := range strings.Fields(row.Via) {
		names = append(names, matrix.ServerName(n))
	}
	return names
}

// LeaveVia ends a user's membership, invitation or knock, also in a room that is elsewhere. An invitation is refused even when
// nobody in the room can be told. Spec: server-server-api/#leaving-rooms-rejecting-invites
func (s *Service) LeaveVia(ctx context.Context, e Entry) error {
	r, here, err := s.standsIn(ctx, e.Room)
	if err != nil {
		return err
	}
	if !here {
		if begun, err := s.leaveUnfinished(ctx, e); begun || err != nil {
			return err
		}
	}
	if r == nil {
		return notInRoom()
	}
	if err := s.mayRefuse(ctx, r, e.User); err != nil {
		return err
	}
	own, _, err := s.outsideEvent(ctx, r, e.User)
	if err != nil {
		return err
	}
	if here && own == nil || s.opts.Peers == nil {
		return s.Leave(ctx, e.change(r))
	}
	others := s.candidates(ctx, r, e)
	if own == nil && len(others) == 0 {
		return s.Leave(ctx, e.change(r))
	}
	if own == nil {
		if m, err := s.standingOf(ctx, r, e.User); err != nil || m.Membership != storage.MemberInvite && m.Membership != storage.MemberKnock {
			return errors.Join(err, s.Leave(ctx, e.change(r)))
		}
	}
	leave, err := s.leaveThrough(ctx, e, others)
	if err != nil {
		s.log.Info("nobody in the room could be told of a leave", "room", e.Room, "user", e.User, "error", err)
		if own == nil {
			return s.Leave(ctx, e.change(r))
		}
		if leave, err = s.leaveAlone(r, own, e); err != nil {
			return err
		}
	}
	return s.standOutside(ctx, r, leave, e.User, nil, nil)
}

// leaveThrough tells one server in the room that the user leaves.
func (s *Service) leaveThrough(ctx context.Context, e Entry, others []matrix.ServerName) (*matrix.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, candidateTime)
	defer cancel()
	err := error(errAlone)
	for _, to := range others {
		var leave *matrix.Event
		if leave, err = s.proposed(ctx, e, to, "leave"); err != nil {
			continue
		}
		if err = s.opts.Peers.SendLeave(ctx, e.User.Server(), to, leave); err == nil {
			return leave, nil
		}
	}
	return nil, err
}

// leaveAlone makes a leave that stays here.
func (s *Service) leaveAlone(r *Room, own *Stored, e Entry) (*matrix.Event, error) {
	key, ok := s.opts.Keys.SigningKey(e.User.Server())
	if !ok {
		return nil, matrix.Forbidden("The sender is not a user of this server.")
	}
	user := string(e.User)
	p := matrix.Proto{RoomID: r.id, Sender: e.User, Type: "m.room.member", StateKey: &user, Content: []byte(`{"membership":"leave"}`),
		PrevEvents: []matrix.EventID{own.ID}, AuthEvents: []matrix.EventID{own.ID}, Depth: own.Depth + 1, OriginServerTS: s.nowMS()}
	p.RefHash = func(matrix.EventID) []byte {
		h := own.ReferenceHash()
		return h[:]
	}
	return r.version.Build(p, key)
}

// KnockVia asks to be let in, also into a room that is elsewhere. Spec: server-server-api/#knocking-rooms
func (s *Service) KnockVia(ctx context.Context, e Entry) error {
	if err := s.admitted(ctx, e.Room); err != nil {
		return err
	}
	r, here, err := s.standsIn(ctx, e.Room)
	if err != nil {
		return err
	}
	if here {
		return s.Knock(ctx, e.change(r))
	}
	others := s.candidates(ctx, r, e)
	if s.opts.Peers == nil || len(others) == 0 {
		if r != nil && len(s.headsOf(ctx, r)) > 0 {
			return s.Knock(ctx, e.change(r))
		}
		return errAlone
	}
	if others, err = s.mayAskThrough(e.User, others); err != nil {
		return err
	}
	e.bare = s.bareEntry()
	ctx, cancel := context.WithTimeout(ctx, candidateTime)
	defer cancel()
	var first error
	for _, to := range others {
		knock, err := s.proposed(ctx, e, to, "knock")
		if err == nil {
			err = s.shown(ctx, &e, to, "knock")
		}
		if err == nil {
			var stripped []json.RawMessage
			if stripped, err = s.opts.Peers.SendKnock(ctx, e.User.Server(), to, knock); err == nil {
				if r, err = s.openRoom(ctx, e.Room, knock.Version); err != nil {
					return err
				}
				return s.standOutside(ctx, r, knock, e.User, proper(stripped), []matrix.ServerName{to})
			}
		}
		first = moreTelling(first, err)
	}
	return remoteRefusal(first)
}

// Bounds of what a room may show of itself.
const (
	maxStripped      = 256
	maxStrippedBytes = 128 << 10
)

// proper keeps of stripped state what has its shape, within bounds, and of each piece only what belongs there.
func proper(raws []json.RawMessage) []json.RawMessage {
	out := []json.RawMessage{}
	size := 0
	for _, raw := range raws {
		var e struct {
			Type     *string                    `json:"type"`
			StateKey *string                    `json:"state_key"`
			Sender   *matrix.UserID             `json:"sender"`
			Content  map[string]json.RawMessage `json:"content"`
			TS       *int64                     `json:"origin_server_ts,omitempty"`
		}
		if matrix.Decode(raw, &e) != nil || e.Type == nil || e.StateKey == nil || e.Sender == nil || e.Content == nil {
			continue
		}
		if *e.Type != "m.room.create" { // MSC4311: its time is told as well
			e.TS = nil
		}
		clean, err := json.Marshal(e)
		if size += len(clean); err != nil || size > maxStrippedBytes || len(out) == maxStripped {
			break
		}
		out = append(out, clean)
	}
	return out
}
