package rooms

import (
	"context"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Summary is a room as someone sees it who may not be in it. Spec: client-server-api/#room-summaries
type Summary struct {
	PublicRoom
	RoomVersion    string          `json:"room_version,omitempty"`
	Encryption     string          `json:"encryption,omitempty"`
	AllowedRoomIDs []matrix.RoomID `json:"allowed_room_ids,omitempty"`
	// Membership is the caller's own; absent for strangers to the server.
	Membership string `json:"membership,omitempty"`
}

// Summarise describes a room to those who may know of it; M_NOT_FOUND for all others. user is empty for callers without
// an account.
func (s *Service) Summarise(ctx context.Context, room *Room, user matrix.UserID) (*Summary, error) {
	view, err := s.Current(ctx, room)
	if err != nil {
		return nil, err
	}
	out, rules, err := s.describe(ctx, room, view)
	if err != nil {
		return nil, err
	}
	known, err := s.knownTo(ctx, room, user, &out.PublicRoom, rules)
	if err != nil || !known {
		return nil, errors.Join(err, unlessFailed(err, matrix.NotFound("There is no such room, or you may not see it.")))
	}
	if user != "" {
		if out.Membership, err = view.Membership(ctx, user); out.Membership == "" {
			out.Membership = "leave"
		}
	}
	return out, err
}

// describe makes a room's summary for whoever may see it, and tells the join rules that decide about that.
func (s *Service) describe(ctx context.Context, room *Room, view *View) (*Summary, matrix.JoinRules, error) {
	var none matrix.JoinRules
	out := &Summary{RoomVersion: room.Version().ID}
	p, err := s.publicRoom(ctx, view)
	if err != nil {
		return nil, none, err
	}
	out.PublicRoom = *p
	rules, err := joinRulesOf(ctx, view)
	if err != nil {
		return nil, none, err
	}
	if e, err := view.Get(ctx, matrix.StateTuple{Type: "m.room.encryption"}); err != nil {
		return nil, none, err
	} else if e != nil {
		out.Encryption = textIn(e.Content, "algorithm")
	}
	if rules.Rule == "restricted" || rules.Rule == "knock_restricted" {
		for _, a := range rules.Allow {
			if a.Type == "m.room_membership" {
				out.AllowedRoomIDs = append(out.AllowedRoomIDs, a.RoomID)
			}
		}
	}
	return out, rules, nil
}

// unlessFailed is the refusal, unless an error stands in its place.
func unlessFailed(err, refusal error) error {
	if err != nil {
		return nil
	}
	return refusal
}

// knownTo reports whether someone may know of a room: whoever is in it or asked in, and everyone who could join, knock
// or read.
func (s *Service) knownTo(ctx context.Context, room *Room, user matrix.UserID, p *PublicRoom, rules matrix.JoinRules) (bool, error) {
	if p.WorldReadable || rules.Rule == "public" || rules.Rule == "knock" || rules.Rule == "knock_restricted" {
		return s.shownTo(ctx, room, user)
	}
	if user == Auditor {
		return true, nil
	}
	if user == "" {
		return false, nil
	}
	m, err := s.standingOf(ctx, room, user)
	if err != nil {
		return false, err
	}
	switch m.Membership {
	case storage.MemberJoin, storage.MemberInvite, storage.MemberKnock:
		return true, nil
	case storage.MemberBan:
		return false, nil
	}
	if rules.Rule != "restricted" {
		return false, nil
	}
	allowed, err := s.allowedBy(ctx, user, rules)
	return allowed == allowYes, err
}

// joinRulesOf are the room's join rules; unreadable and absent ones count as invite.
func joinRulesOf(ctx context.Context, v *View) (matrix.JoinRules, error) {
	none := matrix.JoinRules{Rule: "invite"}
	e, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.join_rules"})
	if err != nil || e == nil {
		return none, err
	}
	rules, err := e.JoinRules()
	if err != nil {
		return none, nil
	}
	return rules, nil
}
