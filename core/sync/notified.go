package sync

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Notification is an event of which the user was told.
type Notification struct {
	Actions []json.RawMessage `json:"actions"`
	Event   json.RawMessage   `json:"event"`
	Read    bool              `json:"read"`
	Room    matrix.RoomID     `json:"room_id"`
	TS      int64             `json:"ts"`
}

// maxNotifications bounds a page.
const maxNotifications = 100

// Notifications lists the newest events before a position that notified the user in the rooms he is in; 0 begins at the
// end. next is where the following page begins, 0 when there is none.
// Spec: client-server-api/#get_matrixclientv3notifications
func (s *Service) Notifications(ctx context.Context, c matrix.Caller, before int64, limit int, highlights bool) (out []Notification, next int64, err error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	limit = min(max(limit, 1), maxNotifications)
	found, err := s.notified(ctx, c.UserNID, before, highlights, limit+1)
	if err != nil {
		return nil, 0, err
	}
	if len(found) > limit {
		found = found[:limit]
		next = found[limit-1].Pos
	}
	out = make([]Notification, 0, len(found))
	for _, n := range found {
		one, err := s.notification(ctx, c, n)
		if err != nil {
			return nil, 0, err
		}
		if one != nil {
			out = append(out, *one)
		}
	}
	return out, next, nil
}

// notified finds the newest events that notified a user before a position.
// Why not in all rooms: they come with their last events, the latest first, and once a page is full what is older adds nothing to it.
func (s *Service) notified(ctx context.Context, user, before int64, highlights bool, limit int) ([]storage.Notified, error) {
	joined, err := s.db.ListNotifyingRooms(ctx, user, before, highlights)
	if err != nil {
		return nil, err
	}
	var found []storage.Notified
	for _, j := range joined {
		if len(found) == limit && found[limit-1].Pos >= j.Last || j.Last <= j.From {
			continue
		}
		part, err := s.db.ListNotified(ctx, user, j.Room, j.From, before, highlights, limit)
		if err != nil {
			return nil, err
		}
		found = newest(append(found, part...), limit)
	}
	return found, nil
}

func newest(list []storage.Notified, limit int) []storage.Notified {
	slices.SortFunc(list, func(a, b storage.Notified) int { return cmp.Compare(b.Pos, a.Pos) })
	return list[:min(len(list), limit)]
}

// notification is nil for an event that the user may not see any more.
func (s *Service) notification(ctx context.Context, c matrix.Caller, n storage.Notified) (*Notification, error) {
	room, err := s.rooms.RoomByNID(ctx, n.Room)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	events, err := s.rooms.Events(ctx, []int64{n.Event})
	if err != nil {
		return nil, err
	}
	if events, err = s.rooms.Visible(ctx, room, c.User, events); err != nil || len(events) == 0 {
		return nil, err
	}
	out := &Notification{Actions: []json.RawMessage{[]byte(`"notify"`)}, Room: room.ID(), TS: events[0].OriginServerTS}
	if n.Highlight {
		out.Actions = append(out.Actions, []byte(`{"set_tweak":"highlight"}`))
	}
	if out.Event, err = s.rooms.RenderOne(ctx, room, c, events[0]); err != nil {
		return nil, err
	}
	out.Read, err = s.hasRead(ctx, c, n, events[0])
	return out, err
}

// hasRead reports whether one of the user's receipts, of the room or of the thread, covers an event.
func (s *Service) hasRead(ctx context.Context, c matrix.Caller, n storage.Notified, e *rooms.Stored) (bool, error) {
	rows, err := s.db.ListReceiptsOf(ctx, n.Room, c.UserNID)
	if err != nil {
		return false, err
	}
	for _, r := range rows {
		covers := r.Thread == "" || n.Thread == 0 && r.Thread == "main"
		if n.Thread != 0 && !covers {
			root, err := s.rooms.Events(ctx, []int64{n.Thread})
			if err != nil {
				return false, err
			}
			covers = r.Thread == strconv.FormatInt(n.Thread, 10) || len(root) > 0 && r.Thread == string(root[0].ID)
		}
		if covers && r.EventPos >= e.Position() {
			return true, nil
		}
	}
	return false, nil
}
