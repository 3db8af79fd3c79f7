package sync

import (
	"slices"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// Timeline lengths.
const (
	defaultTimeline = 10
	maxTimeline     = 100
)

// Filter says what of a sync a client wants. The zero value wants everything.
// Spec: client-server-api/#post_matrixclientv3useruseridfilter
type Filter struct {
	EventFields []string           `json:"event_fields"`
	EventFormat string             `json:"event_format"`
	Presence    *rooms.EventFilter `json:"presence"`
	AccountData *rooms.EventFilter `json:"account_data"`
	Room        RoomFilter         `json:"room"`
}

// RoomFilter is the part of a filter about rooms.
type RoomFilter struct {
	Rooms        []matrix.RoomID    `json:"rooms"`
	NotRooms     []matrix.RoomID    `json:"not_rooms"`
	IncludeLeave bool               `json:"include_leave"`
	Ephemeral    *rooms.EventFilter `json:"ephemeral"`
	State        *rooms.EventFilter `json:"state"`
	Timeline     *rooms.EventFilter `json:"timeline"`
	AccountData  *rooms.EventFilter `json:"account_data"`
	// NoTimeline is set by a timeline limit of 0.
	NoTimeline bool `json:"-"`
}

// ParseFilter reads a filter; what is none is M_BAD_JSON.
func ParseFilter(raw []byte) (*Filter, error) {
	f := &Filter{}
	if err := matrix.Decode(raw, f); err != nil {
		return nil, matrix.BadJSON("The filter is not valid.").Wrap(err)
	}
	if f.EventFormat != "" && f.EventFormat != "client" && f.EventFormat != "federation" {
		return nil, matrix.BadJSON("The filter's event_format must be client or federation.")
	}
	for _, part := range []*rooms.EventFilter{f.Presence, f.AccountData, f.Room.Ephemeral, f.Room.State, f.Room.Timeline, f.Room.AccountData} {
		if err := part.Check(); err != nil {
			return nil, err
		}
	}
	var explicit struct {
		Room struct {
			Timeline struct {
				Limit *int `json:"limit"`
			} `json:"timeline"`
		} `json:"room"`
	}
	if err := matrix.Decode(raw, &explicit); err != nil {
		return nil, matrix.BadJSON("The filter is not valid.").Wrap(err)
	}
	f.Room.NoTimeline = explicit.Room.Timeline.Limit != nil && *explicit.Room.Timeline.Limit == 0
	return f, nil
}

// wants reports whether a room is wanted at all.
func (f *RoomFilter) wants(id matrix.RoomID) bool {
	return !slices.Contains(f.NotRooms, id) && (f.Rooms == nil || slices.Contains(f.Rooms, id))
}

// limit is how many events a timeline may have.
func (f *RoomFilter) limit() int {
	switch {
	case f.NoTimeline:
		return 0
	case f.Timeline == nil || f.Timeline.Limit == 0:
		return defaultTimeline
	}
	return min(f.Timeline.Limit, maxTimeline)
}

// lazy reports whether members are loaded lazily.
func (f *RoomFilter) lazy() bool { return f.State != nil && f.State.LazyLoadMembers }

// threads reports whether unread counts are asked for by thread.
func (f *RoomFilter) threads() bool { return f.Timeline != nil && f.Timeline.UnreadThreads }
