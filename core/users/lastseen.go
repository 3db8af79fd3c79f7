package users

import (
	"context"
	"sync"

	"rempart/storage"
)

const (
	// seenEvery is how often, in milliseconds, the use of a session is noted.
	seenEvery = 60_000
	// seenLimit bounds what waits to be written; beyond it uses go unnoticed until the next minute.
	seenLimit = 50_000
	// seenChunk is how many uses one Change writes.
	seenChunk = 256
	// maxAgent bounds what is kept of a client's name for itself.
	maxAgent = 200
)

// Seen says from where a request came.
type Seen struct{ IP, UserAgent string }

// lastSeen collects the last uses of sessions, to be written in bulk: at most one row a minute for each.
type lastSeen struct {
	mu   sync.Mutex
	rows map[int64]*storage.SessionSeenRow
	last map[int64]seenMark
}

// seenMark is when a session's use was last noted, and whose it is.
type seenMark struct{ ts, user int64 }

// note takes down a use.
func (l *lastSeen) note(session, user, now int64, from Seen) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m, ok := l.last[session]; ok && now-m.ts < seenEvery || len(l.rows) >= seenLimit {
		return
	}
	if l.last == nil || len(l.last) >= seenLimit {
		l.last = map[int64]seenMark{}
	}
	l.last[session] = seenMark{now, user}
	l.rows[session] = &storage.SessionSeenRow{Session: session, TS: now, IP: from.IP, UserAgent: from.UserAgent[:min(len(from.UserAgent), maxAgent)]}
}

// drop forgets the sessions of a user, some of which exist no more.
func (l *lastSeen) drop(user int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for session, m := range l.last {
		if m.user == user {
			delete(l.last, session)
			delete(l.rows, session)
		}
	}
}

func (l *lastSeen) take() map[int64]*storage.SessionSeenRow {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows := l.rows
	l.rows = map[int64]*storage.SessionSeenRow{}
	return rows
}

// flushSeen writes down the uses noted so far.
func (s *Service) flushSeen(ctx context.Context) error {
	c := &storage.Change{}
	for _, row := range s.seen.take() {
		c.Add(row)
		if len(c.Rows) < seenChunk {
			continue
		}
		if err := s.db.Commit(ctx, c); err != nil {
			return err
		}
		c = &storage.Change{}
	}
	if len(c.Rows) == 0 {
		return nil
	}
	return s.db.Commit(ctx, c)
}
