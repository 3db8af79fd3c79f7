package sync

import (
	"strconv"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// heroes is how many members a summary names.
const heroes = 5

// summary is what helps to name and size a room. It is immutable.
type summary struct {
	joined, invited int64
	// members are the first members, one more than are named, since the recipient is left out; nil for a room with a name.
	members []matrix.UserID
}

// heroesFor leaves the recipient out.
func (s *summary) heroesFor(user matrix.UserID) []matrix.UserID {
	out := make([]matrix.UserID, 0, heroes)
	for _, m := range s.members {
		if m != user && len(out) < heroes {
			out = append(out, m)
		}
	}
	return out
}

// summaryOf reads a room's summary, or takes the one the hub keeps until the members or the name change.
// Spec: client-server-api/#get_matrixclientv3sync_response-200_roomsummary
func (b *build) summaryOf(v *roomView) (*summary, error) {
	if v.summary != nil {
		return v.summary, nil
	}
	s, named, err := b.sized(v)
	if err != nil {
		return nil, err
	}
	if !named {
		if s.members, err = b.firstMembers(v); err != nil {
			return nil, err
		}
	}
	h := b.s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.rooms[v.room]; r != nil && r.summaries == v.summaries {
		r.summary, r.size = s, s.joined
	}
	return s, nil
}

// sized counts a room's members and tells whether it has a name.
func (b *build) sized(v *roomView) (*summary, bool, error) {
	if e := b.early[v.room]; e != nil && e.held != nil {
		named, err := b.named(func(t matrix.StateTuple) (*rooms.Stored, error) { return b.heldEvent(e, t) })
		return &summary{joined: e.sizes.Joined, invited: e.sizes.Invited}, named, err
	}
	view, err := b.s.rooms.Current(b.ctx, v.r)
	if err != nil {
		return nil, false, err
	}
	named, err := b.named(func(t matrix.StateTuple) (*rooms.Stored, error) { return view.Stored(b.ctx, t) })
	return &summary{joined: view.Joined(), invited: view.Invited()}, named, err
}

// named reports whether a state gives the room a name.
func (b *build) named(state func(matrix.StateTuple) (*rooms.Stored, error)) (bool, error) {
	for _, typ := range [...]string{"m.room.name", "m.room.canonical_alias"} {
		e, err := state(matrix.StateTuple{Type: typ})
		if err != nil {
			return false, err
		}
		if e == nil {
			continue
		}
		var c struct {
			Name  string `json:"name"`
			Alias string `json:"alias"`
		}
		_ = matrix.Decode(e.Content, &c) // a name of another type is no name
		if c.Name != "" || c.Alias != "" {
			return true, nil
		}
	}
	return false, nil
}

// firstMembers are who is in the room or invited, oldest first; where the user is alone, those who went.
func (b *build) firstMembers(v *roomView) ([]matrix.UserID, error) {
	nids, err := b.s.db.ListHeroes(b.ctx, v.room, true, heroes+1)
	if err == nil && len(nids) <= 1 {
		nids, err = b.s.db.ListHeroes(b.ctx, v.room, false, heroes+1)
	}
	if err != nil {
		return nil, err
	}
	out := make([]matrix.UserID, len(nids))
	for i, nid := range nids {
		if out[i], err = b.s.db.GetUserID(b.ctx, nid); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b *build) writeSummary(s *summary, heroes []matrix.UserID) {
	b.out = append(b.out, `"summary":{`...)
	if s.members != nil {
		b.out = append(b.out, `"m.heroes":[`...)
		for _, h := range heroes {
			b.out = append(matrix.AppendJSONString(b.out, h), ',')
		}
		b.endList()
		b.out = append(b.out, ',')
	}
	b.out = strconv.AppendInt(append(b.out, `"m.joined_member_count":`...), s.joined, 10)
	b.out = strconv.AppendInt(append(b.out, `,"m.invited_member_count":`...), s.invited, 10)
	b.out = append(b.out, `},`...)
}
