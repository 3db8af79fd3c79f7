package sync

import (
	"errors"
	"math"
	"strconv"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// departed writes the rooms that the user is asked into, knocks at, or has left.
func (b *build) departed() error {
	all := b.initial || b.q.FullState
	if !all && b.knownUser && b.facts.membership <= b.from.Pos {
		return nil
	}
	rows, err := b.s.db.ListMembershipsOf(b.ctx, b.u.nid)
	if err != nil {
		return err
	}
	for _, part := range [...]struct {
		name  string
		which func(m *storage.MembershipRow) bool
		one   func(m *storage.MembershipRow) error
	}{
		{"invite", b.newly(storage.MemberInvite), func(m *storage.MembershipRow) error { return b.stripped(m, "invite_state") }},
		{"knock", b.newly(storage.MemberKnock), func(m *storage.MembershipRow) error { return b.stripped(m, "knock_state") }},
		{"leave", b.left, b.leftRoom},
	} {
		err := b.group(part.name, func() error {
			for i := range rows {
				if m := &rows[i]; m.Pos > b.head || m.Forgotten && all || !part.which(m) {
					continue
				}
				if err := part.one(&rows[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// newly chooses the rooms in which the user came to stand so since the last sync; all of them in a full one.
func (b *build) newly(as storage.Membership) func(m *storage.MembershipRow) bool {
	all := b.initial || b.q.FullState
	return func(m *storage.MembershipRow) bool {
		return m.Membership == as && (all || m.Pos > b.from.Pos)
	}
}

// left chooses the rooms that the user has left since the last sync, and with the filter's consent those of before.
// A first sync tells also without that of the rooms that he is banned from and has not forgotten.
//
// Why: the filter speaks of "rooms that the user has left", the answer of those "left or been banned from"
// (client-server-api/#get_matrixclientv3sync). A client that has just logged in has no other way to show its user that he is banned, and clients
// rely on it (github.com/element-hq/element-meta/issues/2699).
//
// Who has no membership any more was in the room, asked into it or knocked at it: a resolution of state took that away, and no event says so.
func (b *build) left(m *storage.MembershipRow) bool {
	if m.Membership == storage.MemberNone {
		return !b.initial && m.Pos > b.from.Pos
	}
	if m.Membership != storage.MemberLeave && m.Membership != storage.MemberBan {
		return false
	}
	all := b.initial || b.q.FullState
	return all && b.f.Room.IncludeLeave || b.initial && m.Membership == storage.MemberBan || !b.initial && m.Pos > b.from.Pos
}

// strippedTypes are the pieces of state that tell somebody outside what room it is.
// Spec: client-server-api/#stripped-state
var strippedTypes = [...]string{"m.room.create", "m.room.name", "m.room.avatar", "m.room.topic", "m.room.join_rules",
	"m.room.canonical_alias", "m.room.encryption"}

// stripped writes a room that the user is not in yet, with what he may know of it: as it was when he was asked.
func (b *build) stripped(m *storage.MembershipRow, name string) error {
	room, own, err := b.ownEvent(m)
	if err != nil || own == nil || !b.f.Room.wants(room.ID()) {
		return err
	}
	if m.Membership == storage.MemberInvite {
		hidden, err := b.s.rooms.HidesInvite(b.ctx, b.c.User, own.Sender)
		if err != nil || hidden || b.ignored[own.Sender] {
			return err
		}
	}
	b.out = append(append(append(matrix.AppendJSONString(b.out, room.ID()), `:{"`...), name...), `":{"events":[`...)
	if err := b.writeStripped(m, own); err != nil {
		return err
	}
	b.endList()
	b.out = append(b.out, `}},`...)
	return nil
}

// writeStripped writes what a user who is not in a room may know of it, and his own membership.
func (b *build) writeStripped(m *storage.MembershipRow, own *rooms.Stored) error {
	outside, err := b.s.rooms.Outside(b.ctx, m)
	if err != nil {
		return err
	}
	if len(outside) > len(`[]`) {
		b.out = append(append(b.out, outside[1:len(outside)-1]...), ',')
	} else if err := b.strippedState(m, own); err != nil {
		return err
	}
	b.out = append(own.StrippedJSON(b.out), ',')
	return nil
}

// strippedState writes the pieces of state that a room which this installation is in shows to those outside.
func (b *build) strippedState(m *storage.MembershipRow, own *rooms.Stored) error {
	tuples := make([]matrix.StateTuple, 0, len(strippedTypes)+1)
	for _, typ := range strippedTypes {
		tuples = append(tuples, matrix.StateTuple{Type: typ})
	}
	if own.Sender != b.c.User {
		tuples = append(tuples, memberTuple(own.Sender))
	}
	for _, t := range tuples {
		e, err := b.stateEventAt(m.Room, t, m.Pos)
		if err != nil {
			return err
		}
		if e != nil {
			b.out = append(e.StrippedJSON(b.out), ',')
		}
		if e != nil && e.Type == "m.room.create" { // MSC4311: its time is told as well
			b.out = append(b.out[:len(b.out)-2], `,"origin_server_ts":`...)
			b.out = append(strconv.AppendInt(b.out, e.OriginServerTS, 10), `},`...)
		}
	}
	return nil
}

// ownEvent finds the room and the event of a membership; nil when that is no event of his own.
func (b *build) ownEvent(m *storage.MembershipRow) (*rooms.Room, *rooms.Stored, error) {
	room, err := b.s.rooms.RoomByNID(b.ctx, m.Room)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return nil, nil, nil // purged since
	}
	if err != nil || m.Event == 0 {
		return room, nil, err
	}
	events, err := b.s.rooms.Events(b.ctx, []int64{m.Event})
	if err != nil || len(events) == 0 {
		return room, nil, err
	}
	return room, events[0], nil
}

func (b *build) stateEventAt(room int64, t matrix.StateTuple, pos int64) (*rooms.Stored, error) {
	key, err := b.s.db.FindStateKeyNID(b.ctx, t)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	nid, err := b.s.db.FindStateEvent(b.ctx, room, key, pos)
	if err != nil || nid == 0 {
		return nil, err
	}
	events, err := b.s.rooms.Events(b.ctx, []int64{nid})
	if err != nil || len(events) == 0 {
		return nil, err
	}
	return events[0], nil
}

// leftRoom writes a room up to where the user left it. Who was never in it hears of his own leaving only.
func (b *build) leftRoom(m *storage.MembershipRow) error {
	room, own, err := b.ownEvent(m)
	if err == nil && room == nil {
		return b.goneRoom(m)
	}
	if err != nil || !b.f.Room.wants(room.ID()) {
		return err
	}
	v := &roomView{joinedRoom: joinedRoom{m.Room, m.Pos}, r: room, left: true, tailFrom: math.MaxInt64}
	was, since, err := b.wasIn(v)
	before := was == "join"
	if err != nil || own == nil && !before && !since {
		return b.takenBack(room, was, err) // Why not all without an event of his own: a resolution may have taken his membership away
	}
	t := &timeline{after: b.from.Pos, upto: m.Pos}
	var state []*rooms.Stored
	if before || since {
		b.parted = b.parted || !b.initial
		full := b.initial || !before || b.q.FullState
		after := b.from.Pos
		if !before {
			after = 0
		}
		if t, err = b.timelineOf(v, after, m.Pos); err != nil {
			return err
		}
		if state, err = b.stateOf(v, t, full, nil); err != nil {
			return err
		}
	} else if state, err = b.neverIn(v, t, m, own); err != nil {
		return err
	}
	b.out = append(matrix.AppendJSONString(b.out, room.ID()), `:{`...)
	if err := b.writeTimeline(v, t); err != nil {
		return err
	}
	b.writeState(state)
	if _, err := b.writeRoomAccount(v); err != nil {
		return err
	}
	b.out[len(b.out)-1] = '}'
	b.out = append(b.out, ',')
	return nil
}

// takenBack tells of a room that the user was asked into, or knocked at, and no event says that he is not any more.
func (b *build) takenBack(room *rooms.Room, was string, err error) error {
	if err == nil && (was == "invite" || was == "knock") {
		b.writeGone(room.ID())
	}
	return err
}

// neverIn puts the user's own leaving into the timeline, and into the state for clients that take none from there.
func (b *build) neverIn(v *roomView, t *timeline, m *storage.MembershipRow, own *rooms.Stored) ([]*rooms.Stored, error) {
	if b.f.Room.limit() > 0 && (b.wants(v, own) || own.Has(storage.FlagOutlier)) {
		t.lines = []*tailEvent{{pos: m.Pos, stored: own}} // an outlier: he refused an invitation to a room that is elsewhere
	}
	if !b.q.StateAfter {
		return nil, nil
	}
	return b.wantedState(v, []int64{m.Event})
}

// wasIn is how the user stood to a room at the token, and reports whether he was a member of it at any time since.
func (b *build) wasIn(v *roomView) (was string, since bool, err error) {
	key, err := b.s.db.StateKeyNID(b.ctx, memberTuple(b.c.User))
	if err != nil {
		return "", false, err
	}
	if was, err = b.membershipOf(v, key, b.from.Pos); err != nil {
		return "", false, err
	}
	nids, err := b.s.db.ListStateEventsSince(b.ctx, v.room, key, b.from.Pos, v.pos)
	if err != nil {
		return "", false, err
	}
	events, err := b.s.rooms.Events(b.ctx, nids)
	for _, e := range events {
		since = since || e.Membership() == "join"
	}
	return was, since, err
}

// goneRoom tells a client that has not heard yet that it left a room which this installation has forgotten since.
func (b *build) goneRoom(m *storage.MembershipRow) error {
	if b.initial || m.Pos <= b.from.Pos {
		return nil
	}
	id, err := b.s.db.FindGoneRoom(b.ctx, m.Room)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !b.f.Room.wants(id) {
		return nil
	}
	b.writeGone(id)
	return err
}

// writeGone writes a room of which a client is told only that it is out.
func (b *build) writeGone(id matrix.RoomID) {
	b.out = append(matrix.AppendJSONString(b.out, id), `:{"timeline":{"events":[]},"state":{"events":[]}},`...)
}
