package admin

import (
	"context"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// History says which part of a room's history is to be deleted: before an event, or else before a time.
type History struct {
	Room  matrix.RoomID  `json:"room"`
	Event matrix.EventID `json:"event"`
	TS    int64          `json:"ts,omitempty"`
	// Local deletes what users of this installation wrote too, of which it may have the only copy.
	Local bool `json:"local"`
}

// PurgeHistory begins to delete a room's old messages and returns the id of the task.
func (s *Service) PurgeHistory(ctx context.Context, admin matrix.Caller, h History) (string, error) {
	r, err := s.ownRoom(ctx, admin, h.Room)
	if err != nil {
		return "", err
	}
	if h.Event == "" {
		e, err := s.Graph.EventNear(ctx, r, rooms.Auditor, h.TS, false)
		if matrix.HasCode(err, matrix.CodeNotFound) {
			e, err = s.Graph.EventNear(ctx, r, rooms.Auditor, h.TS, true)
		}
		if matrix.HasCode(err, matrix.CodeNotFound) {
			return "", matrix.NotFound("There is no event to be purged.")
		}
		if err != nil {
			return "", err
		}
		h.Event = e.ID
	} else if _, err := s.Graph.EventByID(ctx, r, h.Event); err != nil {
		if matrix.HasCode(err, matrix.CodeNotFound) {
			err = matrix.NotFound("There is no such event in this room.")
		}
		return "", err
	}
	busy, err := s.under(ctx, admin, ActionPurge, string(h.Room))
	if err != nil {
		return "", err
	}
	if busy {
		return "", matrix.NewError(400, matrix.CodeUnknown, "History purge already in progress for "+string(h.Room))
	}
	return s.start(ctx, admin, ActionPurge, string(h.Room), h)
}

// purge is the task. It works in pieces by itself; a second run goes on with what is left.
func (t *task) purge(ctx context.Context) error {
	var h History
	if err := matrix.Decode(t.Body, &h); err != nil {
		return err
	}
	r, err := t.s.Graph.Room(ctx, h.Room)
	if err != nil {
		return err
	}
	do := t.s.Graph.PurgeForeign
	if h.Local {
		do = t.s.Graph.Purge
	}
	_, err = do(ctx, r, h.Event)
	return err
}

// Redaction says whose events are to be redacted, and where.
type Redaction struct {
	User matrix.UserID `json:"user"`
	// Rooms are where; none: wherever he is or was banned from.
	Rooms  []matrix.RoomID `json:"rooms"`
	Reason string          `json:"reason,omitempty"`
	// Limit bounds the events that are looked at in each room, newest first.
	Limit int `json:"limit"`
	// UseAdmin redacts in the administrator's name, not in the user's own.
	UseAdmin     bool  `json:"use_admin"`
	Since, Until int64 `json:",omitempty"`
}

// redactLimit is the usual Limit, redactPage how many events are read at once.
const (
	redactLimit = 1000
	redactPage  = 100
)

// RedactUser begins to redact what a user wrote and returns the id of the task.
func (s *Service) RedactUser(ctx context.Context, admin matrix.Caller, q Redaction) (string, error) {
	if q.Limit == 0 {
		q.Limit = redactLimit
	}
	if q.Limit < 0 {
		return "", matrix.InvalidParam("limit must be a positive integer")
	}
	nid, err := s.DB.UserNID(ctx, q.User)
	if err != nil {
		return "", err
	}
	for _, id := range q.Rooms {
		if _, err := s.Room(ctx, admin, id); err != nil {
			return "", err
		}
	}
	if len(q.Rooms) == 0 {
		for _, m := range []storage.Membership{storage.MemberJoin, storage.MemberBan} {
			ids, err := s.DB.ListRoomIDsOf(ctx, nid, m)
			if err != nil {
				return "", err
			}
			q.Rooms = append(q.Rooms, ids...)
		}
		seen, err := s.seen(ctx, admin, q.Rooms)
		if err != nil {
			return "", err
		}
		q.Rooms = seen
	}
	if _, err := s.Accounts.Managed(ctx, admin, q.User); err != nil { // of another server, also of this installation
		q.UseAdmin = true
	}
	busy, err := s.under(ctx, admin, ActionRedact, string(q.User))
	if err != nil {
		return "", err
	}
	if busy {
		return "", matrix.NewError(400, matrix.CodeUnknown, "Redact already in progress for user "+string(q.User))
	}
	return s.start(ctx, admin, ActionRedact, string(q.User), q)
}

// seen are those of some rooms that the administrator's organisation has to do with.
func (s *Service) seen(ctx context.Context, admin matrix.Caller, ids []matrix.RoomID) ([]matrix.RoomID, error) {
	out := make([]matrix.RoomID, 0, len(ids))
	for _, id := range ids {
		_, err := s.Room(ctx, admin, id)
		if matrix.HasCode(err, matrix.CodeNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, nil
}

// Redacted is what could not be redacted, with the reason.
type Redacted struct {
	Failed map[matrix.EventID]string `json:"failed_redactions"`
}

// redact is the task. What is redacted already is passed over, so that it may be repeated.
func (t *task) redact(ctx context.Context) error {
	var q Redaction
	if err := matrix.Decode(t.Body, &q); err != nil {
		return err
	}
	nid, err := t.s.DB.UserNID(ctx, q.User)
	if err != nil {
		return err
	}
	out := Redacted{map[matrix.EventID]string{}}
	for _, id := range q.Rooms {
		r, err := t.s.Graph.Room(ctx, id)
		if matrix.HasCode(err, matrix.CodeNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := t.redactIn(ctx, r, nid, &q, &out); err != nil {
			return err
		}
	}
	return t.keep(ctx, out)
}

// redactIn redacts a user's events of one room, newest first.
func (t *task) redactIn(ctx context.Context, r *rooms.Room, user int64, q *Redaction, out *Redacted) error {
	sender := q.User
	if q.UseAdmin {
		sender = matrix.UserID(t.Admin)
	}
	before := int64(1) << 62
	for left := q.Limit; left > 0; {
		nids, last, err := t.s.DB.ListSentBy(ctx, r.NID(), user, before, q.Since, q.Until, min(left, redactPage))
		if err != nil || len(nids) == 0 {
			return err
		}
		before, left = last, left-len(nids)
		events, err := t.s.Graph.Events(ctx, nids)
		if err != nil {
			return err
		}
		for _, e := range events {
			if e.RedactedBy != nil || stays(e.Type) {
				continue
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if _, err := t.s.Graph.Redact(ctx, rooms.SendRequest{Room: r, Sender: sender}, e.ID, q.Reason); err != nil {
				out.Failed[e.ID] = matrix.AsError(err).Message
			}
		}
		if err := t.keep(ctx, out); err != nil {
			return err
		}
	}
	return nil
}

// stays says which events hold a room together, or are redactions themselves.
func stays(typ string) bool {
	switch typ {
	case "m.room.create", "m.room.redaction", "m.room.power_levels", "m.room.join_rules", "m.room.history_visibility",
		"m.room.server_acl", "m.room.encryption", "m.room.tombstone":
		return true
	}
	return false
}
