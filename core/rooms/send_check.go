package rooms

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// checkAnnotation refuses what its sender said of the same event in the same words already.
// Spec: client-server-api/#avoiding-duplicate-annotations
func (s *Service) checkAnnotation(ctx context.Context, q SendRequest) error {
	r, ok := relationIn(q.Content)
	if !ok || r.RelType != "m.annotation" || r.Key == "" {
		return nil
	}
	list, err := s.relatingTo(ctx, r.EventID, storage.RelationQuery{Room: q.Room.NID(), RelType: r.RelType, Type: q.Type, After: -1,
		Upto: s.db.Position(), Backward: true, Limit: maxRelated})
	if err != nil {
		return err
	}
	for _, e := range list {
		if old, ok := relationIn(e.Content); ok && e.Sender == q.Sender && old.Key == r.Key && old.EventID == r.EventID {
			return matrix.NewError(http.StatusBadRequest, "M_DUPLICATE_ANNOTATION", "You said the same of this event already.")
		}
	}
	return nil
}

// checkState refuses state that every client would stumble over, before the authorisation rules see it.
func (s *Service) checkState(ctx context.Context, q SendRequest) error {
	switch {
	case q.Type == "m.room.canonical_alias" && *q.StateKey == "":
		return s.checkCanonicalAlias(ctx, q)
	case q.Type == "m.room.member":
		membership, err := checkMember(*q.StateKey, q.Content)
		if err != nil || membership != "invite" {
			return err
		}
		if err := s.admitted(ctx, q.Room.id); err != nil {
			return err
		}
		return s.mayInvite(ctx, q.Sender, matrix.UserID(*q.StateKey))
	case q.Type == "m.room.power_levels" && *q.StateKey == "":
		view, err := s.Current(ctx, q.Room)
		if err != nil {
			return err
		}
		creators, err := creatorsOf(ctx, view)
		if err != nil {
			return err
		}
		return checkPowerLevels(q.Content, creators)
	}
	return nil
}

// checkMember refuses membership events that say nothing which could be judged.
func checkMember(stateKey string, content json.RawMessage) (membership string, err error) {
	membership = membershipTold(content)
	if !slices.Contains([]string{"join", "invite", "leave", "ban", "knock"}, membership) {
		return "", matrix.BadJSON("m.room.member needs a membership: join, invite, leave, ban or knock.")
	}
	if _, err := matrix.ParseUserID(stateKey); err != nil {
		return "", matrix.BadJSON("The state key of m.room.member must be a user id.")
	}
	return membership, nil
}

// creatorsOf lists those whose power no m.room.power_levels may name; nobody before version 12.
// Spec: rooms/v12/#authorisation-rules
func creatorsOf(ctx context.Context, v *View) ([]matrix.UserID, error) {
	if !v.Room().Version().PrivilegedCreators {
		return nil, nil
	}
	create, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.create"})
	if err != nil || create == nil {
		return nil, err
	}
	content, err := create.CreateContent()
	if err != nil {
		return nil, err
	}
	return append([]matrix.UserID{create.Sender}, content.AdditionalCreators...), nil
}

// checkPowerLevels refuses levels that are no whole numbers in any room version: clients would break on them, and
// a room whose levels cannot be read is lost. Spec: client-server-api/#mroompower_levels
func checkPowerLevels(content json.RawMessage, creators []matrix.UserID) error {
	var fields map[string]json.RawMessage
	if err := matrix.Decode(content, &fields); err != nil {
		return matrix.BadJSON("m.room.power_levels must be an object.")
	}
	for _, name := range []string{"ban", "kick", "redact", "invite", "events_default", "state_default", "users_default"} {
		if raw, ok := fields[name]; ok && !isInteger(raw) {
			return matrix.BadJSON(fmt.Sprintf("%s in m.room.power_levels must be a whole number.", name))
		}
	}
	for _, name := range []string{"users", "events", "notifications"} {
		raw, ok := fields[name]
		if !ok {
			continue
		}
		levels, err := checkLevels(name, raw)
		if err != nil {
			return err
		}
		for _, u := range creators {
			if _, ok := levels[string(u)]; ok && name == "users" {
				return matrix.BadJSON(fmt.Sprintf("%s created the room: m.room.power_levels must not name him.", u))
			}
		}
	}
	return nil
}

// checkLevels reads one of the maps of m.room.power_levels.
func checkLevels(name string, raw json.RawMessage) (map[string]json.RawMessage, error) {
	var levels map[string]json.RawMessage
	if matrix.Decode(raw, &levels) != nil || levels == nil {
		return nil, matrix.BadJSON(fmt.Sprintf("%s in m.room.power_levels must be an object.", name))
	}
	for key, level := range levels {
		if !isInteger(level) {
			return nil, matrix.BadJSON(fmt.Sprintf("The level of %q in m.room.power_levels must be a whole number.", key))
		}
		if _, err := matrix.ParseUserID(key); name == "users" && err != nil {
			return nil, matrix.BadJSON(fmt.Sprintf("%q in the users of m.room.power_levels is not a user id.", key))
		}
	}
	return levels, nil
}

func isInteger(raw json.RawMessage) bool {
	var n int64
	return matrix.Decode(raw, &n) == nil && string(raw) != "null"
}
