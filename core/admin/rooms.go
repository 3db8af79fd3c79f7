package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Room is a room as administrators see it.
type Room struct {
	storage.ListedRoom
	Name, Topic, Avatar, Alias, Creator, Encryption, JoinRule, GuestAccess, Visibility, Type string
	Federatable                                                                              bool
	// Tombstoned says that the room has ended, Replacement where it goes on.
	Tombstoned  bool
	Replacement matrix.RoomID
}

// RoomFilter chooses rooms; nil fields do not choose.
type RoomFilter struct {
	Term          string
	Public, Empty *bool
}

// stateOrders says by which piece of state a list of rooms is ordered, and which member of its content.
func stateOrders() map[string][2]string {
	return map[string][2]string{
		"name": {"m.room.name", "name"}, "alphabetical": {"m.room.name", "name"}, "canonical_alias": {"m.room.canonical_alias", "alias"},
		"creator": {"m.room.create", "sender"}, "federatable": {"m.room.create", "m.federate"}, "room_type": {"m.room.create", "type"},
		"encryption": {"m.room.encryption", "algorithm"}, "join_rules": {"m.room.join_rules", "join_rule"},
		"guest_access": {"m.room.guest_access", "guest_access"}, "history_visibility": {"m.room.history_visibility", "history_visibility"},
	}
}

