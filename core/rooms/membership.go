package rooms

import (
	"context"
	"encoding/json"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// MembershipChange asks for one transition. Spec: client-server-api/#room-membership
type MembershipChange struct {
	Room   *Room
	Sender matrix.UserID
	Target matrix.UserID
	Reason string
	// IsDirect marks an invitation to a direct chat.
	IsDirect bool
	// Extra are further keys that the user wants in his own membership event. Those that are the server's do not count.
	Extra map[string]json.RawMessage
	// Txn is set when a client sent the membership event with a transaction id of its own.
	Txn *Transaction
}

// Join makes the target (who is the sender) a member. Joining twice changes nothing.
func (s *Service) Join(ctx context.Context, m MembershipChange) error {
	if err := s.admitted(ctx, m.Room.id); err != nil {
		return err
	}
	return s.transition(ctx, m, func(v *View, now *matrix.Event) (map[string]any, error) {
		if membershipOf(now) == "join" {
			return nil, nil
		}
		content := map[string]any{"membership": "join"}
		who, err := s.authoriserOf(ctx, m.Room, m.Target, v, now)
		if err != nil {
			return nil, err
		}
		if who != "" {
			content["join_authorised_via_users_server"] = who
		}
		return content, nil
	})
}

// Invite asks the target in.
func (s *Service) Invite(ctx context.Context, m MembershipChange) error {
	if err := s.admitted(ctx, m.Room.id); err != nil {
		return err
	}
	if err := s.mayInvite(ctx, m.Sender, m.Target); err != nil {
		return err
	}
	next := func(_ *View, now *matrix.Event) (map[string]any, error) {
		switch membershipOf(now) {
		case "join":
			return nil, matrix.Forbidden("That user is already in the room.")
		case "ban":
			return nil, matrix.Forbidden("That user is banned from the room; lift the ban first.")
		}
		content := map[string]any{"membership": "invite"}
		if m.IsDirect {
			content["is_direct"] = true
		}
		return content, nil
	}
	if s.opts.Peers == nil || s.isOurs(m.Target.Server()) {
		s.makeUser(ctx, m.Target)
		return s.transition(ctx, m, next)
	}
	v, err := s.Current(ctx, m.Room)
	if err != nil {
		return err
	}
	drafts, err := s.memberDraft(ctx, v, m, next)
	if err != nil {
		return err
	}
	if banned, err := s.loadShadows(ctx); err != nil {
		return err
	} else if _, is := banned[m.Sender]; is {
		return nil // Why: the other server would hear of it
	}
	_, err = s.inviteElsewhere(ctx, m.Room, drafts[0])
	return err
}

// Leave ends the sender's membership, invitation or knock. Leaving twice changes nothing.
func (s *Service) Leave(ctx context.Context, m MembershipChange) error {
	return s.transition(ctx, m, func(_ *View, now *matrix.Event) (map[string]any, error) {
		switch membershipOf(now) {
		case "join", "invite", "knock":
			return map[string]any{"membership": "leave"}, nil
		case "leave":
			return nil, nil
		}
		return nil, notInRoom()
	})
}

// Kick ends the target's membership, invitation or knock.
func (s *Service) Kick(ctx context.Context, m MembershipChange) error {
	return s.transition(ctx, m, func(_ *View, now *matrix.Event) (map[string]any, error) {
		switch membershipOf(now) {
		case "join", "invite", "knock":
			return map[string]any{"membership": "leave"}, nil
		}
		return nil, matrix.Forbidden("The user to be removed is not in the room.")
	})
}

// Ban keeps the target out.
func (s *Service) Ban(ctx context.Context, m MembershipChange) error {
	return s.transition(ctx, m, func(_ *View, now *matrix.Event) (map[string]any, error) {
		return map[string]any{"membership": "ban"}, nil
	})
}

// Unban lifts a ban; the target is not in the room afterwards.
func (s *Service) Unban(ctx context.Context, m MembershipChange) error {
	return s.transition(ctx, m, func(_ *View, now *matrix.Event) (map[string]any, error) {
		if membershipOf(now) != "ban" {
			return nil, matrix.Forbidden("That user is not banned from the room.")
		}
		return map[string]any{"membership": "leave"}, nil
	})
}

// Knock asks to be let in.
func (s *Service) Knock(ctx context.Context, m MembershipChange) error {
	if !m.Room.Version().KnockAllowed {
		return matrix.Forbidden("This room's version does not know knocking.")
	}
	return s.transition(ctx, m, func(_ *View, now *matrix.Event) (map[string]any, error) {
		if membershipOf(now) == "invite" {
			return nil, matrix.Forbidden("You are invited to this room already: join it.")
		}
		return map[string]any{"membership": "knock"}, nil
	})
}

// nextMember makes the content of a membership event from the one that stands now; nil changes nothing.
type nextMember func(v *View, now *matrix.Event) (map[string]any, error)

// transition appends the target's next membership event.
func (s *Service) transition(ctx context.Context, m MembershipChange, next nextMember) error {
	_, err := s.Compose(ctx, m.Room, func(v *View) ([]Draft, error) { return s.memberDraft(ctx, v, m, next) })
	return err
}

// memberDraft builds the target's next membership event; none when nothing changes.
func (s *Service) memberDraft(ctx context.Context, v *View, m MembershipChange, next nextMember) ([]Draft, error) {
	now, err := v.Get(ctx, memberTuple(m.Target))
	if err != nil {
		return nil, err
	}
	content, err := next(v, now)
	if content == nil || err != nil {
		return nil, err
	}
	if m.Reason != "" {
		content["reason"] = m.Reason
	}
	if err := s.addProfile(ctx, m, content); err != nil {
		return nil, err
	}
	m.addExtra(content)
	raw, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	target := string(m.Target)
	return []Draft{{Sender: m.Sender, Type: "m.room.member", StateKey: &target, Content: raw, Txn: m.Txn}}, nil
}

// addExtra adds what the user wrote himself, save for what only the server may say.
func (m *MembershipChange) addExtra(content map[string]any) {
	for key, value := range m.Extra {
		switch key {
		case "membership", "join_authorised_via_users_server", "third_party_invite", "third_party_signed", "reason", "is_direct":
		default:
			content[key] = value
		}
	}
}

// addProfile copies the target's display name and avatar into the content, for those memberships that show them.
func (s *Service) addProfile(ctx context.Context, m MembershipChange, content map[string]any) error {
	switch content["membership"] {
	case "join", "invite", "knock":
	default:
		return nil
	}
	p, err := s.profile(ctx, m.Target)
	if err != nil {
		return err
	}
	if p.DisplayName != "" {
		content["displayname"] = p.DisplayName
	}
	if p.AvatarURL != "" {
		content["avatar_url"] = p.AvatarURL
	}
	return nil
}

// authoriserOf names the user by whose right a restricted room is joined; nobody when no such right is needed.
// Spec: client-server-api/#restricted-rooms, rooms/v8/#authorisation-rules
func (s *Service) authoriserOf(ctx context.Context, room *Room, user matrix.UserID, v *View, now *matrix.Event) (matrix.UserID, error) {
	if !room.Version().RestrictedJoins || membershipOf(now) == "invite" || membershipOf(now) == "ban" {
		return "", nil
	}
	rules, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.join_rules"})
	if err != nil || rules == nil {
		return "", err
	}
	jr, err := rules.JoinRules()
	if err != nil {
		return "", nil // the authorisation rules refuse it with their own words
	}
	if jr.Rule != "restricted" && !(jr.Rule == "knock_restricted" && room.Version().KnockRestricted) {
		return "", nil
	}
	known, err := s.allowedBy(ctx, user, jr)
	if err != nil {
		return "", err
	}
	if known == allowNo {
		return "", matrix.Forbidden("You are in none of the rooms whose members may join this room.")
	}
	if known == allowUnknown {
		return "", matrix.UnableToAuthoriseJoin("This server is in none of the rooms whose members may join this room.")
	}
	who, err := s.inviterOf(ctx, room, v)
	if err == nil && who == "" {
		err = matrix.UnableToGrantJoin("Nobody on this server may invite to this room.")
	}
	return who, err
}

type allowance int

const (
	allowNo allowance = iota
	allowYes
	allowUnknown // none of the rooms is known here
)

// allowedBy asks the rooms that a restricted join rule names.
func (s *Service) allowedBy(ctx context.Context, user matrix.UserID, jr matrix.JoinRules) (allowance, error) {
	known := false
	for _, a := range jr.Allow {
		if a.Type != "m.room_membership" {
			continue
		}
		room, err := s.Room(ctx, a.RoomID)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return allowNo, err
		}
		// Why: of a room that this installation has left it does not know who is in it.
		if here, err := s.resident(ctx, room); err != nil || !here && s.opts.Peers != nil {
			if err != nil {
				return allowNo, err
			}
			continue
		}
		known = true
		is, err := s.standingOf(ctx, room, user)
		if err != nil || is.Membership == storage.MemberJoin {
			return allowYes, err
		}
	}
	if known || len(jr.Allow) == 0 {
		return allowNo, nil
	}
	return allowUnknown, nil
}

