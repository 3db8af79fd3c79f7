package rooms

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Create makes a room with everything the request asks for, in one commit: there is no moment at which the room
// exists by half. Invitations follow, since each may be refused on its own grounds.
// Spec: client-server-api/#post_matrixclientv3createroom
func (s *Service) Create(ctx context.Context, c matrix.Caller, q *CreateRequest) (*Room, error) {
	member, err := s.creatorJoin(ctx, c.User)
	if err != nil {
		return nil, err
	}
	p, err := q.plan(c.User, s.opts.DefaultVersion, member)
	if err != nil {
		return nil, err
	}
	if p.alias != "" {
		if _, err := matrix.ParseRoomAlias(string(p.alias)); err != nil {
			return nil, matrix.InvalidParam(fmt.Sprintf("%q cannot be an alias.", q.RoomAliasName))
		}
	}
	if p.alias != "" {
		if err := s.mayName(c, p.alias); err != nil {
			return nil, err
		}
	}
	for _, u := range q.Invite {
		if err := s.mayInvite(ctx, c.User, u); err != nil {
			return nil, err
		}
	}
	for i := range p.events { // Why these too: initial_state may hold memberships
		d := &p.events[i]
		if d.Type != "m.room.member" || membershipTold(d.Content) != "invite" {
			continue
		}
		if err := s.mayInvite(ctx, c.User, matrix.UserID(*d.StateKey)); err != nil {
			return nil, err
		}
	}
	room, _, err := s.CreateRoom(ctx, p.version, c.User, p.create, func(v *View) ([]Draft, error) {
		drafts := slices.Clone(p.events)
		if p.alias != "" {
			v.Room().firstAliases = []matrix.RoomAlias{p.alias}
			drafts[0].Guards = append(drafts[0].Guards, storage.InsertAlias(storage.Alias{
				Alias: p.alias, Room: v.Room().NID(), Creator: c.UserNID, Tenant: c.Tenant,
			}).OrElse(matrix.RoomInUse(fmt.Sprintf("The alias %s is taken.", p.alias))))
		}
		return drafts, nil
	})
	if err != nil {
		return nil, invalidState(err)
	}
	if q.Visibility == "public" {
		if err := s.Publish(ctx, room, true); err != nil {
			return nil, err
		}
	}
	return room, s.inviteAll(ctx, room, q.inviteDrafts(c.User))
}

// invalidState tells a client that what it asked for contradicts itself. Nobody else's rules can refuse a new room.
func invalidState(err error) error {
	if matrix.HasCode(err, matrix.CodeForbidden) {
		return matrix.InvalidRoomState("The room cannot begin in this state: " + matrix.AsError(err).Message).Wrap(err)
	}
	return err
}

func (s *Service) creatorJoin(ctx context.Context, user matrix.UserID) (json.RawMessage, error) {
	content := map[string]any{"membership": "join"}
	err := s.addProfile(ctx, MembershipChange{Target: user}, content)
	if err != nil {
		return nil, err
	}
	return json.Marshal(content)
}

func (s *Service) inviteAll(ctx context.Context, room *Room, drafts []Draft) error {
	for _, d := range drafts {
		m := MembershipChange{Room: room, Sender: d.Sender, Target: matrix.UserID(*d.StateKey)}
		var content map[string]any
		if err := matrix.Decode(d.Content, &content); err != nil {
			return err
		}
		m.IsDirect = content["is_direct"] == true
		if err := s.Invite(ctx, m); err != nil {
			return fmt.Errorf("invite %s: %w", m.Target, err)
		}
	}
	return nil
}
