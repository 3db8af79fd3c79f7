package sync

import (
	"errors"
	"slices"

	"rempart/core/push"
	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// readIgnored reads whom the user ignores, once until that changes.
func (b *build) readIgnored() error {
	if b.ignored != nil {
		return nil
	}
	b.ignored = map[matrix.UserID]bool{}
	data, err := b.s.db.FindAccountData(b.ctx, b.u.nid, 0, "m.ignored_user_list")
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if err == nil {
		b.ignored = push.IgnoredUsers(data.Content)
	}
	b.s.hub.mu.Lock()
	defer b.s.hub.mu.Unlock()
	if b.u.account == b.facts.account {
		b.u.ignored = b.ignored
	}
	return nil
}

// writeAccount writes the global account data. Who has not touched his push rules gets the defaults at his first sync.
func (b *build) writeAccount() error {
	list := b.account[0]
	if b.initial && !has(list, pushRules) {
		content, err := push.ContentOf(push.Defaults(string(b.c.User)))
		if err != nil {
			return err
		}
		list = append(list, storage.AccountData{Type: pushRules, Content: content})
	}
	if b.initial {
		list = withoutDeleted(list)
	}
	if b.writeData(list, b.f.AccountData) {
		b.found = true
	}
	return nil
}

const pushRules = "m.push_rules"

func has(list []storage.AccountData, typ string) bool {
	for i := range list {
		if list[i].Type == typ {
			return true
		}
	}
	return false
}

// writeRoomAccount writes the user's data for a room: what is new, or all of it when the room is new to him.
func (b *build) writeRoomAccount(v *roomView) (bool, error) {
	list := b.account[v.room]
	if v.newly {
		var err error
		if list, err = b.s.db.ListRoomAccountData(b.ctx, b.u.nid, v.room); err != nil {
			return false, err
		}
	}
	if b.initial { // Why not where he has come in again: he may have deleted what he had set when he was in it before
		list = withoutDeleted(list)
	}
	f := b.f.Room.AccountData
	if f.MatchRoom(v.r.ID()) && b.writeData(list, f) {
		return true, nil
	}
	if v.newly || b.initial { // Why: clients look for the list of a room that is new to them
		b.out = append(b.out, `"account_data":{"events":[]},`...)
	}
	return false, nil
}

// withoutDeleted leaves out what was deleted: who begins has no need to know. MSC3391
func withoutDeleted(list []storage.AccountData) []storage.AccountData {
	return slices.DeleteFunc(slices.Clone(list), func(d storage.AccountData) bool { return string(d.Content) == "{}" })
}

// writeData writes a list of account data and reports whether any passed the filter.
func (b *build) writeData(list []storage.AccountData, f *rooms.EventFilter) bool {
	start := len(b.out)
	b.out = append(b.out, `"account_data":{"events":[`...)
	empty := len(b.out)
	for _, d := range list {
		if !f.MatchType(d.Type) {
			continue
		}
		b.out = matrix.AppendJSONString(append(b.out, `{"type":`...), d.Type)
		b.out = append(append(append(b.out, `,"content":`...), d.Content...), `},`...)
	}
	if len(b.out) == empty {
		b.out = b.out[:start]
		return false
	}
	b.endList()
	b.out = append(b.out, `},`...)
	return true
}

// writePresence writes whose presence changed.
func (b *build) writePresence() error {
	if len(b.presence) == 0 {
		return nil
	}
	start := len(b.out)
	b.out = append(b.out, `"presence":{"events":[`...)
	empty := len(b.out)
	for i := range b.presence {
		p := &b.presence[i]
		if b.ignored[p.user] || !b.f.Presence.MatchType("m.presence") || !b.f.Presence.MatchSender(p.user) || !b.hears(p.user, eduPresence) {
			continue
		}
		b.out = matrix.AppendJSONString(append(b.out, `{"type":"m.presence","sender":`...), p.user)
		b.out = p.appendContent(append(b.out, `,"content":`...), b.now)
		b.out = append(b.out, `}},`...)
	}
	if len(b.out) == empty {
		b.out = b.out[:start]
		return nil
	}
	b.endList()
	b.out = append(b.out, `},`...)
	b.found = true
	return nil
}
