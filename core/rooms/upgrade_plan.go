package rooms

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"rempart/internal/matrix"
)

// upgrade is what a new room takes over from an old one.
type upgrade struct {
	version  *matrix.RoomVersion
	user     matrix.UserID
	view     *View           // of the old room
	creators []matrix.UserID // besides the user (version 12 on)
}

// transferred are the kinds of state that the new room takes over unchanged. Power levels go apart.
func transferred(space bool) []string {
	types := []string{"m.room.server_acl", "m.room.encryption", "m.room.name", "m.room.avatar", "m.room.topic",
		"m.room.guest_access", "m.room.history_visibility", "m.room.join_rules"}
	if space {
		types = append(types, "m.space.child")
	}
	return types
}

func checkUsers(ids []matrix.UserID) ([]matrix.UserID, error) {
	for _, u := range ids {
		if _, err := matrix.ParseUserID(string(u)); err != nil {
			return nil, matrix.InvalidParam(fmt.Sprintf("%q in additional_creators is not a user id.", u))
		}
	}
	return ids, nil
}

// oldCreate is the content of the old room's create event.
func (u *upgrade) oldCreate(ctx context.Context) (map[string]json.RawMessage, error) {
	var content map[string]json.RawMessage
	e, err := u.view.Get(ctx, matrix.StateTuple{Type: "m.room.create"})
	if err != nil {
		return nil, err
	}
	return content, matrix.Decode(e.Content, &content)
}

func (u *upgrade) createContent(ctx context.Context) (json.RawMessage, error) {
	old, err := u.oldCreate(ctx)
	if err != nil {
		return nil, err
	}
	predecessor := map[string]string{"room_id": string(u.view.Room().ID())}
	if heads := u.view.Heads(); !u.version.RoomIDIsCreateHash && len(heads) > 0 {
		predecessor["event_id"] = string(heads[0])
	}
	content := map[string]any{"room_version": u.version.ID, "predecessor": predecessor}
	for _, key := range []string{"type", "m.federate"} {
		if raw, ok := old[key]; ok {
			content[key] = raw
		}
	}
	if !u.version.ImplicitRoomCreator {
		content["creator"] = u.user
	}
	if len(u.creators) > 0 {
		content["additional_creators"] = u.creators
	}
	return json.Marshal(content)
}

// events are the first events of the new room, after the create event.
func (u *upgrade) events(ctx context.Context, member json.RawMessage) ([]Draft, error) {
	p := plan{creator: u.user}
	p.state("m.room.member", string(u.user), member)
	first, last, err := u.powerLevels(ctx)
	if err != nil {
		return nil, err
	}
	p.state("m.room.power_levels", "", first)
	old, err := u.oldCreate(ctx)
	if err != nil {
		return nil, err
	}
	types := transferred(string(old["type"]) == `"m.space"`)
	state, err := u.view.All(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(state, func(a, b *Stored) int { return int(a.Row.NID - b.Row.NID) })
	for _, e := range state {
		if slices.Contains(types, e.Type) && (*e.StateKey == "" || e.Type == "m.space.child") {
			p.state(e.Type, *e.StateKey, e.Content)
		}
	}
	if last != nil {
		p.state("m.room.power_levels", "", last)
	}
	return p.events, nil
}

// powerLevels are the levels that the new room begins with and, if they differ, those that it ends with.
// Why two: who may send a tombstone need not have the power to set all the state of a new room.
func (u *upgrade) powerLevels(ctx context.Context) (first, last json.RawMessage, err error) {
	content := map[string]any{}
	users, events := map[string]int64{}, map[string]int64{}
	highest := int64(100)
	if e, err := u.view.Get(ctx, matrix.StateTuple{Type: "m.room.power_levels"}); err != nil {
		return nil, nil, err
	} else if e != nil {
		if err := matrix.Decode(e.Content, &content); err != nil {
			return nil, nil, err
		}
		for _, m := range []struct {
			name string
			to   map[string]int64
		}{{"users", users}, {"events", events}} {
			highest = max(highest, readLevels(content[m.name], m.to))
		}
		for _, name := range []string{"ban", "kick", "redact", "invite", "events_default", "state_default", "users_default"} {
			if level, ok := wholeLevel(content[name]); ok {
				content[name] = level
				highest = max(highest, level)
			} else {
				delete(content, name)
			}
		}
	}
	content["users"], content["events"] = users, events
	if u.version.PrivilegedCreators {
		for _, c := range append([]matrix.UserID{u.user}, u.creators...) {
			delete(users, string(c))
		}
		events["m.room.tombstone"] = max(events["m.room.tombstone"], 150)
		first, err = json.Marshal(content)
		return first, nil, err
	}
	if u.view.Room().Version().PrivilegedCreators { // its creators' power was nowhere written
		users[string(u.user)] = max(users[string(u.user)], highest)
	}
	level, named := users[string(u.user)]
	if named && level >= highest {
		first, err = json.Marshal(content)
		return first, nil, err
	}
	if last, err = json.Marshal(content); err != nil {
		return nil, nil, err
	}
	users[string(u.user)] = highest
	first, err = json.Marshal(content)
	return first, last, err
}

// readLevels copies the readable levels of a map and returns the highest.
func readLevels(from any, to map[string]int64) int64 {
	highest := int64(0)
	levels, _ := from.(map[string]any)
	for key, raw := range levels {
		if level, ok := wholeLevel(raw); ok {
			to[key] = level
			highest = max(highest, level)
		}
	}
	return highest
}

// wholeLevel reads a level as old room versions allow it: a number or a number in a string. Spec: rooms/v1/#mroompower_levels-events-accept-values-as-strings
func wholeLevel(raw any) (int64, bool) {
	switch v := raw.(type) {
	case float64:
		return int64(v), true
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil
	}
	return 0, false
}
