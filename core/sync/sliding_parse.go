package sync

import (
	"encoding/json"
	"slices"
	"strings"

	"rempart/internal/matrix"
)

// readLists takes the lists in, by name.
func (q *SlidingRequest) readLists(lists map[string]*listBody, user matrix.UserID) error {
	if len(lists) > maxLists {
		return matrix.InvalidParam("A request can have at most 100 lists.")
	}
	for name, in := range lists {
		if in == nil || !listName(name, q.Stable) {
			return matrix.InvalidParam("A list has no valid name, or is no object.")
		}
		l := slidingList{name: name}
		var err error
		if l.ranges, err = in.rangesOf(q.Stable); err != nil {
			return err
		}
		if l.ask, err = in.read(user, q.Stable); err != nil {
			return err
		}
		if l.filter, err = in.Filters.read(q.Stable); err != nil {
			return err
		}
		q.Lists = append(q.Lists, l)
	}
	slices.SortFunc(q.Lists, func(a, b slidingList) int { return strings.Compare(a.name, b.name) })
	return nil
}

// listName reports whether a list may bear a name. MSC4186: opaque identifiers; the older dialect did not say.
func listName(name string, stable bool) bool {
	if !stable {
		return len(name) <= maxSlidingName
	}
	outside := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-._~", c))
	}
	return name != "" && len(name) <= maxSlidingName && !strings.ContainsFunc(name, outside)
}

func (l *listBody) rangesOf(stable bool) ([][2]int64, error) {
	in := l.Ranges
	if stable {
		if l.Range == nil {
			return nil, nil
		}
		in = [][]int64{l.Range}
	}
	if len(in) > maxRanges {
		return nil, matrix.InvalidParam("A list has too many ranges.")
	}
	out := make([][2]int64, 0, len(in))
	for _, r := range in {
		if len(r) != 2 || r[0] < 0 || r[1] < r[0] {
			return nil, matrix.InvalidParam("A range is a pair of numbers from 0 on, the smaller first.")
		}
		out = append(out, [2]int64{r[0], r[1]})
	}
	return out, nil
}

// readSubscriptions takes the rooms in that are asked for by name.
func (q *SlidingRequest) readSubscriptions(in map[matrix.RoomID]*roomAskBody, user matrix.UserID) error {
	most := maxSubscriptionsLoose
	if q.Stable {
		most = maxSubscriptions
	}
	if len(in) > most {
		return matrix.InvalidParam("Too many room_subscriptions.")
	}
	q.Subscriptions = make(map[matrix.RoomID]roomAsk, len(in))
	for id, body := range in {
		if body == nil || len(id) > matrix.MaxIDLength {
			return matrix.InvalidParam("A room subscription is an object under a room's id.")
		}
		ask, err := body.read(user, q.Stable)
		if err != nil {
			return err
		}
		q.Subscriptions[id] = ask
	}
	return nil
}

func (b *roomAskBody) read(user matrix.UserID, stable bool) (ask roomAsk, err error) {
	switch {
	case b.Limit != nil && *b.Limit < 0:
		return ask, matrix.InvalidParam("timeline_limit must not be negative.")
	case b.Limit != nil:
		ask.limit = int(min(*b.Limit, maxTimeline))
	case stable:
		return ask, matrix.MissingParam("timeline_limit is missing.")
	}
	if b.State == nil {
		if stable {
			return ask, matrix.MissingParam("required_state is missing.")
		}
		return ask, nil
	}
	if stable {
		ask.rule, err = readStateRule(b.State)
	} else {
		ask.rule, err = readStatePairs(b.State, user)
	}
	return ask, err
}

func (f *roomFilterBody) read(stable bool) (*slidingFilter, error) {
	if f == nil {
		return nil, nil
	}
	out := &slidingFilter{IsDM: f.IsDM, IsEncrypted: f.IsEncrypted, IsInvited: f.IsInvite, Spaces: f.Spaces, Tags: f.Tags, NotTags: f.NotTags}
	if stable {
		out.IsInvited = f.IsInvited
	}
	out.RoomTypes, out.NotRoomTypes = roomTypes(f.RoomTypes), roomTypes(f.NotRoomTypes)
	if max(len(out.RoomTypes), len(out.NotRoomTypes), len(out.Spaces), len(out.Tags), len(out.NotTags)) > maxFilterEntries {
		return nil, matrix.InvalidParam("A filter has too many entries.")
	}
	if out.IsDM == nil && out.IsEncrypted == nil && out.IsInvited == nil && out.Spaces == nil && out.RoomTypes == nil &&
		len(out.NotRoomTypes) == 0 && out.Tags == nil && len(out.NotTags) == 0 {
		return nil, nil
	}
	return out, nil
}

