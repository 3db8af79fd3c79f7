package sync

import (
	"context"
	"encoding/json"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// The types of receipts and markers. Spec: client-server-api/#receipts
const (
	readPublic  = "m.read"
	readPrivate = "m.read.private"
	fullyRead   = "m.fully_read"
)

// Receipt says how far a user has read.
type Receipt struct {
	Room  matrix.RoomID
	Type  string // m.read, m.read.private or m.fully_read
	Event matrix.EventID
	// Thread is "main" or the id of a thread's root; "" is unthreaded.
	Thread string
}

// memberRoom finds a room that the caller is in.
func (s *Service) memberRoom(ctx context.Context, c *matrix.Caller, id matrix.RoomID) (*rooms.Room, error) {
	room, err := s.rooms.Room(ctx, id)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return nil, matrix.Forbidden("You are not in this room.").Wrap(err)
	}
	if err != nil {
		return nil, err
	}
	return room, s.memberOf(ctx, c.UserNID, room.NID())
}

// SetReceipts moves receipts and the fully-read marker in one write. A receipt that points behind the present one
// changes nothing.
func (s *Service) SetReceipts(ctx context.Context, c *matrix.Caller, list ...Receipt) error {
	change := &storage.Change{}
	for i := range list {
		if err := s.addReceipt(ctx, c, &list[i], change); err != nil {
			return err
		}
	}
	if len(change.Rows) == 0 {
		return nil
	}
	if err := s.db.Commit(ctx, change); err != nil || s.outside == nil {
		return err
	}
	for _, row := range change.Rows {
		if r, ok := row.(*storage.ReceiptRow); ok {
			if room, err := s.rooms.RoomByNID(ctx, r.Room); err == nil {
				s.tellReceipt(ctx, room, c.User, r)
			}
		}
	}
	return nil
}

func (s *Service) addReceipt(ctx context.Context, c *matrix.Caller, r *Receipt, change *storage.Change) error {
	if r.Type != readPublic && r.Type != readPrivate && r.Type != fullyRead {
		return matrix.InvalidParam("The receipt type must be m.read, m.read.private or m.fully_read.")
	}
	if r.Thread != "" && r.Type == fullyRead {
		return matrix.InvalidParam("A fully-read marker has no thread_id.")
	}
	room, err := s.memberRoom(ctx, c, r.Room)
	if err != nil {
		return err
	}
	event, err := s.rooms.EventByID(ctx, room, r.Event)
	if err != nil {
		return err
	}
	if r.Type == fullyRead {
		content, err := json.Marshal(map[string]matrix.EventID{"event_id": r.Event})
		if err != nil {
			return err
		}
		row := &storage.AccountDataRow{User: c.UserNID, Room: room.NID(), Type: fullyRead, Content: content}
		row.At.Live = change.Live(storage.Live{Kind: storage.KindAccountData, Room: room.NID(), User: c.UserNID, Value: row}) + 1
		change.Add(row)
		return nil
	}
	behind, err := s.behind(ctx, c.UserNID, room.NID(), r, event.Row.Pos)
	if err != nil || behind {
		return err
	}
	row := &storage.ReceiptRow{Room: room.NID(), User: c.UserNID, Type: r.Type, Thread: r.Thread, EventID: r.Event,
		EventPos: event.Row.Pos, Notify: event.Row.Notify, TNotify: event.Row.TNotify, TS: s.now().UnixMilli()}
	row.At.Live = change.Live(storage.Live{Kind: storage.KindReceipt, Room: room.NID(), User: c.UserNID, Value: row}) + 1
	change.Add(row)
	return nil
}

// behind reports whether the event is no further than the receipt that the user has sent already.
func (s *Service) behind(ctx context.Context, user, room int64, r *Receipt, pos int64) (bool, error) {
	list, err := s.db.ListReceiptsOf(ctx, room, user)
	for i := range list {
		if old := &list[i]; old.Type == r.Type && old.Thread == r.Thread {
			return old.EventPos >= pos, err
		}
	}
	return false, err
}