// rowOrders compare rooms by what their rows say.
func rowOrders() map[string]func(a, b *storage.ListedRoom) int {
	joined := func(a, b *storage.ListedRoom) int { return cmp.Compare(b.Joined, a.Joined) } // most first, as is usual
	return map[string]func(a, b *storage.ListedRoom) int{
		"size": joined, "joined_members": joined,
		"joined_local_members": func(a, b *storage.ListedRoom) int { return cmp.Compare(b.JoinedLocal, a.JoinedLocal) },
		"state_events":         func(a, b *storage.ListedRoom) int { return cmp.Compare(b.StateEvents, a.StateEvents) },
		"version": func(a, b *storage.ListedRoom) int {
			return cmp.Or(cmp.Compare(len(a.Version), len(b.Version)), cmp.Compare(a.Version, b.Version))
		},
		"public":  func(a, b *storage.ListedRoom) int { return compareBools(b.Public, a.Public) },
		"room_id": func(a, b *storage.ListedRoom) int { return cmp.Compare(a.ID, b.ID) },
	}
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// KnowsRoomOrder reports whether rooms can be listed in an order of this name.
func KnowsRoomOrder(name string) bool {
	return stateOrders()[name] != [2]string{} || rowOrders()[name] != nil
}

// Rooms lists rooms, and counts all that match.
// Why all rows are read: an order by name is one by pieces of state, which live in events. A row takes some 200 bytes, and what was
// made of rooms is kept until they change.
func (s *Service) Rooms(ctx context.Context, admin matrix.Caller, f RoomFilter, p Page) ([]Room, int, error) {
	all, list, err := s.peopled(ctx, admin)
	if err != nil {
		return nil, 0, err
	}
	list = slices.DeleteFunc(list, func(r storage.ListedRoom) bool {
		return f.Public != nil && r.Public != *f.Public || f.Empty != nil && (r.Joined == 0) != *f.Empty
	})
	if f.Term != "" {
		if list, err = s.searched(ctx, all, list, f.Term); err != nil {
			return nil, 0, err
		}
	}
	if err := s.sortRooms(ctx, all, list, p); err != nil {
		return nil, 0, err
	}
	total := len(list)
	from := min(p.From, int64(total))
	list = list[from:min(from+p.Limit, int64(total))]
	out := make([]Room, 0, len(list))
	for _, l := range list {
		r, err := s.describe(ctx, l)
		if matrix.HasCode(err, matrix.CodeNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, 0, err
		}
		out = append(out, *r)
	}
	return out, total, nil
}

// peopled lists those rooms that an administrator sees, with their counts of members; all are those of the installation.
func (s *Service) peopled(ctx context.Context, admin matrix.Caller) (all []at, list []storage.ListedRoom, err error) {
	if list, err = s.DB.ListAllRooms(ctx); err != nil {
		return nil, nil, err
	}
	states := make([]at, len(list))
	all = make([]at, len(list))
	for i := range list {
		// Why two versions: who is in a room changes with its state alone, and a redaction changes a name without that.
		states[i], all[i] = at{list[i].NID, list[i].StateSeq}, at{list[i].NID, list[i].Moved}
	}
	people, err := s.people.of(ctx, states, s.DB.CountPeople)
	if err != nil {
		return nil, nil, err
	}
	tenant := s.sees(admin)
	list = slices.DeleteFunc(list, func(r storage.ListedRoom) bool {
		return tenant != 0 && !slices.Contains(people[r.NID].Tenants, tenant)
	})
	for i := range list {
		list[i].Joined, list[i].JoinedLocal = people[list[i].NID].Joined, people[list[i].NID].Local
	}
	return all, list, nil
}

// searched keeps the rooms whose name, alias or id has a text.
func (s *Service) searched(ctx context.Context, all []at, list []storage.ListedRoom, term string) ([]storage.ListedRoom, error) {
	term = strings.ToLower(term)
	found := map[int64]bool{}
	for _, key := range []string{"name", "canonical_alias"} {
		texts, err := s.texts(ctx, key, all)
		if err != nil {
			return nil, err
		}
		for room, text := range texts {
			if strings.Contains(text, term) {
				found[room] = true
			}
		}
	}
	return slices.DeleteFunc(list, func(r storage.ListedRoom) bool {
		return !found[r.NID] && !strings.Contains(strings.ToLower(string(r.ID)), term)
	}), nil
}

// texts is one member of one piece of state of all rooms that have it, in lower case.
func (s *Service) texts(ctx context.Context, order string, all []at) (map[int64]string, error) {
	kept := s.ordered[order]
	if kept == nil {
		return nil, errors.New("unknown order of rooms: " + order)
	}
	return kept.of(ctx, all, func(ctx context.Context, rooms []int64) (map[int64]string, error) {
		return s.readTexts(ctx, order, rooms)
	})
}

func (s *Service) readTexts(ctx context.Context, order string, rooms []int64) (map[int64]string, error) {
	of := stateOrders()[order]
	out := map[int64]string{}
	key, err := s.DB.FindStateKeyNID(ctx, matrix.StateTuple{Type: of[0]})
	if errors.Is(err, storage.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	err = s.DB.EachCurrent(ctx, key, rooms, func(room int64, body []byte) {
		var e struct {
			Sender  string                     `json:"sender"`
			Content map[string]json.RawMessage `json:"content"`
		}
		if matrix.Decode(body, &e) != nil {
			return
		}
		text := e.Sender
		if of[1] != "sender" {
			text = strings.Trim(string(e.Content[of[1]]), `"`)
		}
		out[room] = strings.ToLower(text)
	})
	return out, err
}

// newTexts makes the memory of each order that goes by pieces of state; two names of one order share it.
func newTexts(used *atomic.Int64) map[string]*derived[string] {
	out, same := map[string]*derived[string]{}, map[[2]string]*derived[string]{}
	for order, of := range stateOrders() {
		if same[of] == nil {
			same[of] = newDerived(used, func(text string) int64 { return int64(len(text)) })
		}
		out[order] = same[of]
	}
	return out
}

// sortRooms brings rooms into an order; rooms that are equal in it go by their ids.
func (s *Service) sortRooms(ctx context.Context, all []at, list []storage.ListedRoom, p Page) error {
	compare := rowOrders()[p.Order]
	if compare == nil {
		texts, err := s.texts(ctx, p.Order, all)
		if err != nil {
			return err
		}
		compare = func(a, b *storage.ListedRoom) int {
			x, y := texts[a.NID], texts[b.NID]
			return cmp.Or(compareBools(x == "", y == ""), cmp.Compare(x, y)) // those without come last
		}
	}
	if p.Order == "state_events" {
		if err := s.countState(ctx, list); err != nil {
			return err
		}
	}
	slices.SortFunc(list, func(a, b storage.ListedRoom) int {
		n := compare(&a, &b)
		if p.Backward {
			n = -n
		}
		return cmp.Or(n, cmp.Compare(a.ID, b.ID))
	})
	return nil
}

func (s *Service) countState(ctx context.Context, list []storage.ListedRoom) error {
	nids := make([]int64, len(list))
	for i := range list {
		nids[i] = list[i].NID
	}
	counts, err := s.DB.CountStateRows(ctx, nids)
	for i := range list {
		list[i].StateEvents = counts[list[i].NID]
	}
	return err
}

// describe reads the rest of a room from its current state.
func (s *Service) describe(ctx context.Context, l storage.ListedRoom) (*Room, error) {
	one := []storage.ListedRoom{l}
	if err := s.countState(ctx, one); err != nil {
		return nil, err
	}
	out := &Room{ListedRoom: one[0], Federatable: true}
	r, err := s.Graph.RoomByNID(ctx, l.NID)
	if err != nil {
		return nil, err
	}
	v, err := s.Graph.Current(ctx, r)
	if err != nil {
		return nil, err
	}
	for typ, take := range out.fields() {
		e, err := v.Get(ctx, matrix.StateTuple{Type: typ})
		if err != nil {
			return nil, err
		}
		if e == nil {
			continue
		}
		var c map[string]any
		if matrix.Decode(e.Content, &c) == nil {
			take(e, c)
		}
	}
	return out, nil
}

// fields says what is taken from which piece of state.
func (r *Room) fields() map[string]func(e *matrix.Event, c map[string]any) {
	text := func(to *string, key string) func(*matrix.Event, map[string]any) {
		return func(_ *matrix.Event, c map[string]any) { *to, _ = c[key].(string) }
	}
	return map[string]func(*matrix.Event, map[string]any){
		"m.room.name": text(&r.Name, "name"), "m.room.topic": text(&r.Topic, "topic"), "m.room.avatar": text(&r.Avatar, "url"),
		"m.room.canonical_alias": text(&r.Alias, "alias"), "m.room.encryption": text(&r.Encryption, "algorithm"),
		"m.room.join_rules": text(&r.JoinRule, "join_rule"), "m.room.guest_access": text(&r.GuestAccess, "guest_access"),
		"m.room.history_visibility": text(&r.Visibility, "history_visibility"),
		"m.room.create": func(e *matrix.Event, c map[string]any) {
			r.Creator = string(e.Sender)
			r.Type, _ = c["type"].(string)
			if open, ok := c["m.federate"].(bool); ok {
				r.Federatable = open
			}
		},
		"m.room.tombstone": func(_ *matrix.Event, c map[string]any) {
			next, _ := c["replacement_room"].(string)
			r.Tombstoned, r.Replacement = true, matrix.RoomID(next)
		},
	}
}

// RoomDetails is what is said of one room beside what a list says.
type RoomDetails struct {
	Room
	LocalDevices int64
	Forgotten    bool
}

// RoomDetails reads one room.
func (s *Service) RoomDetails(ctx context.Context, admin matrix.Caller, id matrix.RoomID) (*RoomDetails, error) {
	r, err := s.Room(ctx, admin, id)
	if err != nil {
		return nil, err
	}
	l := storage.ListedRoom{NID: r.NID(), ID: id, Version: r.Version().ID}
	if l.Public, err = s.DB.IsPublic(ctx, l.NID); err != nil {
		return nil, err
	}
	people, err := s.DB.CountPeople(ctx, []int64{l.NID})
	if err != nil {
		return nil, err
	}
	l.Joined, l.JoinedLocal = people[l.NID].Joined, people[l.NID].Local
	d, err := s.describe(ctx, l)
	if err != nil {
		return nil, err
	}
	out := &RoomDetails{Room: *d}
	if out.LocalDevices, err = s.DB.CountLocalDevices(ctx, l.NID); err != nil {
		return nil, err
	}
	known, err := s.DB.RemembersRoom(ctx, l.NID)
	out.Forgotten = !known
	return out, err
}

// Members are the users who are in a room.
func (s *Service) Members(ctx context.Context, admin matrix.Caller, id matrix.RoomID) ([]matrix.UserID, error) {
	r, err := s.Room(ctx, admin, id)
	if err != nil {
		return nil, err
	}
	out := []matrix.UserID{}
	for after := int64(0); ; {
		ids, last, err := s.DB.ListMemberIDs(ctx, r.NID(), after, storage.MemberJoin, 1000)
		if err != nil || len(ids) == 0 {
			return out, err
		}
		out, after = append(out, ids...), last
	}
}

// Extremities are the events of a room that nothing refers to yet.
func (s *Service) Extremities(ctx context.Context, admin matrix.Caller, name string) ([]*rooms.Stored, error) {
	r, err := s.Named(ctx, admin, name)
	if err != nil {
		return nil, err
	}
	return s.Graph.Heads(ctx, r)
}
