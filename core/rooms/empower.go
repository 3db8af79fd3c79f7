package rooms

import (
	"context"
	"encoding/json"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/storage"
)

// adminPower is what an administrator of a room usually has.
const adminPower = 100

// Empower gives a user as much power in a room as the mightiest member of one of our servers may give, in that member's name,
// and asks him in if he could not enter by himself.
func (s *Service) Empower(ctx context.Context, r *Room, ours matrix.ServerName, user matrix.UserID) error {
	v, err := s.Current(ctx, r)
	if err != nil {
		return err
	}
	by, most, err := s.mightiest(ctx, v, ours)
	if err != nil {
		return err
	}
	is, err := v.Membership(ctx, user)
	if err != nil {
		return err
	}
	rules, err := joinRulesOf(ctx, v)
	if err != nil {
		return err
	}
	if is != "join" && is != "invite" && rules.Rule != "public" {
		if err := s.Invite(ctx, MembershipChange{Room: r, Sender: by, Target: user}); err != nil {
			return err
		}
	}
	_, err = s.Compose(ctx, r, func(v *View) ([]Draft, error) {
		auth, err := v.AuthState(ctx, by, "m.room.power_levels", new(string), nil)
		if err != nil || authrules.PowerLevelOf(auth, user) >= most {
			return nil, err
		}
		content, err := v.powerWith(ctx, user, min(most, max(adminPower, authrules.RequiredPower(auth, "m.room.power_levels", true))))
		return []Draft{{Sender: by, Type: "m.room.power_levels", StateKey: new(string), Content: content}}, err
	})
	return err
}

// mightiest finds the member of one of our servers with the most power, if he may change power levels. Why not of another one of this
// installation: what somebody does in the name of a person is for that person's own administrators.
func (s *Service) mightiest(ctx context.Context, v *View, ours matrix.ServerName) (by matrix.UserID, most int64, err error) {
	locals, err := s.db.ListLocalMembers(ctx, v.room.nid, storage.MemberJoin)
	if err != nil {
		return "", 0, err
	}
	for _, u := range locals {
		if u.Server() != ours {
			continue
		}
		auth, err := v.AuthState(ctx, u, "m.room.power_levels", new(string), nil)
		if err != nil {
			return "", 0, err
		}
		p := authrules.PowerLevelOf(auth, u)
		if p >= authrules.RequiredPower(auth, "m.room.power_levels", true) && (by == "" || p > most) {
			by, most = u, p
		}
	}
	if by == "" {
		return "", 0, matrix.NewError(400, matrix.CodeUnknown, "No user of this server has the power to make someone an administrator of this room.")
	}
	return by, most, nil
}

// powerWith is the content of the room's power levels with another level of one user.
func (v *View) powerWith(ctx context.Context, user matrix.UserID, level int64) (json.RawMessage, error) {
	content, users := map[string]json.RawMessage{}, map[matrix.UserID]json.RawMessage{}
	e, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.power_levels"})
	if err != nil {
		return nil, err
	}
	if e != nil {
		if err := matrix.Decode(e.Content, &content); err != nil {
			return nil, err
		}
		if raw, ok := content["users"]; ok {
			if err := matrix.Decode(raw, &users); err != nil {
				return nil, err
			}
		}
	} else if create, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.create"}); err != nil {
		return nil, err
	} else if create != nil && !v.room.version.PrivilegedCreators {
		users[create.Sender] = json.RawMessage("100") // Spec: the creator's level while there is no such event
	}
	users[user], _ = json.Marshal(level)
	if content["users"], err = json.Marshal(users); err != nil {
		return nil, err
	}
	return json.Marshal(content)
}
