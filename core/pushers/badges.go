package pushers

import (
	"context"
	"sync"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/matrix"
)

// badges are the unread counts of users who have pushers. They may be used concurrently.
type badges struct {
	s  *Service
	mu sync.Mutex
	of map[int64]*ledger
}

// ledger is what is unread for one user: rooms in which something is, and those to be counted again.
type ledger struct {
	counting sync.Mutex // held while rooms are counted
	mu       sync.Mutex
	loaded   bool
	rooms    map[int64]int64
	stale    map[int64]bool
}

func newBadges(s *Service) *badges { return &badges{s: s, of: map[int64]*ledger{}} }

// touch notes that the count of a room may have changed.
func (b *badges) touch(user, room int64) {
	b.mu.Lock()
	l := b.of[user]
	b.mu.Unlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stale[room] = true
}

// touchAll notes that all counts of a user may have changed.
func (b *badges) touchAll(user int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.of, user)
}

func (b *badges) ledger(user int64) *ledger {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.of[user]
	if l == nil {
		if len(b.of) >= maxUsers {
			clear(b.of)
		}
		l = &ledger{rooms: map[int64]int64{}, stale: map[int64]bool{}}
		b.of[user] = l
	}
	return l
}

// unread counts a user's unread messages in all rooms.
func (b *badges) unread(ctx context.Context, user int64) (int64, error) {
	l := b.ledger(user)
	l.counting.Lock()
	defer l.counting.Unlock()
	if !l.loaded {
		rooms, err := b.s.DB.ListPerhapsUnread(ctx, user)
		if err != nil {
			return 0, err
		}
		l.note(rooms)
	}
	for _, room := range l.takeStale() {
		n, err := b.count(ctx, user, room)
		if err != nil {
			l.note([]int64{room})
			b.touchAll(user)
			return 0, err
		}
		if n == 0 {
			delete(l.rooms, room)
		} else {
			l.rooms[room] = n
		}
	}
	l.loaded = true
	sum := int64(0)
	for _, n := range l.rooms {
		sum += n
	}
	return sum, nil
}

func (l *ledger) note(rooms []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rooms {
		l.stale[r] = true
	}
}

func (l *ledger) takeStale() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]int64, 0, len(l.stale))
	for r := range l.stale {
		out = append(out, r)
	}
	clear(l.stale)
	return out
}

// count counts what is unread in one room.
func (b *badges) count(ctx context.Context, user, room int64) (int64, error) {
	r, err := b.reading(ctx, user, room)
	if r == nil || err != nil {
		return 0, err
	}
	return r.Notify, nil
}

// reading is how far a user has read a room; nil for a room that is gone.
func (b *badges) reading(ctx context.Context, user, room int64) (*syncing.Reading, error) {
	r, err := b.room(ctx, room)
	if r == nil || err != nil {
		return nil, err
	}
	return b.s.Sync.ReadingOf(ctx, user, r)
}

func (b *badges) room(ctx context.Context, room int64) (*rooms.Room, error) {
	r, err := b.s.Rooms.RoomByNID(ctx, room)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return nil, nil
	}
	return r, err
}
