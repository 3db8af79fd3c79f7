package pushers

import (
	"context"
	"errors"
	"slices"

	"rempart/storage"
)

// fanOut reads the next page of the stream and queues what it holds where it is to be told.
func (d *dispatch) fanOut(ctx context.Context, upto int64) error {
	d.more = false
	if len(d.users) == 0 {
		d.pos = max(d.pos, upto)
		return nil
	}
	rows, err := d.DB.ListPushChanges(ctx, d.pos, upto, pageSize)
	if err != nil {
		return err
	}
	for i := range rows {
		if err := d.spread(ctx, &rows[i]); err != nil {
			return err
		}
		d.pos = rows[i].Pos
	}
	if d.more = len(rows) == pageSize; !d.more {
		d.pos = max(d.pos, upto)
	}
	return nil
}

// spread queues one entry of the stream.
func (d *dispatch) spread(ctx context.Context, c *storage.PushChange) error {
	switch c.Kind {
	case storage.KindReceipt:
		d.recount(c.User, c.Room)
		return nil
	case storage.KindMembership:
		return d.moved(ctx, c)
	}
	d.recount(c.Sender, c.Room) // what one has sent one has read
	if c.User != 0 {
		if err := d.moved(ctx, c); err != nil {
			return err
		}
	}
	if c.Flags&(storage.FlagNotify|storage.FlagHits) == 0 {
		return nil
	}
	users, err := d.audienceOf(ctx, c.Room)
	if err != nil || len(users) == 0 {
		return err
	}
	hits, err := d.hits(ctx, c)
	if err != nil {
		return err
	}
	for _, user := range users {
		if user == c.Sender {
			continue
		}
		if highlight, ok := hits.outcome(user, c.Flags); ok {
			d.enqueue(user, item{pos: c.Pos, event: c.Event, room: c.Room, thread: c.Thread, highlight: highlight})
		}
	}
	return nil
}

func (d *dispatch) enqueue(user int64, it item) {
	d.badges.touch(user, it.room)
	d.active, it.at = true, d.Clock().UnixMilli()
	for _, p := range d.users[user] {
		p.push(it)
		d.unsaved[p] = true
		d.mark(p)
	}
}

// recount notes that a user's count of unread messages may have changed.
func (d *dispatch) recount(user, room int64) {
	list := d.users[user]
	if len(list) == 0 {
		return
	}
	d.badges.touch(user, room)
	for _, p := range list {
		p.count = true
		d.mark(p)
	}
}

// moved follows a membership: who is in the room, and who is invited.
func (d *dispatch) moved(ctx context.Context, c *storage.PushChange) error {
	if len(d.users[c.User]) == 0 {
		return nil
	}
	m, err := d.DB.FindMembership(ctx, c.User, c.Room)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	d.recount(c.User, c.Room)
	if users, known := d.audience[c.Room]; known {
		at, in := slices.BinarySearch(users, c.User)
		switch joined := m.Membership == storage.MemberJoin; {
		case joined && !in:
			d.audience[c.Room] = slices.Insert(users, at, c.User)
			d.kept++
		case in && !joined:
			d.audience[c.Room] = slices.Delete(users, at, at+1)
			d.kept--
		}
	}
	if m.Membership == storage.MemberInvite && m.Pos == c.Pos {
		d.enqueue(c.User, item{pos: c.Pos, event: m.Event, room: c.Room, invite: true})
	}
	return nil
}

// audienceOf are the users with pushers who are in a room, by number.
func (d *dispatch) audienceOf(ctx context.Context, room int64) ([]int64, error) {
	if users, known := d.audience[room]; known {
		return users, nil
	}
	users, err := d.DB.ListPushAudience(ctx, room)
	if err != nil {
		return nil, err
	}
	if d.kept += len(users) + 1; d.kept > maxAudience {
		d.forgetAudiences()
		d.kept = len(users) + 1
	}
	d.audience[room] = users
	return users, nil
}

func (d *dispatch) forgetAudiences() {
	clear(d.audience)
	d.kept = 0
}

// corrections are what one event counts for those who differ.
type corrections map[int64]storage.PushHit

func (d *dispatch) hits(ctx context.Context, c *storage.PushChange) (corrections, error) {
	if c.Flags&storage.FlagHits == 0 {
		return nil, nil
	}
	rows, err := d.DB.ListEventHits(ctx, c.Room, c.Pos)
	if err != nil {
		return nil, err
	}
	out := make(corrections, len(rows))
	for _, h := range rows {
		out[h.User] = h
	}
	return out, nil
}

// outcome says whether an event notifies a user, and whether it highlights.
func (c corrections) outcome(user int64, flags storage.EventFlag) (highlight, notify bool) {
	n, h := int64(0), c[storage.Everybody].Highlight
	if flags&storage.FlagNotify != 0 {
		n = 1
	}
	if own, ok := c[user]; ok {
		n, h = n+own.Notify, h+own.Highlight
	}
	return h > 0, n > 0
}
