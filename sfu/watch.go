package sfu

import (
	"context"
	"net/netip"
	"time"

	"rempart/internal/matrix"
)

// watched is a participant as the watch knows him.
type watched struct {
	live  Live
	event Event
	// kicked says why this server ended his connection.
	kicked string
	// told are the addresses of which the record knows.
	told map[netip.Addr]bool
}

// place tells participants apart.
type place struct{ alias, identity string }

// watch looks again and again at who is connected, and ends the connection of whoever may not be there any more.
// Why a look at everybody rather than at what changed: leaving, a ban, a lock, a frozen room and a new policy all end here,
// and none can be forgotten; there are few people in calls, and what is asked about them is held in memory or read by key.
func (s *Service) watch(ctx context.Context) {
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	known := map[place]*watched{}
	for {
		select {
		case <-ctx.Done():
			for at, w := range known {
				delete(known, at)
				s.gone(context.WithoutCancel(ctx), w, known)
			}
			return
		case <-tick.C:
		case <-s.wake:
		}
		s.look(ctx, known)
	}
}

// look compares who is connected with who was at the last look.
func (s *Service) look(ctx context.Context, known map[place]*watched) {
	short, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	list, err := s.Backend.Participants(short)
	if err != nil {
		s.Log.Debug("ask the media server who is connected", "error", err)
		return // Why not "everybody left": the media server may be starting again, and then tells us
	}
	s.live.Store(&list)
	here := map[place]bool{}
	for _, l := range list {
		at := place{l.Alias, l.Identity}
		here[at] = true
		s.see(ctx, at, l, known)
	}
	for at, w := range known {
		if !here[at] {
			delete(known, at)
			s.gone(ctx, w, known)
		}
	}
}

// see notes a participant who is connected, and ends it if he may not be.
func (s *Service) see(ctx context.Context, at place, l Live, known map[place]*watched) {
	w := known[at]
	if w == nil {
		p, err := s.Membership.Find(ctx, at.alias, at.identity)
		if err != nil {
			p.Alias, p.Identity = at.alias, at.identity
		}
		if !anyIn(known, at.alias) {
			s.record(ctx, Event{Kind: RoomStarted, Participant: p})
		}
		w = &watched{event: Event{Participant: p}, told: map[netip.Addr]bool{}}
		known[at] = w
		s.tell(ctx, w, Joined, "")
	}
	if l.Publishing > w.live.Publishing {
		s.tell(ctx, w, Published, "")
	}
	w.live = l
	err := s.may(ctx, at.alias, at.identity)
	if err == nil {
		err = s.reaches(ctx, w)
	}
	if err == nil || !final(err) {
		return
	}
	w.kicked = err.Error()
	if err := s.Backend.Kick(ctx, at.alias, at.identity); err != nil {
		s.Log.Warn("end a connection to a call", "room", string(w.event.Room), "user", string(w.event.User), "error", err)
	}
}

// reaches judges where a participant's media goes. Why each time: the policy may have changed.
func (s *Service) reaches(ctx context.Context, w *watched) error {
	for _, to := range w.live.From {
		if !w.told[to] {
			w.told[to] = true
			e := w.event
			e.Kind, e.From = Reached, to
			s.record(ctx, e)
		}
		if s.Reach == nil {
			continue
		}
		if err := s.Reach(ctx, to); err != nil {
			return err
		}
	}
	return nil
}

// final reports whether an error is a decision rather than a failure to make one.
// Why failures keep the connection: a database that is away for a second must not end every call; it is asked again.
func final(err error) bool {
	return matrix.HasCode(err, matrix.CodeForbidden) || matrix.HasCode(err, matrix.CodeNotFound)
}

func (s *Service) gone(ctx context.Context, w *watched, known map[place]*watched) {
	s.tell(ctx, w, Left, w.kicked)
	if !anyIn(known, w.live.Alias) {
		s.tell(ctx, w, RoomEnded, "")
	}
}

func (s *Service) tell(ctx context.Context, w *watched, kind, reason string) {
	e := w.event
	e.Kind, e.Reason = kind, reason
	s.record(ctx, e)
}

func anyIn(known map[place]*watched, alias string) bool {
	for at := range known {
		if at.alias == alias {
			return true
		}
	}
	return false
}
