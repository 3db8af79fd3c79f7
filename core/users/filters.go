package users

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"rempart/internal/matrix"
	"rempart/storage"
)

const (
	// maxFilter bounds a stored filter in bytes.
	maxFilter = 64 << 10
	// keptFilters is how many filters a user may have; older ones go.
	keptFilters = 500
)

// filterShape is what a filter must look like. Spec: client-server-api/#post_matrixclientv3useruseridfilter
type filterShape struct {
	EventFields []string    `json:"event_fields"`
	EventFormat string      `json:"event_format"`
	Presence    *eventShape `json:"presence"`
	AccountData *eventShape `json:"account_data"`
	Room        *roomsShape `json:"room"`
}

type roomsShape struct {
	NotRooms     []string    `json:"not_rooms"`
	Rooms        []string    `json:"rooms"`
	IncludeLeave bool        `json:"include_leave"`
	Ephemeral    *eventShape `json:"ephemeral"`
	State        *eventShape `json:"state"`
	Timeline     *eventShape `json:"timeline"`
	AccountData  *eventShape `json:"account_data"`
}

type eventShape struct {
	Limit        *int     `json:"limit"`
	NotSenders   []string `json:"not_senders"`
	NotTypes     []string `json:"not_types"`
	Senders      []string `json:"senders"`
	Types        []string `json:"types"`
	NotRooms     []string `json:"not_rooms"`
	Rooms        []string `json:"rooms"`
	LazyLoad     bool     `json:"lazy_load_members"`
	Redundant    bool     `json:"include_redundant_members"`
	ContainsURL  *bool    `json:"contains_url"`
	UnreadThread bool     `json:"unread_thread_notifications"`
}

// StoreFilter checks and stores a filter; the same filter gets the same id again.
func (s *Service) StoreFilter(ctx context.Context, c matrix.Caller, body json.RawMessage) (string, error) {
	if err := checkFilter(body); err != nil {
		return "", err
	}
	canonical, err := matrix.CanonicalJSON(body)
	if err != nil {
		return "", matrix.BadJSON("The filter holds numbers that JSON of this protocol cannot.")
	}
	var id int64
	change := &storage.Change{}
	change.Guard(storage.InsertFilter(c.UserNID, matrix.Hash64(string(canonical)), canonical, &id)...)
	change.Guard(storage.TrimFilters(c.UserNID, keptFilters))
	if err := s.db.Commit(ctx, change); err != nil {
		return "", err
	}
	return strconv.FormatInt(id, 10), nil
}

func checkFilter(body json.RawMessage) error {
	if len(body) > maxFilter {
		return matrix.TooLarge("A filter may have at most 64 KiB.")
	}
	var f filterShape
	if err := matrix.Decode(body, &f); err != nil {
		return matrix.BadJSON("The filter has the wrong form.").Wrap(err)
	}
	if f.EventFormat != "" && f.EventFormat != "client" && f.EventFormat != "federation" {
		return matrix.BadJSON("The filter's event_format must be \"client\" or \"federation\".")
	}
	events := []*eventShape{f.Presence, f.AccountData}
	if f.Room != nil {
		events = append(events, f.Room.Ephemeral, f.Room.State, f.Room.Timeline, f.Room.AccountData)
	}
	for _, e := range events {
		if err := e.check(); err != nil {
			return err
		}
	}
	if f.Room != nil {
		return checkRoomIDs(f.Room.Rooms, f.Room.NotRooms)
	}
	return nil
}

func (e *eventShape) check() error {
	switch {
	case e == nil:
		return nil
	case e.Limit != nil && *e.Limit < 0:
		return matrix.BadJSON("The filter's limit must not be negative.")
	}
	for _, id := range slices.Concat(e.Senders, e.NotSenders) {
		if _, err := matrix.ParseUserID(id); err != nil {
			return matrix.BadJSON("The filter names a sender that is no user id.")
		}
	}
	return checkRoomIDs(e.Rooms, e.NotRooms)
}

func checkRoomIDs(lists ...[]string) error {
	for _, id := range slices.Concat(lists...) {
		if _, err := matrix.ParseRoomID(id); err != nil {
			return matrix.BadJSON("The filter names a room that is no room id.")
		}
	}
	return nil
}

// GetFilter reads a filter that the caller stored. Spec: client-server-api/#get_matrixclientv3useruseridfilterfilterid
func (s *Service) GetFilter(ctx context.Context, c matrix.Caller, id string) (json.RawMessage, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, matrix.NotFound("There is no such filter.")
	}
	body, err := s.db.FindFilter(ctx, c.UserNID, n)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, matrix.NotFound("There is no such filter.")
	}
	return body, err
}
