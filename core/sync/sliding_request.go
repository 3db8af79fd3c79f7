package sync

import (
	"bytes"
	"encoding/json"
	"time"

	"rempart/internal/matrix"
)

// Bounds of one request of sliding sync.
const (
	maxLists              = 100  // MSC4186
	maxSubscriptions      = 100  // MSC4186
	maxSubscriptionsLoose = 1000 // where the dialect names no bound
	maxRanges             = 16
	maxStateElements      = 256
	maxSlidingName        = 255 // conn_id, names of lists, types, state keys
	maxFilterEntries      = 256
)

// SlidingRequest is one request of sliding sync, in either dialect. MSC4186
type SlidingRequest struct {
	ConnID      string
	Pos         string
	Timeout     time.Duration
	SetPresence string
	// TxnID is given back. MSC3575: a leftover that some clients send.
	TxnID string
	// Stable chooses the dialect of /v4/sync.
	Stable        bool
	Lists         []slidingList // by name
	Subscriptions map[matrix.RoomID]roomAsk
	Extensions    slidingExtensions
}

// slidingList is a window on the user's rooms.
type slidingList struct {
	name string
	// ranges are pairs of first and last index; nil: all rooms.
	ranges [][2]int64
	filter *slidingFilter // nil: all rooms
	ask    roomAsk
}

// roomAsk says what a client wants of a room.
type roomAsk struct {
	limit int
	rule  stateRule
}

// slidingFilter chooses rooms. Spec of all fields: MSC4186, SlidingRoomFilter.
type slidingFilter struct {
	IsDM         *bool
	IsEncrypted  *bool
	IsInvited    *bool
	Spaces       []matrix.RoomID
	RoomTypes    []string // "" stands for null: rooms without a type
	NotRoomTypes []string
	Tags         []string
	NotTags      []string
}

// slidingExtensions are what a client wants beside rooms.
type slidingExtensions struct {
	toDevice struct {
		enabled bool
		limit   int
		since   string
	}
	e2ee                      bool
	account, receipts, typing extensionScope
	threads                   struct {
		enabled bool
		limit   int
		name    string // by which the client asks
	}
	sticky struct {
		enabled bool
		limit   int
		since   string
	}
}

// extensionScope says for which rooms an extension holds.
type extensionScope struct {
	enabled bool
	// lists and rooms name those it holds for; all where the client did not say.
	allLists, allRooms bool
	lists              map[string]bool
	rooms              map[matrix.RoomID]bool
}

// on reports whether the extension holds for a list.
func (e *extensionScope) on(list string) bool { return e.enabled && (e.allLists || e.lists[list]) }

// onRoom reports whether the extension holds for a room that is subscribed to.
func (e *extensionScope) onRoom(id matrix.RoomID) bool {
	return e.enabled && (e.allRooms || e.rooms[id] || e.rooms["*"])
}

// bits says which of the extensions about rooms are on.
func (x *slidingExtensions) bits(on func(*extensionScope) bool) (out uint8) {
	for _, e := range [...]struct {
		scope *extensionScope
		bit   uint8
	}{{&x.receipts, withReceipts}, {&x.account, withAccount}, {&x.typing, withTyping}} {
		if on(e.scope) {
			out |= e.bit
		}
	}
	return out
}

// slidingBody is the body of a request in the words of both dialects.
type slidingBody struct {
	ConnID        string                         `json:"conn_id"`
	TxnID         string                         `json:"txn_id"`
	Pos           *string                        `json:"pos"`
	Timeout       *int64                         `json:"timeout"`
	SetPresence   *string                        `json:"set_presence"`
	Lists         map[string]*listBody           `json:"lists"`
	Subscriptions map[matrix.RoomID]*roomAskBody `json:"room_subscriptions"`
	Extensions    extensionsBody                 `json:"extensions"`
}

type roomAskBody struct {
	Limit *int64          `json:"timeline_limit"`
	State json.RawMessage `json:"required_state"`
}

type listBody struct {
	roomAskBody
	Ranges  [][]int64       `json:"ranges"`
	Range   []int64         `json:"range"`
	Filters *roomFilterBody `json:"filters"`
}

type roomFilterBody struct {
	IsDM         *bool           `json:"is_dm"`
	IsEncrypted  *bool           `json:"is_encrypted"`
	IsInvite     *bool           `json:"is_invite"`
	IsInvited    *bool           `json:"is_invited"`
	Spaces       []matrix.RoomID `json:"spaces"`
	RoomTypes    []*string       `json:"room_types"`
	NotRoomTypes []*string       `json:"not_room_types"`
	Tags         []string        `json:"tags"`
	NotTags      []string        `json:"not_tags"`
}

type extensionsBody struct {
	ToDevice struct {
		Enabled bool   `json:"enabled"`
		Limit   *int   `json:"limit"`
		Since   string `json:"since"`
	} `json:"to_device"`
	E2EE struct {
		Enabled bool `json:"enabled"`
	} `json:"e2ee"`
	Account  scopeBody   `json:"account_data"`
	Receipts scopeBody   `json:"receipts"`
	Typing   scopeBody   `json:"typing"`
	Threads  threadsBody `json:"io.element.msc4308.thread_subscriptions"`
	// MSC4308: the name it is to have.
	ThreadsStable threadsBody `json:"thread_subscriptions"`
	Sticky        stickyBody  `json:"org.matrix.msc4354.sticky_events"`
}

type stickyBody struct {
	Enabled bool   `json:"enabled"`
	Limit   *int   `json:"limit"`
	Since   string `json:"since"`
}

type threadsBody struct {
	Enabled bool `json:"enabled"`
	Limit   *int `json:"limit"`
}

type scopeBody struct {
	Enabled bool             `json:"enabled"`
	Lists   *[]string        `json:"lists"`
	Rooms   *[]matrix.RoomID `json:"rooms"`
}

// ParseSliding reads a request's body for a user.
func ParseSliding(raw []byte, user matrix.UserID, stable bool) (*SlidingRequest, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = []byte("{}")
	}
	if !json.Valid(raw) {
		return nil, matrix.NotJSON("The body is not JSON.")
	}
	var in slidingBody
	if err := matrix.Decode(raw, &in); err != nil {
		return nil, matrix.BadJSON("The request is not of the form that sliding sync asks for.").Wrap(err)
	}
	q := &SlidingRequest{ConnID: in.ConnID, TxnID: in.TxnID, Stable: stable}
	if len(in.ConnID) > maxSlidingName || len(in.TxnID) > maxSlidingName {
		return nil, matrix.InvalidParam("conn_id is too long.")
	}
	if stable {
		if in.Pos != nil {
			q.Pos = *in.Pos
		}
		if in.Timeout != nil {
			q.Timeout = SlidingTimeout(*in.Timeout)
		}
		if in.SetPresence != nil {
			q.SetPresence = *in.SetPresence
		}
	}
	if err := q.readLists(in.Lists, user); err != nil {
		return nil, err
	}
	if err := q.readSubscriptions(in.Subscriptions, user); err != nil {
		return nil, err
	}
	return q, q.readExtensions(&in.Extensions)
}

// SlidingTimeout is the wait that a number of milliseconds asks for.
func SlidingTimeout(ms int64) time.Duration {
	return time.Duration(min(max(ms, 0), maxWait.Milliseconds())) * time.Millisecond
}
