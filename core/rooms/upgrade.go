package rooms

import (
	"context"
	"encoding/json"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Upgrade replaces a room by a new one of another version: the new room first, then the tombstone, with which the
// aliases move. A crash in between leaves a room that nobody knows of, and the request may be repeated.
// Spec: client-server-api/#room-upgrades
func (s *Service) Upgrade(ctx context.Context, c matrix.Caller, old *Room, version string, additional []matrix.UserID) (*Room, error) {
	v, ok := matrix.Version(version)
	if !ok {
		return nil, matrix.UnsupportedRoomVersion()
	}
	may, err := s.maySend(ctx, old, c.User, "m.room.tombstone")
	if err != nil || !may {
		return nil, errors.Join(err, forbidUnless(err != nil, "You may not upgrade this room."))
	}
	u := &upgrade{version: v, user: c.User}
	if u.view, err = s.Current(ctx, old); err != nil {
		return nil, err
	}
	if v.PrivilegedCreators {
		if u.creators, err = checkUsers(additional); err != nil {
			return nil, err
		}
	}
	room, err := s.replacement(ctx, u)
	if err != nil {
		return nil, err
	}
	if err := s.bury(ctx, c.User, old, room); err != nil {
		return nil, err
	}
	return room, s.moveListing(ctx, c.User, old, room)
}

// replacement makes the new room.
func (s *Service) replacement(ctx context.Context, u *upgrade) (*Room, error) {
	member, err := s.creatorJoin(ctx, u.user)
	if err != nil {
		return nil, err
	}
	create, err := u.createContent(ctx)
	if err != nil {
		return nil, err
	}
	events, err := u.events(ctx, member)
	if err != nil {
		return nil, err
	}
	room, _, err := s.CreateRoom(ctx, u.version, u.user, create, func(*View) ([]Draft, error) { return events, nil })
	return room, invalidState(err)
}

// bury ends the old room. The aliases move in the same commit.
func (s *Service) bury(ctx context.Context, user matrix.UserID, old, room *Room) error {
	content, err := json.Marshal(map[string]any{"body": "This room has been replaced", "replacement_room": room.ID()})
	if err != nil {
		return err
	}
	key := ""
	_, err = s.Compose(ctx, old, func(*View) ([]Draft, error) {
		return []Draft{{Sender: user, Type: "m.room.tombstone", StateKey: &key, Content: content,
			Guards: []storage.Guard{storage.MoveAliases(old.NID(), room.NID())}}}, nil
	})
	if err == nil && s.opts.Services.FollowsAliases() {
		c := &storage.Change{}
		c.Live(storage.Live{Kind: storage.KindRoom, Room: old.NID()})
		c.Live(storage.Live{Kind: storage.KindRoom, Room: room.NID()})
		err = s.db.Commit(ctx, c)
	}
	return err
}

// moveListing lets the new room take the old one's place in the directory and by its canonical alias, and quietens the
// old room, as far as the user's power goes.
func (s *Service) moveListing(ctx context.Context, user matrix.UserID, old, room *Room) error {
	public, err := s.IsPublished(ctx, old)
	if err != nil {
		return err
	}
	if public {
		if err := errors.Join(s.Publish(ctx, room, true), s.Publish(ctx, old, false)); err != nil {
			return err
		}
	}
	view, err := s.Current(ctx, old)
	if err != nil {
		return err
	}
	key := ""
	alias, err := view.Get(ctx, matrix.StateTuple{Type: "m.room.canonical_alias"})
	if err != nil {
		return err
	}
	if alias != nil && string(alias.Content) != "{}" {
		moved := Draft{Sender: user, Type: "m.room.canonical_alias", StateKey: &key, Content: alias.Content}
		gone := moved
		gone.Content = []byte("{}")
		if err := errors.Join(s.try(ctx, room, moved), s.try(ctx, old, gone)); err != nil {
			return err
		}
	}
	levels, err := quietLevels(ctx, view)
	if err != nil || levels == nil {
		return err
	}
	return s.try(ctx, old, Draft{Sender: user, Type: "m.room.power_levels", StateKey: &key, Content: levels})
}

// try sends an event that may be refused.
func (s *Service) try(ctx context.Context, room *Room, d Draft) error {
	_, err := s.Compose(ctx, room, func(*View) ([]Draft, error) { return []Draft{d}, nil })
	if matrix.HasCode(err, matrix.CodeForbidden) {
		return nil
	}
	return err
}

// quietLevels are the old room's power levels, raised so that ordinary members neither write nor invite any more; nil
// when nothing needs to change.
func quietLevels(ctx context.Context, v *View) (json.RawMessage, error) {
	now, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.power_levels"})
	if now == nil || err != nil {
		return nil, err
	}
	levels, err := now.PowerLevels()
	if err != nil {
		return nil, nil // unreadable levels are left alone
	}
	var content map[string]json.RawMessage
	if err := matrix.Decode(now.Content, &content); err != nil {
		return nil, err
	}
	quiet := max(50, levels.UsersDefault+1)
	changed := false
	for key, level := range map[string]int64{"events_default": levels.EventsDefault, "invite": levels.Invite} {
		if level < quiet {
			content[key], _ = json.Marshal(quiet)
			changed = true
		}
	}
	if !changed {
		return nil, nil
	}
	return json.Marshal(content)
}
