package delayed

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Act is what can be done with an event that waits.
type Act string

// The acts.
const (
	Cancel  Act = "cancel"
	Restart Act = "restart"
	Send    Act = "send"
)

// Manage cancels, restarts or sends an event at once. Repeating what is done already succeeds; what contradicts it is
// a conflict. An event that may not be sent now keeps waiting.
func (s *Service) Manage(ctx context.Context, id string, act Act) error {
	d, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	for d.Finalised == 0 {
		switch act {
		case Cancel:
			err = s.end(ctx, d, nil)
		case Restart:
			change := &storage.Change{}
			change.Guard(storage.RestartDelayed(d.NID, s.nowMS()))
			err = s.DB.Commit(ctx, change)
			s.hurry()
		case Send:
			err = s.send(ctx, d)
		default:
			return matrix.NotFound("Delayed events can be cancelled, restarted or sent.")
		}
		if !errors.Is(err, storage.ErrGuard) {
			return err
		}
		// Its waiting ended in between.
		if d, err = s.find(ctx, id); err != nil {
			return err
		}
	}
	sent := d.Event != ""
	if act == Restart || act == Send && !sent || act == Cancel && sent {
		// Why not M_UNKNOWN, as MSC4140 has it: deployed clients know by M_NOT_FOUND alone that their leave of a call was sent, as when they
		// were cut off for a while, and come back; by another code they give the call up.
		return matrix.NewError(http.StatusConflict, matrix.CodeNotFound, "This delayed event was sent or cancelled already.")
	}
	return nil
}

func (s *Service) find(ctx context.Context, id string) (storage.Delayed, error) {
	d, err := s.DB.FindDelayed(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return d, matrix.NotFound("There is no such delayed event.")
	}
	return d, err
}

// end ends the waiting of an event that is not sent; why is nil when somebody cancelled it.
func (s *Service) end(ctx context.Context, d storage.Delayed, why *matrix.Error) error {
	var reason []byte
	if why != nil {
		reason, _ = json.Marshal(map[string]string{"errcode": why.Code, "error": why.Message})
	}
	change := &storage.Change{}
	change.Guard(storage.FinaliseDelayed(d.NID, s.nowMS(), reason))
	return s.DB.Commit(ctx, change)
}

// View is a delayed event as its owner sees it. Why some values have two names: deployed clients know the older.
type View struct {
	ID          string          `json:"delay_id"`
	Room        matrix.RoomID   `json:"room_id"`
	Type        string          `json:"type"`
	StateKey    *string         `json:"state_key,omitempty"`
	Delay       int64           `json:"delay_ms"`
	OldDelay    int64           `json:"delay"`
	ScheduledAt int64           `json:"scheduled_at"`
	Running     int64           `json:"running_since"`
	Content     json.RawMessage `json:"content"`
	Error       json.RawMessage `json:"error,omitempty"`
	Event       matrix.EventID  `json:"event_id,omitempty"`
	Finalised   int64           `json:"finalised_ts,omitempty"`
}

// List lists the events of a user that wait, by when they are due.
func (s *Service) List(ctx context.Context, user int64) ([]View, error) {
	waiting, err := s.DB.ListDelayed(ctx, user)
	if err != nil {
		return nil, err
	}
	out := make([]View, 0, len(waiting))
	for _, d := range waiting {
		v, err := s.view(ctx, d)
		if matrix.HasCode(err, matrix.CodeNotFound) {
			continue // the room was purged
		}
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// Get is one event of a user, also one whose waiting has ended.
func (s *Service) Get(ctx context.Context, user int64, id string) (View, error) {
	d, err := s.find(ctx, id)
	if err != nil {
		return View{}, err
	}
	if d.User != user {
		return View{}, matrix.NotFound("There is no such delayed event.")
	}
	return s.view(ctx, d)
}

func (s *Service) view(ctx context.Context, d storage.Delayed) (View, error) {
	room, err := s.Rooms.RoomByNID(ctx, d.Room)
	if err != nil {
		return View{}, err
	}
	return View{ID: d.ID, Room: room.ID(), Type: d.Type, StateKey: d.StateKey, Delay: d.Delay, OldDelay: d.Delay,
		ScheduledAt: d.Scheduled, Running: d.Scheduled, Content: d.Content, Error: d.Error, Event: d.Event, Finalised: d.Finalised}, nil
}
