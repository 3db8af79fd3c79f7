package rooms

import (
	"context"
	"time"

	"rempart/internal/matrix"
)

// Bounds of telling servers that ours have gone.
const (
	gonePause = 5 * time.Second  // from the first event of a room that we are out of: what is under way both ways arrives meanwhile
	goneAgain = 10 * time.Minute // until one server is told again of one room
	goneTime  = 20 * time.Second // for one of them
	goneUsers = 5                // those who went last
	goneLanes = 1000             // rooms and servers that are remembered
)

// sayGone tells a server that goes on telling us of a room, some time after we have left it, that ours have gone: it came in before we had heard of
// it, so that nobody told it, and would count them as members for ever. They leave once more, through that server. mu is not held.
// Spec: server-server-api/#leaving-rooms-rejecting-invites
func (i *Inbox) sayGone(l lane) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.s.opts.Clock()
	if last, told := i.gone[l]; i.ctx.Err() != nil || told && now.Sub(last) < goneAgain {
		return
	}
	if i.gone == nil || len(i.gone) >= goneLanes {
		i.gone = map[lane]time.Time{}
	}
	i.gone[l] = now
	if i.leaving >= goneLanes {
		return
	}
	i.leaving++
	i.wg.Go(func() {
		i.leaveOnceMore(l)
		i.mu.Lock()
		defer i.mu.Unlock()
		i.leaving--
	})
}

func (i *Inbox) leaveOnceMore(l lane) {
	timer := time.NewTimer(i.gonePause)
	defer timer.Stop()
	select {
	case <-i.ctx.Done():
		return
	case <-timer.C:
	}
	unlock, err := i.asking.lock(i.ctx, l.origin) // one room of a server after the other
	if err != nil {
		return
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(i.ctx, goneTime)
	defer cancel()
	if err := i.s.leaveOnceMore(ctx, l.room, l.origin); err != nil {
		i.s.log.Debug("a server is not told that ours have gone", "room", l.room, "server", l.origin, "error", err)
	}
}

// leaveOnceMore has the users who were last in a room that we are out of leave it through one server, which refuses where it knows that they have.
func (s *Service) leaveOnceMore(ctx context.Context, nid int64, through matrix.ServerName) error {
	r, err := s.RoomByNID(ctx, nid)
	if err != nil {
		return err
	}
	unlock, err := s.entering.lock(ctx, r.id) // nobody of ours comes back meanwhile
	if err != nil {
		return err
	}
	defer unlock()
	if _, here, err := s.standsIn(ctx, r.id); here || err != nil {
		return err
	}
	users, err := s.db.ListLastLeft(ctx, nid, goneUsers)
	if err != nil {
		return err
	}
	for _, user := range users {
		left, err := s.lastLeave(ctx, r, user)
		if err != nil {
			return err
		}
		if left == nil {
			continue
		}
		if _, err = s.leaveThrough(ctx, Entry{Room: r.id, User: user, bare: true}, []matrix.ServerName{through}); err == nil {
			s.log.Info("a server that still counted somebody as a member is told that he has gone", "room", r.id, "user", user, "server", through)
		} else if ctx.Err() != nil {
			return err
		}
	}
	return nil
}
