package rooms

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"rempart/internal/matrix"
)

// EventFilter chooses events by what they are. A nil filter lets everything pass; an absent list chooses nothing out, an
// empty list of types, senders or rooms lets nothing pass.
//
// Spec: client-server-api/#filtering
type EventFilter struct {
	Limit      int             `json:"limit"`
	Types      []string        `json:"types"`
	NotTypes   []string        `json:"not_types"`
	Senders    []matrix.UserID `json:"senders"`
	NotSenders []matrix.UserID `json:"not_senders"`
	Rooms      []matrix.RoomID `json:"rooms"`
	NotRooms   []matrix.RoomID `json:"not_rooms"`
	// ContainsURL asks for events with (true) or without (false) a "url" in their content.
	ContainsURL *bool `json:"contains_url"`
	// RelTypes and NotRelTypes ask for events by how they relate to others; "" stands for those that do not. MSC3874
	RelTypes                []string `json:"org.matrix.msc3874.rel_types"`
	NotRelTypes             []string `json:"org.matrix.msc3874.not_rel_types"`
	LazyLoadMembers         bool     `json:"lazy_load_members"`
	IncludeRedundantMembers bool     `json:"include_redundant_members"`
	UnreadThreads           bool     `json:"unread_thread_notifications"`
}

// ParseEventFilter reads a filter; what is not a filter is M_BAD_JSON.
func ParseEventFilter(raw []byte) (*EventFilter, error) {
	f := &EventFilter{}
	if err := matrix.Decode(raw, f); err != nil {
		return nil, matrix.BadJSON("The filter is not a valid event filter.").Wrap(err)
	}
	return f, f.Check()
}

// Check refuses what no filter may say.
func (f *EventFilter) Check() error {
	if f != nil && f.Limit < 0 {
		return matrix.BadJSON("The filter's limit must not be negative.")
	}
	return nil
}

// Match reports whether an event passes. The room is judged by MatchRoom.
func (f *EventFilter) Match(e *matrix.Event) bool {
	if f == nil {
		return true
	}
	return f.MatchType(e.Type) && f.MatchSender(e.Sender) && f.matchURL(e.Content) && f.matchRelation(e.Content)
}

// ReadsContent reports whether [EventFilter.Match] looks at what events say.
func (f *EventFilter) ReadsContent() bool {
	return f != nil && (f.ContainsURL != nil || f.RelTypes != nil || len(f.NotRelTypes) > 0)
}

// MatchType reports whether events of a type may pass.
func (f *EventFilter) MatchType(typ string) bool {
	if f == nil {
		return true
	}
	match := func(pattern string) bool { return matchType(pattern, typ) }
	return !slices.ContainsFunc(f.NotTypes, match) && (f.Types == nil || slices.ContainsFunc(f.Types, match))
}

// MatchSender reports whether events of a sender may pass.
func (f *EventFilter) MatchSender(sender matrix.UserID) bool {
	if f == nil {
		return true
	}
	return !slices.Contains(f.NotSenders, sender) && (f.Senders == nil || slices.Contains(f.Senders, sender))
}

// MatchRoom reports whether events of a room may pass.
func (f *EventFilter) MatchRoom(room matrix.RoomID) bool {
	if f == nil {
		return true
	}
	return !slices.Contains(f.NotRooms, room) && (f.Rooms == nil || slices.Contains(f.Rooms, room))
}

func (f *EventFilter) matchURL(content []byte) bool {
	if f.ContainsURL == nil {
		return true
	}
	if !bytes.Contains(content, []byte(`"url"`)) {
		return !*f.ContainsURL
	}
	var c struct {
		URL json.RawMessage `json:"url"`
	}
	_ = matrix.Decode(content, &c) // a content that is no object has no url
	return (c.URL != nil) == *f.ContainsURL
}

// matchRelation judges an event by the type of its relation; one that relates to nothing has none.
func (f *EventFilter) matchRelation(content []byte) bool {
	if f.RelTypes == nil && len(f.NotRelTypes) == 0 {
		return true
	}
	r, _ := relationIn(content)
	return !slices.Contains(f.NotRelTypes, r.RelType) && (f.RelTypes == nil || slices.Contains(f.RelTypes, r.RelType))
}

// matchType compares a type with a pattern in which "*" stands for any sequence of characters.
func matchType(pattern, typ string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == typ
	}
	if !strings.HasPrefix(typ, first) {
		return false
	}
	typ = typ[len(first):]
	for {
		part, more, wild := strings.Cut(rest, "*")
		if !wild {
			return strings.HasSuffix(typ, part)
		}
		i := strings.Index(typ, part)
		if i < 0 {
			return false
		}
		typ, rest = typ[i+len(part):], more
	}
}
