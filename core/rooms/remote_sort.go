package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/storage"
)

// arrived is an event of a transaction that is worth a look.
type arrived struct {
	room  *Room
	event *matrix.Event
	raw   json.RawMessage
	here  bool
}

// sort finds the rooms of what came in a transaction, and leaves out what is known, refused or none of our business. outside are rooms of which
// something came, and that we are not in.
func (s *Service) sort(ctx context.Context, origin matrix.ServerName, pdus []json.RawMessage) (rows []*storage.InboxRow, outside []int64,
	refused map[matrix.EventID]error, err error) {
	refused = map[matrix.EventID]error{}
	var fresh []arrived
	for _, raw := range pdus {
		a, err := s.look(ctx, origin, raw, refused)
		if err != nil {
			return nil, nil, nil, err
		}
		if a != nil {
			fresh = append(fresh, *a)
		}
	}
	if len(fresh) == 0 {
		return nil, nil, refused, nil
	}
	events := make([]*matrix.Event, len(fresh))
	for i, a := range fresh {
		events[i] = a.event
	}
	for i, err := range s.opts.Peers.VerifyEvents(ctx, events) {
		a := &fresh[i]
		later := a.here && errors.Is(err, core.ErrUnreached) // looked at again when its turn comes
		switch {
		case err != nil && !later:
			s.log.Info("event of another server is not signed as it must be", "room", a.event.RoomID, "event", a.event.ID, "server", origin, "error", err)
			refused[a.event.ID] = matrix.Forbidden("The event is not signed as it must be.").Wrap(err)
			if in, err := s.joinedFrom(ctx, a.room, origin); in && err == nil {
				s.claim(ctx, a.event)
			}
		case a.here:
			rows = append(rows, &storage.InboxRow{Room: a.room.nid, Origin: origin, Event: a.event.ID, JSON: a.event.JSON, TS: s.nowMS(), Unchecked: later})
		default:
			outside = append(outside, a.room.nid)
			if err := s.hearOutside(ctx, a.room, a.event, origin); err != nil {
				return nil, nil, nil, err
			}
		}
	}
	return rows, outside, refused, nil
}

// look finds out whether an event needs attention; nil when it does not.
func (s *Service) look(ctx context.Context, origin matrix.ServerName, raw json.RawMessage, results map[matrix.EventID]error) (*arrived, error) {
	var head struct {
		RoomID matrix.RoomID `json:"room_id"`
	}
	if matrix.Decode(raw, &head) != nil || head.RoomID == "" {
		return nil, nil
	}
	r, here, err := s.standsIn(ctx, head.RoomID)
	if err == nil && !here && s.entering.busy(head.RoomID) {
		r, here, err = s.standsAfterEntering(ctx, head.RoomID)
	}
	if r == nil || err != nil {
		return nil, err
	}
	e, err := r.version.ParseUntrusted(raw)
	if err == nil && e.RoomID != r.id { // Why it may be: keys in other letters are one key to who reads the head, and not to who reads the event
		err = matrix.InvalidParam("The event names two rooms.")
	}
	if err != nil {
		s.log.Debug("event of another server is malformed", "room", r.id, "server", origin, "error", err)
		return nil, nil
	}
	if here {
		ok, err := s.Admits(ctx, r, origin)
		if err == nil && ok {
			ok, err = s.Admits(ctx, r, e.Sender.Server())
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			results[e.ID] = matrix.Forbidden("Your server is kept out of this room by its access list.")
			return nil, nil
		}
	}
	results[e.ID] = nil
	known, err := s.findEvent(ctx, r, e.ID)
	if err != nil || known != nil && !known.Has(storage.FlagOutlier) {
		return nil, err
	}
	return &arrived{r, e, raw, here}, nil
}

// enteringTime bounds how long a transaction waits for a room that somebody of ours is entering.
const enteringTime = 20 * time.Second

// standsAfterEntering is standsIn of a room that somebody of ours may be entering right now. Why to wait: whoever lets us in tells at once
// what goes on there, and would not say it again.
func (s *Service) standsAfterEntering(ctx context.Context, id matrix.RoomID) (*Room, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, enteringTime)
	defer cancel()
	if err := s.entering.free(ctx, id); err != nil {
		return nil, false, matrix.NewError(http.StatusServiceUnavailable, matrix.CodeUnknown, "This server is entering the room: try again.").Wrap(err)
	}
	return s.standsIn(ctx, id)
}

// hearOutside takes note of an event of a room that we are not in: an invitation or a knock of our user may be
// withdrawn or refused by the server that it went through.
func (s *Service) hearOutside(ctx context.Context, r *Room, e *matrix.Event, origin matrix.ServerName) error {
	if e.Type != "m.room.member" || e.StateKey == nil || e.Membership() != "leave" && e.Membership() != "ban" {
		return nil
	}
	user := matrix.UserID(*e.StateKey)
	unlock, err := s.standing.lock(ctx, r.id)
	if err != nil {
		return err
	}
	defer unlock()
	own, _, err := s.outsideEvent(ctx, r, user)
	if err != nil || own == nil || own.ID == e.ID || !s.isOurs(user.Server()) {
		return err
	}
	if !slices.Contains(e.AuthEvents, own.ID) {
		return nil // Why: it ends an earlier invitation or knock, and comes late
	}
	// Why: whether the sender may do this cannot be told from outside. Who invited may take it back; a knock may be
	// refused through the server that it went through.
	invited := own.Membership() == "invite"
	if invited && e.Sender != own.Sender || !invited && !slices.Contains(s.invitedBy(ctx, r, user), origin) {
		return nil
	}
	return s.writeOutside(ctx, r, e, user, nil, nil)
}
