package sync

import (
	"context"
	"errors"

	"rempart/core/rooms"
	"rempart/storage"
)

// Reading is how far a user has read a room, and what is unread there.
type Reading struct {
	// Notify and Highlight count unread events in the main timeline and in all threads.
	Notify, Highlight int64
	mark              *mark
}

// Covers reports whether an event at a position, in a thread (0: in none), has been read.
func (r *Reading) Covers(pos, thread int64) bool {
	if r.mark == nil {
		return false
	}
	read := r.mark.main.pos
	if thread != 0 {
		read = max(r.mark.all.pos, r.mark.threads[thread])
	}
	return pos <= read
}

// ReadingOf finds what is unread for a user in a room; nothing is for who is no member.
func (s *Service) ReadingOf(ctx context.Context, user int64, r *rooms.Room) (*Reading, error) {
	member, err := s.db.FindMembership(ctx, user, r.NID())
	if errors.Is(err, storage.ErrNotFound) || err == nil && member.Membership != storage.MemberJoin {
		return &Reading{}, nil
	}
	if err != nil {
		return nil, err
	}
	b := &build{s: s, ctx: ctx, u: &hubUser{nid: user}, head: s.db.Position()}
	v := &roomView{joinedRoom: joinedRoom{r.NID(), member.Pos}, r: r}
	m, err := b.readMark(v)
	if err != nil {
		return nil, err
	}
	c, err := s.db.GetRoomCounts(ctx, r.NID())
	if err != nil {
		return nil, err
	}
	total := m.total(c.Notify, c.TNotify)
	return &Reading{Notify: max(total.notify, 0), Highlight: max(total.highlight, 0), mark: m}, nil
}

// total is what is unread in a room whose running counts are these, threads included.
func (m *mark) total(notify, tnotify int64) unread {
	out := unread{notify: notify - tnotify - m.main.notify + m.main.tnotify + tnotify - m.all.tnotify - m.threadsRead}
	for _, u := range m.unreadIn() {
		out.notify += u.notify
		out.highlight += u.highlight
	}
	return out
}
