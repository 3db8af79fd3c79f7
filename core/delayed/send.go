package delayed

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

const (
	// lease is how long a node has for the events it took; another takes them then.
	lease = 15 * time.Second
	// lookAgain is how soon a node finds what another one left.
	lookAgain = 5 * time.Second
	// atOnce bounds how many events are taken together, sideBySide in how many rooms they are sent at the same time.
	atOnce, sideBySide = 64, 4
	pruneEvery         = time.Hour
)

// work sends what is due until the service closes.
func (s *Service) work() {
	var pruned time.Time
	for {
		wait, err := s.round(s.run)
		if s.run.Err() != nil {
			return
		}
		if err != nil {
			s.Log.Error("send delayed events", "error", err)
			wait = time.Second
		}
		if now := time.Now(); now.Sub(pruned) > pruneEvery {
			pruned = now
			s.prune(s.run)
		}
		t := time.NewTimer(wait)
		select {
		case <-s.wake:
		case <-t.C:
		case <-s.run.Done():
		}
		t.Stop()
	}
}

// round sends all that is due and says how long to wait for the next.
func (s *Service) round(ctx context.Context) (time.Duration, error) {
	for {
		next, err := s.DB.NextDelayed(ctx)
		if err != nil {
			return 0, err
		}
		now := s.nowMS()
		if next == 0 || next > now {
			if next == 0 {
				return lookAgain, nil
			}
			return min(time.Duration(next-now)*time.Millisecond, lookAgain), nil
		}
		var taken []storage.Delayed
		change := &storage.Change{}
		change.Guard(storage.LeaseDelayed(now, now+lease.Milliseconds(), atOnce, &taken))
		if err := s.DB.Commit(ctx, change); err != nil {
			return 0, err
		}
		s.sendAll(ctx, taken)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
}

// sendAll sends events in the order of their times, each room on its own.
func (s *Service) sendAll(ctx context.Context, taken []storage.Delayed) {
	byRoom := map[int64][]storage.Delayed{}
	for _, d := range taken {
		list := byRoom[d.Room]
		i := len(list)
		for i > 0 && list[i-1].Due > d.Due {
			i--
		}
		byRoom[d.Room] = append(list[:i:i], append([]storage.Delayed{d}, list[i:]...)...)
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, sideBySide)
	for _, list := range byRoom {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			for _, d := range list {
				if ctx.Err() != nil {
					return
				}
				s.fall(ctx, d)
			}
		})
	}
	all.Wait()
}

// fall sends an event whose time has come. What is refused then is refused for good; what failed otherwise is tried again
// when the lease has ended.
func (s *Service) fall(ctx context.Context, d storage.Delayed) {
	err := s.overtaken(ctx, d)
	if err == nil {
		err = s.send(ctx, d)
	}
	var refusal *matrix.Error
	if errors.As(err, &refusal) && refusal.Status < http.StatusInternalServerError {
		err = s.end(ctx, d, refusal)
	}
	if err != nil && !errors.Is(err, storage.ErrGuard) && ctx.Err() == nil {
		s.Log.Error("send delayed event", "room", d.Room, "error", err)
	}
}

// overtaken refuses state that somebody else has set since it was scheduled: the later word counts.
func (s *Service) overtaken(ctx context.Context, d storage.Delayed) error {
	if d.StateKey == nil {
		return nil
	}
	room, err := s.Rooms.RoomByNID(ctx, d.Room)
	if err != nil {
		return err
	}
	v, err := s.Rooms.Current(ctx, room)
	if err != nil {
		return err
	}
	now, err := v.Stored(ctx, matrix.StateTuple{Type: d.Type, Key: *d.StateKey})
	if err != nil || now == nil || now.Row.Sender == d.User || now.Position() <= d.Since {
		return err
	}
	return matrix.NewError(http.StatusConflict, "M_CANCELLED_BY_STATE_UPDATE", "Somebody else has set this state since.")
}

// send sends an event now. storage.ErrGuard: its waiting ended before.
func (s *Service) send(ctx context.Context, d storage.Delayed) error {
	user, err := s.DB.GetUser(ctx, d.User)
	if err != nil {
		return err
	}
	if err := standing(user); err != nil {
		return err
	}
	if s.Allow != nil {
		if err := s.Allow(user.ID); err != nil {
			return err
		}
	}
	room, err := s.Rooms.RoomByNID(ctx, d.Room)
	if err != nil {
		return err
	}
	written := false
	id, err := s.Rooms.Send(ctx, rooms.SendRequest{
		Room: room, Sender: user.ID, Type: d.Type, StateKey: d.StateKey, Content: d.Content, Sticky: d.Sticky,
		Guards: []storage.Guard{storage.FinaliseDelayed(d.NID, s.nowMS(), nil)},
		After: func(e *rooms.Stored) ([]storage.Row, error) {
			e.Row.Flags |= storage.FlagDelayed
			written = true
			return []storage.Row{&storage.DelayedSentRow{Delayed: d.NID, Event: e.Row.NID, EventID: e.ID}}, nil
		},
	})
	if err != nil {
		return err
	}
	if d.Type == "m.room.guest_access" {
		if err := s.Rooms.ExpelGuests(ctx, room); err != nil {
			return err
		}
	}
	if written {
		return nil
	}
	return s.sent(ctx, d, id)
}

// sent ends the waiting of an event for which nothing was written, since the state was so already.
func (s *Service) sent(ctx context.Context, d storage.Delayed, id matrix.EventID) error {
	change := &storage.Change{}
	change.Guard(storage.FinaliseDelayed(d.NID, s.nowMS(), nil))
	change.Add(&storage.DelayedSentRow{Delayed: d.NID, EventID: id})
	err := s.DB.Commit(ctx, change)
	if errors.Is(err, storage.ErrGuard) {
		return nil // written with the event
	}
	return err
}

// standing refuses the events of those who may not write any more.
func standing(u storage.User) error {
	switch {
	case u.Is(storage.UserDeactivated):
		return matrix.UserDeactivated()
	case u.Is(storage.UserLocked), u.Is(storage.UserExpired):
		return matrix.UserLocked()
	case u.Is(storage.UserSuspended):
		return matrix.UserSuspended()
	}
	return nil
}

// prune forgets what has been over for long, and which events have stopped to stick.
func (s *Service) prune(ctx context.Context) {
	err := errors.Join(s.DB.PruneDelayed(ctx, s.Clock().Add(-keepFor).UnixMilli(), keepMost), s.DB.PruneSticky(ctx, s.nowMS()))
	if err != nil && ctx.Err() == nil {
		s.Log.Error("forget delayed events", "error", err)
	}
}
