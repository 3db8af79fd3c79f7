package sync

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// number is the number of a room by its id; 0 when it is not known here. mu is held.
func (l *slide) number(ctx context.Context, s *Service, id matrix.RoomID) (int64, error) {
	if nid, ok := l.numbers[id]; ok {
		return nid, nil
	}
	nid, err := s.db.FindRoomNID(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if l.numbers == nil || len(l.numbers) > 1<<14 {
		l.numbers = map[matrix.RoomID]int64{}
	}
	l.numbers[id] = nid
	return nid, nil
}

// loadDirect reads which rooms are direct ones. Spec: client-server-api/#mdirect
func (l *slide) loadDirect(ctx context.Context, s *Service, u *hubUser) error {
	data, err := s.db.FindAccountData(ctx, u.nid, 0, directType)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	for i := range l.rooms {
		l.rooms[i].dm = false
	}
	var with map[string]json.RawMessage
	_ = matrix.Decode(data.Content, &with) // clients write it: what is of another form names no rooms
	for _, raw := range with {
		var ids []matrix.RoomID
		if matrix.Decode(raw, &ids) != nil {
			continue
		}
		for _, id := range ids {
			nid, err := l.number(ctx, s, id)
			if err != nil {
				return err
			}
			if i := l.place(nid); nid != 0 && i >= 0 {
				l.rooms[i].dm = true
			}
		}
	}
	return nil
}

// ready reads what a filter looks at; mu is held.
func (l *slide) ready(ctx context.Context, s *Service, u *hubUser, c *matrix.Caller, f *slidingFilter) error {
	if f.IsEncrypted != nil || f.RoomTypes != nil || len(f.NotRoomTypes) > 0 {
		if err := l.judge(ctx, s, c); err != nil {
			return err
		}
	}
	if (f.Tags != nil || len(f.NotTags) > 0) && l.roomTag == nil {
		rows, err := s.db.ListAccountDataOfType(ctx, u.nid, tagType)
		if err != nil {
			return err
		}
		l.roomTag = make(map[int64][]string, len(rows))
		for _, row := range rows {
			l.roomTag[row.Room] = tagsOf(row.Content)
		}
	}
	for _, id := range f.Spaces {
		if err := l.loadSpace(ctx, s, id); err != nil {
			return err
		}
	}
	return nil
}

// tagsOf lists the tags of a room. Spec: client-server-api/#mtag
func tagsOf(content []byte) []string {
	var c struct {
		Tags map[string]json.RawMessage `json:"tags"`
	}
	_ = matrix.Decode(content, &c) // clients write it: what is of another form has no tags
	out := make([]string, 0, len(c.Tags))
	for t := range c.Tags {
		out = append(out, t)
	}
	return out
}

// pass reports whether a filter lets a room through. Everything that it looks at has been read.
func (l *slide) pass(f *slidingFilter, r *slideRoom) bool {
	is := func(want *bool, have bool) bool { return want == nil || *want == have }
	if !is(f.IsDM, r.dm) || !is(f.IsEncrypted, r.encrypted) || !is(f.IsInvited, r.membership == storage.MemberInvite) {
		return false
	}
	if f.RoomTypes != nil && !slices.Contains(f.RoomTypes, l.typeOf(r)) ||
		len(f.NotRoomTypes) > 0 && slices.Contains(f.NotRoomTypes, l.typeOf(r)) {
		return false
	}
	if f.Tags != nil && !tagged(l.roomTag[r.room], f.Tags) || len(f.NotTags) > 0 && tagged(l.roomTag[r.room], f.NotTags) {
		return false
	}
	return f.Spaces == nil || slices.ContainsFunc(f.Spaces, func(id matrix.RoomID) bool { return l.spaces[id][r.room] })
}

func tagged(have, want []string) bool {
	return slices.ContainsFunc(have, func(t string) bool { return slices.Contains(want, t) })
}

func (l *slide) typeOf(r *slideRoom) string {
	if r.kind == 0 {
		return ""
	}
	return l.types[r.kind-1]
}

// judge finds out of all rooms whether they are encrypted, and of what type; mu is held.
func (l *slide) judge(ctx context.Context, s *Service, c *matrix.Caller) error {
	var here []int64
	for i := range l.rooms {
		if r := &l.rooms[i]; !r.judged && r.membership == storage.MemberJoin {
			here = append(here, r.room)
		} else if !r.judged {
			if err := l.judgeOutside(ctx, s, c, r); err != nil {
				return err
			}
		}
	}
	if len(here) == 0 {
		return nil
	}
	encrypted, err := s.holders(ctx, here, "m.room.encryption")
	if err != nil {
		return err
	}
	kinds, err := s.roomKinds(ctx, c.UserNID, here)
	if err != nil {
		return err
	}
	for _, room := range here {
		r := &l.rooms[l.place(room)]
		r.judged, r.encrypted = true, encrypted[room] != 0
		l.setType(r, kinds[room].Type())
	}
	return nil
}

// roomKinds finds the types of rooms that a user is in. Those that nobody has looked at yet, as rooms from elsewhere, are read from their
// create events, once for all: a create event stays what it is.
func (s *Service) roomKinds(ctx context.Context, user int64, in []int64) (map[int64]storage.RoomKind, error) {
	kinds, err := s.db.ListRoomKinds(ctx, user)
	if err != nil {
		return nil, err
	}
	var unknown []int64
	for _, room := range in {
		if kind, listed := kinds[room]; listed && kind == "" {
			unknown = append(unknown, room)
		}
	}
	if len(unknown) == 0 {
		return kinds, nil
	}
	created, err := s.holders(ctx, unknown, "m.room.create")
	if err != nil {
		return nil, err
	}
	change := &storage.Change{}
	for _, room := range unknown {
		events, err := s.rooms.Events(ctx, []int64{created[room]})
		if err != nil {
			return nil, err
		}
		if len(events) > 0 {
			kinds[room] = storage.KindOf(typeIn(events[0].Content))
			change.Guard(storage.SetRoomKind(room, kinds[room]))
		}
	}
	return kinds, s.db.Commit(ctx, change)
}

// holders finds the events that hold a piece of state with an empty key in rooms.
func (s *Service) holders(ctx context.Context, in []int64, typ string) (map[int64]int64, error) {
	key, err := s.db.FindStateKeyNID(ctx, matrix.StateTuple{Type: typ})
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.db.ListKeyHolders(ctx, in, key)
}

// maxRoomTypes bounds how many types of rooms are told apart in one list.
const maxRoomTypes = 1 << 12

// typeIn reads a room's type from the content of its create event.
func typeIn(create []byte) string {
	var c struct {
		Type string `json:"type"`
	}
	_ = matrix.Decode(create, &c) // a type of another form is none
	return c.Type
}

// setType notes a room's type.
func (l *slide) setType(r *slideRoom, typ string) {
	r.kind = 0
	if typ == "" {
		return
	}
	i := slices.Index(l.types, typ)
	if i < 0 {
		if len(l.types) >= maxRoomTypes {
			return
		}
		i = len(l.types)
		l.types = append(l.types, typ)
	}
	r.kind = uint16(i + 1) //nolint:gosec // Why: bounded by maxRoomTypes
}

// judgeOutside judges a room that the user is not in by what it shows to those outside.
func (l *slide) judgeOutside(ctx context.Context, s *Service, c *matrix.Caller, r *slideRoom) error {
	r.judged = true
	m, err := s.db.FindMembership(ctx, c.UserNID, r.room)
	if err != nil {
		return err
	}
	raw, err := s.rooms.Outside(ctx, &m)
	if err != nil {
		return err
	}
	var stripped []struct {
		Type    string          `json:"type"`
		Content json.RawMessage `json:"content"`
	}
	if len(raw) > 0 {
		if err := matrix.Decode(raw, &stripped); err != nil {
			return nil //nolint:nilerr // Why: another server wrote it; it tells nothing
		}
	}
	for _, e := range stripped {
		r.encrypted = r.encrypted || e.Type == "m.room.encryption"
		if e.Type == "m.room.create" {
			l.setType(r, typeIn(e.Content))
		}
	}
	if len(stripped) > 0 {
		return nil
	}
	b := build{s: s, ctx: ctx, c: c}
	for _, typ := range [...]string{"m.room.encryption", "m.room.create"} {
		e, err := b.stateEventAt(r.room, matrix.StateTuple{Type: typ}, r.pos)
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		if typ == "m.room.create" {
			l.setType(r, typeIn(e.Content))
		} else {
			r.encrypted = true
		}
	}
	return nil
}

// loadSpace reads which rooms are in a space that the user is in. Spec: client-server-api/#mspacechild
func (l *slide) loadSpace(ctx context.Context, s *Service, id matrix.RoomID) error {
	if l.spaces[id] != nil {
		return nil
	}
	if l.spaces == nil || len(l.spaces) > maxFilterEntries {
		l.spaces = map[matrix.RoomID]map[int64]bool{}
	}
	l.spaces[id] = map[int64]bool{}
	nid, err := l.number(ctx, s, id)
	if err != nil || nid == 0 {
		return err
	}
	if i := l.place(nid); i < 0 || l.rooms[i].membership != storage.MemberJoin {
		return nil
	}
	room, err := s.rooms.RoomByNID(ctx, nid)
	if err != nil {
		return err
	}
	children, err := s.childrenOf(ctx, room)
	if err != nil {
		return err
	}
	for _, child := range children {
		nid, err := l.number(ctx, s, child)
		if err != nil {
			return err
		}
		if nid != 0 {
			l.spaces[id][nid] = true
		}
	}
	return nil
}

// childrenOf lists the rooms that a space names with servers to reach them by.
func (s *Service) childrenOf(ctx context.Context, room *rooms.Room) ([]matrix.RoomID, error) {
	view, err := s.rooms.Current(ctx, room)
	if err != nil {
		return nil, err
	}
	var nids []int64
	view.Each(func(key, event int64) bool {
		var t matrix.StateTuple
		if t, err = s.db.GetStateTuple(ctx, key); err == nil && t.Type == "m.space.child" && event != 0 {
			nids = append(nids, event)
		}
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	events, err := s.rooms.Events(ctx, nids)
	var out []matrix.RoomID
	for _, e := range events {
		var c struct {
			Via []json.RawMessage `json:"via"`
		}
		if matrix.Decode(e.Content, &c) == nil && len(c.Via) > 0 {
			out = append(out, matrix.RoomID(*e.StateKey))
		}
	}
	return out, err
}
