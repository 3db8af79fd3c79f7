package rooms

import (
	"context"
	"io"
	"slices"

	"rempart/internal/matrix"
)

// listedAtOnce is how many events of a long list are read and rendered together.
const listedAtOnce = 256

// keptOfList is how long a list may be whose events stay in memory. Those of a longer one would put out of it what people use.
const keptOfList = 4096

// Listing is a list of events for one recipient, who was found to be allowed to see them. It is read piece by piece while it is
// written: the state of a room of 50,000 members takes more memory than all else that the server holds.
type Listing struct {
	s      *Service
	room   *Room
	caller matrix.Caller
	nids   []int64
	keep   func(*Stored) bool // nil: all
}

// Listed is the whole state that the caller may read.
// Spec: client-server-api/#get_matrixclientv3roomsroomidstate
func (s *Service) Listed(ctx context.Context, room *Room, c matrix.Caller) (*Listing, error) {
	at, err := s.readable(ctx, room, c.User)
	if err != nil {
		return nil, err
	}
	nids, err := s.stateNIDs(ctx, room, at)
	return &Listing{s: s, room: room, caller: c, nids: nids}, err
}

// Only leaves of a list the events of one type.
func (l *Listing) Only(typ string) *Listing {
	only := *l
	only.keep = func(e *Stored) bool { return e.Type == typ && (l.keep == nil || l.keep(e)) }
	return &only
}

// Each calls fn with the events of the list, some at a time.
func (l *Listing) Each(ctx context.Context, fn func([]*Stored) error) error {
	for piece := range slices.Chunk(l.nids, listedAtOnce) {
		events, err := l.s.eventsBy(ctx, piece, len(l.nids) <= keptOfList)
		if err != nil {
			return err
		}
		if l.keep != nil {
			events = slices.DeleteFunc(events, func(e *Stored) bool { return !l.keep(e) })
		}
		if err := fn(events); err != nil {
			return err
		}
	}
	return nil
}

// WriteJSON writes the events as a client gets them, as one array.
func (l *Listing) WriteJSON(ctx context.Context, w io.Writer) error {
	v, err := l.s.viewerFor(ctx, l.room, l.caller.User)
	if err != nil {
		return err
	}
	before := "["
	err = l.Each(ctx, func(events []*Stored) error {
		list, err := v.render(ctx, l.caller, events)
		if err != nil {
			return err
		}
		for _, e := range list {
			if err := write(w, before, e); err != nil {
				return err
			}
			before = ","
		}
		return nil
	})
	if err != nil {
		return err
	}
	if before == "[" {
		return write(w, before, []byte("]"))
	}
	return write(w, "]", nil)
}

func write(w io.Writer, before string, b []byte) error {
	if _, err := io.WriteString(w, before); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}