// standingOf is the user's row in a room; the zero row when there is none.
func (s *Service) standingOf(ctx context.Context, room *Room, user matrix.UserID) (storage.MembershipRow, error) {
	nid, err := s.db.FindUserNID(ctx, user)
	if errors.Is(err, storage.ErrNotFound) {
		return storage.MembershipRow{}, nil
	}
	if err != nil {
		return storage.MembershipRow{}, err
	}
	m, err := s.db.FindMembership(ctx, nid, room.NID())
	if errors.Is(err, storage.ErrNotFound) {
		return storage.MembershipRow{}, nil
	}
	return m, err
}

// Standing is how a user stands to a room now; the zero row when there never was anything.
func (s *Service) Standing(ctx context.Context, room *Room, user matrix.UserID) (storage.MembershipRow, error) {
	return s.standingOf(ctx, room, user)
}

// Forget takes a room that the user has left out of his lists and forbids him its history.
// Spec: client-server-api/#post_matrixclientv3roomsroomidforget
func (s *Service) Forget(ctx context.Context, room *Room, user matrix.UserID) error {
	m, err := s.standingOf(ctx, room, user)
	if err != nil {
		return err
	}
	in := matrix.NewError(400, matrix.CodeUnknown, "Leave the room before you forget it.")
	switch m.Membership {
	case storage.MemberJoin, storage.MemberInvite, storage.MemberKnock:
		return in
	case storage.MemberNone:
		return notInRoom()
	}
	c := &storage.Change{}
	c.Guard(storage.ForgetRoom(m.User, room.NID()).OrElse(in)) // who was invited again meanwhile
	c.Live(storage.Live{Kind: storage.KindForget, Room: room.NID(), User: m.User})
	return s.db.Commit(ctx, c)
}

// JoinedRooms lists the rooms that a user is a member of.
func (s *Service) JoinedRooms(ctx context.Context, userNID int64) ([]matrix.RoomID, error) {
	return s.db.ListRoomIDsOf(ctx, userNID, storage.MemberJoin)
}

// membershipTold is the membership that a content which somebody wrote would say in an event; "" where it says none, which the
// authorisation rules refuse. Why by the canonical form: text may be escaped, keys may be there twice or in other letters, and whoever
// reads that in another way than the event will be read lets pass what he means to refuse.
func membershipTold(content json.RawMessage) string {
	made, err := matrix.CanonicalJSON(content)
	if err != nil {
		return ""
	}
	m, _ := matrix.LookupText(made, "membership")
	return m
}

func memberTuple(u matrix.UserID) matrix.StateTuple {
	return matrix.StateTuple{Type: "m.room.member", Key: string(u)}
}

// membershipOf reads a membership event; "" when there is none.
func membershipOf(e *matrix.Event) string {
	if e == nil {
		return ""
	}
	return e.Membership()
}

func isNotFound(err error) bool {
	var e *matrix.Error
	return errors.As(err, &e) && e.Code == matrix.CodeNotFound || errors.Is(err, storage.ErrNotFound)
}
