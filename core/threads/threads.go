// Package threads keeps which threads users want to hear of: MSC4306, and for sliding sync MSC4308. core/push reads it to
// decide whom an event notifies.
package threads

import (
	"context"
	"errors"
	"net/http"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Service keeps subscriptions. Its methods may be called concurrently.
type Service struct {
	db    *storage.DB
	rooms *rooms.Service
}

// New makes the service.
func New(db *storage.DB, r *rooms.Service) *Service { return &Service{db, r} }

// root finds the thread's root as the user may see it; M_NOT_FOUND otherwise.
func (s *Service) root(ctx context.Context, c matrix.Caller, room *rooms.Room, id matrix.EventID) (*rooms.Stored, error) {
	e, err := s.rooms.Event(ctx, room, c.User, id)
	if matrix.HasCode(err, matrix.CodeForbidden) {
		err = matrix.NotFound("There is no such thread, or you may not see it.")
	}
	return e, err
}

// find is what the user said of a thread; false: nothing.
func (s *Service) find(ctx context.Context, c matrix.Caller, room *rooms.Room, thread int64) (storage.ThreadSubscription, bool, error) {
	old, err := s.db.FindThreadSubscription(ctx, c.UserNID, room.NID(), thread)
	if errors.Is(err, storage.ErrNotFound) {
		return old, false, nil
	}
	return old, err == nil, err
}

// Get reports whether the subscription came about automatically; M_NOT_FOUND when there is none.
func (s *Service) Get(ctx context.Context, c matrix.Caller, room *rooms.Room, id matrix.EventID) (automatic bool, err error) {
	root, err := s.root(ctx, c, room, id)
	if err != nil {
		return false, err
	}
	now, _, err := s.find(ctx, c, room, root.Row.NID)
	if err == nil && !now.Subscribed {
		err = matrix.NotFound("You are not subscribed to this thread.")
	}
	return now.Automatic, err
}

// Subscribe subscribes the user to a thread. cause names the event because of which a client does so on its own; "" when
// the user wants it. An automatic subscription is refused when the user unsubscribed after that event.
func (s *Service) Subscribe(ctx context.Context, c matrix.Caller, room *rooms.Room, id, cause matrix.EventID) error {
	root, err := s.root(ctx, c, room, id)
	if err != nil {
		return err
	}
	old, known, err := s.find(ctx, c, room, root.Row.NID)
	if err != nil {
		return err
	}
	if cause != "" {
		e, err := s.rooms.Event(ctx, room, c.User, cause)
		if err != nil && !matrix.HasCode(err, matrix.CodeNotFound) {
			return err
		}
		if err != nil || e.Row.Thread != root.Row.NID {
			return matrix.NewError(http.StatusBadRequest, "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD", "The event is not in this thread.")
		}
		if known && !old.Subscribed && e.Position() <= old.Pos {
			return matrix.NewError(http.StatusConflict, "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION",
				"You unsubscribed from this thread after the event.")
		}
	}
	if old.Subscribed && (cause != "" || !old.Automatic) {
		return nil
	}
	return s.store(ctx, storage.ThreadSubscription{User: c.UserNID, Room: room.NID(), Thread: root.Row.NID, Subscribed: true, Automatic: cause != ""})
}

// Unsubscribe ends a subscription. Doing it twice harms nobody.
func (s *Service) Unsubscribe(ctx context.Context, c matrix.Caller, room *rooms.Room, id matrix.EventID) error {
	root, err := s.root(ctx, c, room, id)
	if err != nil {
		return err
	}
	old, _, err := s.find(ctx, c, room, root.Row.NID)
	if err != nil || !old.Subscribed {
		return err
	}
	old.Subscribed, old.Automatic = false, false
	return s.store(ctx, old)
}

func (s *Service) store(ctx context.Context, t storage.ThreadSubscription) error {
	change := &storage.Change{}
	row := &storage.ThreadSubscriptionRow{ThreadSubscription: t}
	row.At.Live = change.Live(storage.Live{Kind: storage.KindThreads, User: t.User, Value: row}) + 1
	change.Add(row)
	return s.db.Commit(ctx, change)
}

// Page is a stretch of a user's last words on threads, by room and root. MSC4308
type Page struct {
	Subscribed   map[matrix.RoomID]map[matrix.EventID]Subscription   `json:"subscribed,omitempty"`
	Unsubscribed map[matrix.RoomID]map[matrix.EventID]Unsubscription `json:"unsubscribed,omitempty"`
	// Older is the position up to which older ones were left out, 0 when none were.
	Older int64 `json:"-"`
}

// Subscription is one that is in force; of two values for a thread that with the higher stamp is the later.
type Subscription struct {
	Automatic bool  `json:"automatic"`
	Stamp     int64 `json:"bump_stamp"`
}

// Unsubscription is one that is not any more.
type Unsubscription struct {
	Stamp int64 `json:"bump_stamp"`
}

// maxPage bounds a page.
const maxPage = 1000

// Changes are the newest changes in (after, upto] of what a user said of threads; limit 0 takes 100.
func (s *Service) Changes(ctx context.Context, user, after, upto int64, limit int) (*Page, error) {
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, maxPage)
	list, err := s.db.ListThreadSubscriptions(ctx, user, after, upto, limit+1)
	if err != nil {
		return nil, err
	}
	page := &Page{}
	if len(list) > limit {
		list = list[:limit]
		page.Older = list[limit-1].Pos - 1
	}
	for _, t := range list {
		if t.Subscribed {
			put(&page.Subscribed, t, Subscription{t.Automatic, t.Pos})
		} else {
			put(&page.Unsubscribed, t, Unsubscription{t.Pos})
		}
	}
	return page, nil
}

func put[V any](into *map[matrix.RoomID]map[matrix.EventID]V, t storage.ThreadSubscription, v V) {
	if *into == nil {
		*into = map[matrix.RoomID]map[matrix.EventID]V{}
	}
	if (*into)[t.RoomID] == nil {
		(*into)[t.RoomID] = map[matrix.EventID]V{}
	}
	(*into)[t.RoomID][t.Root] = v
}