func roomTypes(in []*string) []string {
	if in == nil {
		return nil
	}
	out := make([]string, len(in))
	for i, t := range in {
		if t != nil {
			out[i] = *t
		}
	}
	return out
}

// unstableThreads is the name by which clients ask for thread subscriptions. MSC4308
const unstableThreads = "io.element.msc4308.thread_subscriptions"

func (q *SlidingRequest) readExtensions(in *extensionsBody) error {
	x := &q.Extensions
	x.e2ee = in.E2EE.Enabled
	x.toDevice.enabled, x.toDevice.since, x.toDevice.limit = in.ToDevice.Enabled, in.ToDevice.Since, maxToDevice
	if in.ToDevice.Limit != nil {
		x.toDevice.limit = min(max(*in.ToDevice.Limit, 1), maxToDevice)
	}
	x.sticky.enabled, x.sticky.since, x.sticky.limit = in.Sticky.Enabled, in.Sticky.Since, maxStickyTold
	if in.Sticky.Limit != nil {
		x.sticky.limit = min(max(*in.Sticky.Limit, 1), maxStickyTold)
	}
	for _, t := range [...]struct {
		name string
		threadsBody
	}{{"thread_subscriptions", in.ThreadsStable}, {unstableThreads, in.Threads}} {
		if t.Enabled {
			x.threads.enabled, x.threads.limit, x.threads.name = true, 100, t.name
			if t.Limit != nil {
				x.threads.limit = min(max(*t.Limit, 1), 100)
			}
		}
	}
	for _, part := range [...]struct {
		from *scopeBody
		to   *extensionScope
	}{{&in.Account, &x.account}, {&in.Receipts, &x.receipts}, {&in.Typing, &x.typing}} {
		if err := part.from.read(part.to); err != nil {
			return err
		}
	}
	return nil
}

// read takes a scope in. MSC3959: what is not named holds for all.
func (b *scopeBody) read(e *extensionScope) error {
	e.enabled, e.allLists, e.allRooms = b.Enabled, b.Lists == nil, b.Rooms == nil
	if b.Lists != nil {
		if len(*b.Lists) > maxLists {
			return matrix.InvalidParam("An extension names too many lists.")
		}
		e.lists = map[string]bool{}
		for _, name := range *b.Lists {
			e.allLists = e.allLists || name == "*"
			e.lists[name] = true
		}
	}
	if b.Rooms != nil {
		if len(*b.Rooms) > maxSubscriptionsLoose {
			return matrix.InvalidParam("An extension names too many rooms.")
		}
		e.rooms = map[matrix.RoomID]bool{}
		for _, id := range *b.Rooms {
			e.rooms[id] = true
		}
	}
	return nil
}

// readStatePairs reads required_state of the older dialect: pairs of type and state key, with "*", "$ME" and "$LAZY".
func readStatePairs(raw json.RawMessage, user matrix.UserID) (r stateRule, err error) {
	var pairs [][]string
	if err := matrix.Decode(raw, &pairs); err != nil {
		return r, matrix.BadJSON("required_state is a list of pairs of type and state key.").Wrap(err)
	}
	for _, p := range pairs {
		if len(p) != 2 {
			return r, matrix.BadJSON("required_state is a list of pairs of type and state key.")
		}
		e := stateElement{Type: p[0], Key: p[1], AnyType: p[0] == "*", AnyKey: p[1] == "*"}
		switch {
		case p[1] == "$LAZY" && p[0] == "m.room.member":
			r.Lazy = true
			continue
		case p[1] == "$ME":
			e.Key = string(user)
		}
		r.Include = append(r.Include, e)
	}
	return r, r.tidy()
}

// readStateRule reads required_state of the stable dialect.
func readStateRule(raw json.RawMessage) (r stateRule, err error) {
	type element struct {
		Type *string `json:"type"`
		Key  *string `json:"state_key"`
	}
	var in struct {
		Include []element `json:"include"`
		Exclude []element `json:"exclude"`
		Lazy    bool      `json:"lazy_members"`
	}
	if err := matrix.Decode(raw, &in); err != nil {
		return r, matrix.BadJSON("required_state is an object with include, exclude and lazy_members.").Wrap(err)
	}
	read := func(list []element) (out []stateElement) {
		for _, e := range list {
			s := stateElement{AnyType: e.Type == nil, AnyKey: e.Key == nil}
			if e.Type != nil {
				s.Type = *e.Type
			}
			if e.Key != nil {
				s.Key = *e.Key
			}
			out = append(out, s)
		}
		return out
	}
	r = stateRule{Include: read(in.Include), Exclude: read(in.Exclude), Lazy: in.Lazy}
	return r, r.tidy()
}
