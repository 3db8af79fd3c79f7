package delayed

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Request asks for an event to be sent later.
type Request struct {
	Room     *rooms.Room
	Type     string
	StateKey *string
	Content  json.RawMessage
	Delay    time.Duration
	// Sticky is for how many milliseconds the event will stick.
	Sticky int64
	// Txn is the client's transaction id; nil for none.
	Txn *rooms.Transaction
}

// Schedule keeps an event until its time comes and answers the id by which it is managed: whoever knows that may
// manage it. A repeated transaction id answers the first one's, whatever else it says.
func (s *Service) Schedule(ctx context.Context, c matrix.Caller, q Request) (string, error) {
	if q.Txn != nil {
		id, err := s.DB.FindDelayedByTxn(ctx, q.Txn)
		if !errors.Is(err, storage.ErrNotFound) {
			return id, err
		}
	}
	if err := check(q); err != nil {
		return "", err
	}
	if err := s.checkRoom(ctx, c.UserNID); err != nil {
		return "", err
	}
	nid, err := s.DB.NewID(ctx, storage.OtherNIDs)
	if err != nil {
		return "", err
	}
	now := s.nowMS()
	d := storage.Delayed{NID: nid, ID: rand.Text(), User: c.UserNID, Room: q.Room.NID(), Type: q.Type, StateKey: q.StateKey,
		Content: q.Content, Sticky: q.Sticky, Delay: q.Delay.Milliseconds(), Scheduled: now, Due: now + q.Delay.Milliseconds(),
		Since: s.DB.Position(), Txn: q.Txn}
	change := &storage.Change{}
	change.Add(&storage.DelayedRow{Delayed: d})
	if err := s.DB.Commit(ctx, change); err != nil {
		if q.Txn != nil && s.DB.IsDuplicate(err) {
			return s.DB.FindDelayedByTxn(ctx, q.Txn)
		}
		return "", fmt.Errorf("schedule event: %w", err)
	}
	s.hurry()
	return d.ID, nil
}

// check refuses what could never be sent or is not to be kept.
func check(q Request) error {
	switch {
	case q.Delay <= 0:
		return matrix.InvalidParam("The delay must be a positive number of milliseconds.")
	case q.Delay > MaxDelay:
		// Why the further keys: deployed clients take the longest delay from them.
		return matrix.Forbidden(fmt.Sprintf("The delay is longer than %d ms.", MaxDelay.Milliseconds())).
			With("org.matrix.msc4140.errcode", "M_MAX_DELAY_EXCEEDED").With("org.matrix.msc4140.max_delay", MaxDelay.Milliseconds())
	case q.Type == "m.room.create":
		return matrix.BadJSON("A room has one m.room.create event, made with the room.")
	case len(q.Content) > matrix.MaxEventSize:
		return matrix.TooLarge("The event is larger than 65536 bytes.")
	case len(q.Type) > matrix.MaxIDLength || q.StateKey != nil && len(*q.StateKey) > matrix.MaxIDLength:
		return matrix.TooLarge("The event type or the state key is longer than 255 bytes.")
	}
	return nil
}

// checkRoom refuses more events of a user than may wait.
func (s *Service) checkRoom(ctx context.Context, user int64) error {
	waiting, err := s.DB.ListDelayed(ctx, user)
	if err != nil || len(waiting) < MaxScheduled {
		return err
	}
	wait := max(time.Duration(waiting[0].Due-s.nowMS())*time.Millisecond, time.Second)
	e := matrix.NewError(http.StatusTooManyRequests, matrix.CodeLimitExceeded, "The maximum number of delayed events has been reached.")
	return e.With("retry_after_ms", wait.Milliseconds()).With("org.matrix.msc4140.errcode", "M_MAX_DELAYED_EVENTS_EXCEEDED")
}
