package matrix

import (
	"encoding/json"
)

// StateTuple is the (event type, state key) pair that names one piece of room state.
type StateTuple struct{ Type, Key string }

// Event is one PDU. It is immutable once made; parsed contents are memoised on it, so that it may be
// shared by any number of goroutines.
type Event struct {
	ID             EventID
	RoomID         RoomID // for a v12 create event: derived from its own id
	Sender         UserID
	Type           string
	StateKey       *string // nil: not a state event
	Depth          int64
	OriginServerTS int64 // milliseconds
	PrevEvents     []EventID
	AuthEvents     []EventID // as written in the event (v12: without the create event)
	Redacts        EventID   // wherever the room version keeps it
	Content        json.RawMessage
	Sticky         int64 // milliseconds for which the event sticks; 0: not at all. MSC4354
	// JSON is the whole event in canonical form, without "unsigned".
	JSON    []byte
	Version *RoomVersion

	memo eventMemo
}

// MaxSticky is the longest time for which an event may stick, in milliseconds. MSC4354
const MaxSticky = 3600000

// IsState reports whether the event has a state key.
func (e *Event) IsState() bool { return e.StateKey != nil }

// StateKeyEquals reports whether the event is a state event with this key.
func (e *Event) StateKeyEquals(key string) bool { return e.StateKey != nil && *e.StateKey == key }

// Tuple names the piece of state that a state event sets; the zero tuple for other events.
func (e *Event) Tuple() StateTuple {
	if e.StateKey == nil {
		return StateTuple{}
	}
	return StateTuple{e.Type, *e.StateKey}
}
