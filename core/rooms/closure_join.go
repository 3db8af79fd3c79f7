package rooms

import (
	"context"
	"slices"
	"time"

	"rempart/core"
	"rempart/internal/matrix"
)

// bareEntry reports whether our membership events are sent without name and picture into rooms that are not known yet, since the
// policy may refuse what is found there.
func (s *Service) bareEntry() bool { return s.opts.Policy != nil && s.opts.Policy.Enforced() }

// mayAskThrough takes those out of the servers through which a room could be entered that the policy refuses; an error when nobody is left.
func (s *Service) mayAskThrough(user matrix.UserID, others []matrix.ServerName) ([]matrix.ServerName, error) {
	if s.opts.Policy == nil || len(others) == 0 {
		return others, nil
	}
	var first *core.Refusal
	kept := slices.DeleteFunc(slices.Clone(others), func(name matrix.ServerName) bool {
		r := s.opts.Policy.Judge(core.ActJoin, user.Server(), name)
		if first == nil {
			first = r
		}
		return r != nil
	})
	if len(kept) == 0 {
		return nil, first.Error(nil)
	}
	return kept, nil
}

// shown records that a user's id is about to be shown to another server.
func (s *Service) shown(ctx context.Context, e *Entry, to matrix.ServerName, act string) error {
	if s.opts.Policy == nil {
		return nil
	}
	return s.opts.Policy.Shown(ctx, to, act, e.Room, e.User)
}

// admitEntry judges who is in a room that a server of others has let a user of ours into, before anything of it is kept. On a bad
// answer he leaves at once through the same server, and the record says what was shown.
// in are the members that were told by their servers, named are servers that were told besides.
func (s *Service) admitEntry(ctx context.Context, e Entry, to matrix.ServerName, in map[matrix.ServerName]int, named []matrix.ServerName) error {
	if !s.bareEntry() {
		return nil
	}
	for _, name := range named {
		in[name] += 0
	}
	for name := range in {
		if s.isOurs(name) {
			delete(in, name)
		}
	}
	members := newServers(in, nil)
	if members.set == nil {
		return nil
	}
	shut := s.judgeServers(core.ActJoin, e.User.Server(), members)
	if len(shut) == 0 {
		return nil
	}
	alarm := core.RoomAlarm{What: "left", Room: e.Room, Server: shut[0].Server, User: e.User, Rule: shut[0].Refusal.Rule}
	if s.retreat(ctx, e, to) {
		alarm.Answer = "leave"
	}
	s.opts.Policy.Alarm(ctx, alarm)
	names := make([]string, len(shut))
	for i, c := range shut {
		names[i] = string(c.Server)
	}
	r := *shut[0].Refusal
	r.EN = "You did not enter this room. " + r.EN
	r.FR = "Vous n'êtes pas entré dans ce salon. " + r.FR
	return r.Error(map[string]any{"frozen_by": names})
}

// Bounds of leaving a room again that the policy refuses.
const (
	retreats    = 3
	retreatTime = 20 * time.Second
)

// retreat leaves a room through the server that has just let the user in, and reports whether that server took it.
func (s *Service) retreat(ctx context.Context, e Entry, to matrix.ServerName) bool {
	for range retreats {
		ctx, done := context.WithTimeout(ctx, retreatTime)
		leave, err := s.proposed(ctx, Entry{Room: e.Room, User: e.User}, to, "leave")
		if err == nil {
			err = s.opts.Peers.SendLeave(ctx, e.User.Server(), to, leave)
		}
		done()
		if err == nil {
			return true
		}
		s.log.ErrorContext(ctx, "a room that the policy refuses could not be left", "room", e.Room, "server", to, "error", err)
	}
	return false
}

// showProfile gives a user who entered a room without name and picture both, now that the room is admitted. A failure keeps him in
// the room as he is: his next change of profile shows them.
func (s *Service) showProfile(ctx context.Context, e Entry) {
	if !e.bare {
		return
	}
	e.bare = false
	r, err := s.Room(ctx, e.Room)
	if err == nil {
		err = s.transition(ctx, e.change(r), func(_ *View, now *matrix.Event) (map[string]any, error) {
			if membershipOf(now) != "join" {
				return nil, nil
			}
			content := map[string]any{"membership": "join"}
			if err := s.addProfile(ctx, e.change(r), content); err != nil {
				return nil, err
			}
			if len(content) == 1 && len(e.Extra) == 0 {
				return nil, nil // Why not for a reason alone: it was given with the join
			}
			return content, nil
		})
	}
	if err != nil {
		s.log.WarnContext(ctx, "show name and picture in a room that was entered", "room", e.Room, "user", e.User, "error", err)
	}
}
