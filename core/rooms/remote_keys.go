package rooms

import (
	"context"
	"errors"
	"slices"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/storage"
)

// checkRows reads what was in the inbox, and checks the signatures that could not be checked when it came. What still cannot be is left out and
// noted as waiting.
func (s *Service) checkRows(ctx context.Context, r *Room, origin matrix.ServerName, rows []storage.InboxRow,
	waiting map[matrix.EventID]bool) ([]*matrix.Event, error) {
	events := make([]*matrix.Event, 0, len(rows))
	var unchecked []*matrix.Event
	for _, row := range rows {
		e, err := r.version.ParseUntrusted(row.JSON)
		if err != nil {
			continue
		}
		events = append(events, e)
		if row.Unchecked {
			unchecked = append(unchecked, e)
		}
	}
	unchecked, _, err := s.unknown(ctx, r, unchecked)
	if err != nil || len(unchecked) == 0 {
		return events, err
	}
	for i, err := range s.opts.Peers.VerifyEvents(ctx, unchecked) {
		id := unchecked[i].ID
		switch {
		case err == nil:
			continue
		case errors.Is(err, core.ErrUnreached):
			waiting[id] = true
		default:
			s.log.Info("event of another server is not signed as it must be", "room", r.id, "event", id, "server", origin, "error", err)
		}
		events = slices.DeleteFunc(events, func(e *matrix.Event) bool { return e.ID == id })
	}
	return events, nil
}

// askForKeys has the keys at hand that what waits in a lane is signed with, as far as they can be had. Why beside the work on the lane: a server
// that takes its time to say nothing is to hold up only what is its own.
func (i *Inbox) askForKeys(l lane) {
	unlock, err := i.asking.lock(i.ctx, l.origin)
	if err != nil {
		return
	}
	defer unlock()
	rows, err := i.s.db.ListUncheckedInbox(i.ctx, l.room, l.origin, inboxHeld)
	if err != nil || len(rows) == 0 {
		return // whoever works on the lane finds out what is wrong
	}
	r, err := i.s.RoomByNID(i.ctx, l.room)
	if err != nil {
		return
	}
	if _, err := i.s.checkRows(i.ctx, r, l.origin, rows, map[matrix.EventID]bool{}); err != nil {
		i.s.log.Error("check what waits for keys", "server", l.origin, "room", r.id, "error", err)
	}
}
