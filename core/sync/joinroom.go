package sync

import (
	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// joinRoom writes what is new in a room that the user is in; nothing when nothing is.
func (b *build) joinRoom(v *roomView) error {
	if ok, err := b.enter(v); err != nil || !ok {
		return err
	}
	full, after := b.initial || v.newly || b.q.FullState, b.from.Pos
	if v.newly {
		after = 0
	}
	t, err := b.timelineOf(v, after, b.head)
	if err != nil {
		return err
	}
	t.limited = t.limited || v.newly
	var sum *summary
	var heroes []matrix.UserID
	if full || v.members > after {
		if sum, err = b.summaryOf(v); err != nil {
			return err
		}
		heroes = sum.heroesFor(b.c.User)
	}
	state, err := b.stateOf(v, t, full, heroes)
	if err != nil {
		return err
	}
	return b.writeRoom(v, t, full, sum, heroes, state)
}

func (b *build) writeRoom(v *roomView, t *timeline, full bool, sum *summary, heroes []matrix.UserID, state []*rooms.Stored) error {
	start := len(b.out)
	b.out = append(matrix.AppendJSONString(b.out, v.r.ID()), `:{`...)
	if err := b.writeTimeline(v, t); err != nil {
		return err
	}
	b.writeState(state)
	if sum != nil {
		b.writeSummary(sum, heroes)
	}
	sticky, err := b.writeSticky(v, t)
	if err != nil {
		return err
	}
	ephemeral, err := b.writeEphemeral(v)
	if err != nil {
		return err
	}
	account, err := b.writeRoomAccount(v)
	if err != nil {
		return err
	}
	if !full && len(t.lines) == 0 && !t.limited && len(state) == 0 && !sticky && !ephemeral && !account && sum == nil {
		b.out = b.out[:start]
		return nil
	}
	if err := b.writeUnread(v); err != nil {
		return err
	}
	b.out[len(b.out)-1] = '}'
	b.out = append(b.out, ',')
	return nil
}

// enter finds the room and settles whether it is new to the user since the token. False: it is not to be written.
func (b *build) enter(v *roomView) (bool, error) {
	var err error
	v.r, err = b.s.rooms.RoomByNID(b.ctx, v.room)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return false, nil // purged since
	}
	if err != nil {
		return false, err
	}
	in, err := b.settle(v)
	return in && b.f.Room.wants(v.r.ID()), err
}

// settle finds out whether the user is in the room as of this answer, and whether he came in since the token. Why also for rooms that are not
// wanted: whom he has met there is told anyway.
func (b *build) settle(v *roomView) (bool, error) {
	if v.pos <= b.from.Pos || b.initial && v.pos <= b.head {
		return true, nil
	}
	key, err := b.s.db.StateKeyNID(b.ctx, memberTuple(b.c.User))
	if err != nil {
		return false, err
	}
	last, err := b.membershipOf(v, key, b.head)
	if err != nil || last != "join" {
		return false, err // committed after this build began: the next sync tells
	}
	if b.initial {
		return true, nil
	}
	before, err := b.membershipOf(v, key, b.from.Pos)
	if err != nil {
		return false, err
	}
	v.newly = before != "join"
	if v.newly {
		return true, nil
	}
	nids, err := b.s.db.ListStateEventsSince(b.ctx, v.room, key, b.from.Pos, b.head)
	if err != nil {
		return false, err
	}
	events, err := b.s.rooms.Events(b.ctx, nids)
	v.newly = len(events) < len(nids) // removed in between
	for _, e := range events {
		v.newly = v.newly || e.Membership() != "join"
	}
	if !v.newly {
		v.pos = b.from.Pos // a new name only: he was in all along
	}
	return true, err
}

// membershipOf is a user's membership at a position, by the number of his state key; "" for none.
func (b *build) membershipOf(v *roomView, key, pos int64) (string, error) {
	nid, err := b.s.db.FindStateEvent(b.ctx, v.room, key, pos)
	if err != nil || nid == 0 {
		return "", err
	}
	events, err := b.s.rooms.Events(b.ctx, []int64{nid})
	if err != nil || len(events) == 0 {
		return "", err
	}
	return events[0].Membership(), nil
}
