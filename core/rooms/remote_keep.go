package rooms

import (
	"encoding/json"
	"errors"

	"rempart/internal/matrix"
)

// maxKept bounds the text of events that one answer of a peer may make us hold at once. What is read at all is bounded by who asks
// peers. Why so: a peer is to cost no more than 64 MiB, and answers of this size are read one at a time for each peer.
const maxKept = 24 << 20

var errTooMuch = errors.New("the other server tells more than is kept of it")

// keeping reads the events of an answer as they come, and holds those that are wanted.
type keeping struct {
	r      *Room
	only   map[matrix.EventID]bool // nil: all
	events []*matrix.Event
	seen   map[matrix.EventID]bool
	size   int
}

// take takes one event. What is no proper event of the room is left out.
func (k *keeping) take(raw json.RawMessage) error {
	for _, e := range parse(k.r.version, k.r.id, []json.RawMessage{raw}) {
		if k.seen[e.ID] || k.only != nil && !k.only[e.ID] {
			continue
		}
		if k.seen == nil {
			k.seen = map[matrix.EventID]bool{}
		}
		if k.size += len(e.JSON) + 512; k.size > maxKept {
			return errTooMuch
		}
		k.seen[e.ID] = true
		k.events = append(k.events, e)
	}
	return nil
}

// restsOn are those of some events that another rests on, by auth_events and theirs.
func restsOn(e *matrix.Event, events []*matrix.Event) []*matrix.Event {
	byID := make(map[matrix.EventID]*matrix.Event, len(events))
	for _, o := range events {
		byID[o.ID] = o
	}
	var out []*matrix.Event
	for todo := []*matrix.Event{e}; len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, id := range at.AuthEvents {
			if o := byID[id]; o != nil {
				delete(byID, id)
				out, todo = append(out, o), append(todo, o)
			}
		}
	}
	return out
}
