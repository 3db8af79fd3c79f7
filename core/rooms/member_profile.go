package rooms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// SetProfile brings the user's member events in all rooms that he is joined to up to his profile. It may be repeated:
// where nothing differs nothing is sent. Rooms that refuse are passed over: a profile is no reason to fail.
// Spec: client-server-api/#events-on-change-of-profile-information
func (s *Service) SetProfile(ctx context.Context, user matrix.UserID, nid int64, p storage.Profile) error {
	return s.eachRoomOf(ctx, nid, storage.MemberJoin, func(room *Room) error {
		_, err := s.Compose(ctx, room, func(v *View) ([]Draft, error) {
			now, err := v.Get(ctx, memberTuple(user))
			if err != nil || membershipOf(now) != "join" {
				return nil, err
			}
			content, err := withProfile(now.Content, p)
			if err != nil || bytes.Equal(content, now.Content) {
				return nil, err
			}
			key := string(user)
			return []Draft{{Sender: user, Type: "m.room.member", StateKey: &key, Content: content}}, nil
		})
		return err
	})
}

// LeaveAll makes the user leave all rooms, refuse all invitations and take back all knocks.
func (s *Service) LeaveAll(ctx context.Context, user matrix.UserID, nid int64) error {
	for _, m := range []storage.Membership{storage.MemberJoin, storage.MemberInvite, storage.MemberKnock} {
		err := s.eachRoomOf(ctx, nid, m, func(room *Room) error {
			return s.Leave(ctx, MembershipChange{Room: room, Sender: user, Target: user})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachRoomOf calls fn for the user's rooms. A refusal by a room's own rules does not end the walk.
func (s *Service) eachRoomOf(ctx context.Context, user int64, m storage.Membership, fn func(*Room) error) error {
	all, err := s.db.ListMembershipsOf(ctx, user)
	if err != nil {
		return err
	}
	for _, row := range all {
		if row.Membership != m {
			continue
		}
		room, err := s.RoomByNID(ctx, row.Room)
		if err == nil {
			err = fn(room)
		}
		var refused *matrix.Error
		if err != nil && !errors.As(err, &refused) {
			return err
		}
		if err != nil {
			s.log.Warn("a room does not follow its member", "room", row.Room, "user", user, "error", err)
		}
	}
	return nil
}

// withProfile is a member event's content with another name and avatar, canonical.
func withProfile(old json.RawMessage, p storage.Profile) (json.RawMessage, error) {
	var content map[string]json.RawMessage
	if err := matrix.Decode(old, &content); err != nil {
		return nil, err
	}
	// Why: who is in the room already needs nobody's right to be there, and that right may be gone by now.
	delete(content, "join_authorised_via_users_server")
	for key, value := range map[string]string{"displayname": p.DisplayName, "avatar_url": p.AvatarURL} {
		delete(content, key)
		if value != "" {
			content[key] = quote(value)
		}
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	return matrix.CanonicalJSON(raw)
}
