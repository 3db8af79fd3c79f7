package matrix

import "strings"

// eventFields are the raw values of the keys of an event that the server itself reads.
type eventFields struct {
	authEvents, content, depth, eventID, hashes, ts, prevEvents  []byte
	redacts, roomID, sender, signatures, stateKey, typ, unsigned []byte
	sticky                                                       []byte
	foreign                                                      bool // has keys that never belong to a PDU
}

// scanFields goes once over a canonical event.
func scanFields(event []byte) (f eventFields, ok bool) {
	m := membersOf(event)
	for k, v, more := m.next(); more; k, v, more = m.next() {
		if slot := f.slot(k); slot != nil {
			*slot = v
		}
	}
	f.foreign = f.foreign || f.unsigned != nil
	return f, !m.bad
}

func (f *eventFields) slot(key []byte) *[]byte {
	switch string(key) {
	case "auth_events":
		return &f.authEvents
	case "content":
		return &f.content
	case "depth":
		return &f.depth
	case "event_id":
		return &f.eventID
	case "hashes":
		return &f.hashes
	case "msc4354_sticky":
		return &f.sticky
	case "origin_server_ts":
		return &f.ts
	case "prev_events":
		return &f.prevEvents
	case "redacts":
		return &f.redacts
	case "room_id":
		return &f.roomID
	case "sender":
		return &f.sender
	case "signatures":
		return &f.signatures
	case "state_key":
		return &f.stateKey
	case "type":
		return &f.typ
	case "unsigned":
		return &f.unsigned
	case "age_ts", "outlier", "destinations":
		f.foreign = true
	}
	return nil
}

// event decodes the fields into an Event without ID, RoomID of a v12 create event and JSON.
// It reports the name of the first field that is missing or of the wrong kind.
func (f *eventFields) event(v *RoomVersion) (e *Event, bad string) {
	e = &Event{Version: v, Content: f.content}
	var ok bool
	if e.Type, ok = typeText(f.typ); !ok {
		return nil, "type"
	}
	var sender string
	if sender, ok = text(f.sender); !ok {
		return nil, "sender"
	}
	e.Sender = UserID(sender)
	if f.roomID != nil {
		room, ok := text(f.roomID)
		if !ok {
			return nil, "room_id"
		}
		e.RoomID = RoomID(room)
	}
	if f.stateKey != nil {
		key, ok := text(f.stateKey)
		if !ok {
			return nil, "state_key"
		}
		e.StateKey = &key
	}
	if e.Depth, ok = integer(f.depth); !ok {
		return nil, "depth"
	}
	if e.OriginServerTS, ok = integer(f.ts); !ok {
		return nil, "origin_server_ts"
	}
	if !isObject(f.content) {
		return nil, "content"
	}
	if e.PrevEvents, ok = v.refs(f.prevEvents); !ok {
		return nil, "prev_events"
	}
	if e.AuthEvents, ok = v.refs(f.authEvents); !ok {
		return nil, "auth_events"
	}
	e.Redacts = f.redactsID(v, e.Type)
	if f.sticky != nil {
		e.Sticky = stickyOf(f.sticky)
	}
	return e, ""
}

// stickyOf is for how many milliseconds an event says that it sticks; 0 when it says nothing valid. MSC4354
func stickyOf(raw []byte) int64 {
	if !isObject(raw) {
		return 0
	}
	if ms, ok := integer(find(raw, "duration_ms")); ok && ms > 0 && ms <= MaxSticky {
		return ms
	}
	return 0
}

// redactsID is the target of a redaction, wherever the version keeps it; empty for other events.
func (f *eventFields) redactsID(v *RoomVersion, typ string) EventID {
	if typ != "m.room.redaction" {
		return ""
	}
	if v.RedactsInContent {
		return redactsOf(f.content)
	}
	id, _ := text(f.redacts)
	return EventID(id)
}

// redactsOf is content.redacts. Spec: rooms/v11/#moving-the-redacts-property-of-mroomredaction-events-to-a-content-property
func redactsOf(content []byte) EventID {
	id, _ := text(find(content, "redacts"))
	return EventID(id)
}

// refs reads prev_events or auth_events: ids, or pairs of id and hashes in versions 1 and 2. All ids share
// one string.
func (v *RoomVersion) refs(raw []byte) ([]EventID, bool) {
	n := 0
	walk := elementsOf(raw)
	for _, ok := walk.next(); ok; _, ok = walk.next() {
		n++
	}
	if walk.bad {
		return nil, false
	}
	ids := make([]EventID, 0, n)
	var all strings.Builder
	all.Grow(len(raw))
	walk = elementsOf(raw)
	for item, ok := walk.next(); ok; item, ok = walk.next() {
		if v.RefsWithHashes() {
			pair := elementsOf(item)
			if item, ok = pair.next(); !ok {
				return nil, false
			}
		}
		start := all.Len()
		if !appendText(&all, item) {
			return nil, false
		}
		ids = append(ids, EventID(all.String()[start:]))
	}
	return ids, true
}

// appendText adds the text of a canonical string value.
func appendText(b *strings.Builder, v []byte) bool {
	if len(v) < 2 || v[0] != '"' {
		return false
	}
	s := v[1 : len(v)-1]
	for _, c := range s {
		if c == '\\' {
			b.Write(appendUnescaped(nil, s))
			return true
		}
	}
	b.Write(s)
	return true
}

// typeText decodes an event type; the common ones cost no memory.
func typeText(v []byte) (string, bool) {
	switch string(v) {
	case `"m.room.message"`:
		return "m.room.message", true
	case `"m.room.encrypted"`:
		return "m.room.encrypted", true
	case `"m.room.member"`:
		return "m.room.member", true
	case `"m.reaction"`:
		return "m.reaction", true
	}
	return text(v)
}
