package matrix

import "fmt"

// ParseTrusted reads an event that this server stored, in canonical form and without "unsigned". No hash or
// signature is looked at. The event keeps raw: the caller must not change it.
func (v *RoomVersion) ParseTrusted(id EventID, raw []byte) (*Event, error) {
	f, ok := scanFields(raw)
	if !ok || f.foreign {
		return v.parseLoose(id, raw)
	}
	return f.finish(v, id, raw)
}

// parseLoose serves trusted text that is not canonical: it is made so first.
func (v *RoomVersion) parseLoose(id EventID, raw []byte) (*Event, error) {
	clean, err := AppendCanonical(make([]byte, 0, len(raw)), raw, false)
	if err != nil {
		return nil, fmt.Errorf("parse stored event %s: %w", id, err)
	}
	f, ok := scanFields(clean)
	if f.foreign {
		clean = withoutForeign(clean)
		f, ok = scanFields(clean)
	}
	if !ok {
		return nil, fmt.Errorf("parse stored event %s: %w", id, BadJSON("An event must be a JSON object."))
	}
	return f.finish(v, id, clean)
}

// finish makes the event of scanned fields and the id they belong to.
func (f *eventFields) finish(v *RoomVersion, id EventID, raw []byte) (*Event, error) {
	e, bad := f.event(v)
	if e == nil {
		return nil, BadJSON("The event has no valid " + bad + ".")
	}
	e.JSON = raw
	e.setID(id)
	return e, nil
}

// setID names a new event and, if it is a create event that makes its room's id, that too.
func (e *Event) setID(id EventID) {
	e.ID = id
	if len(id) > 0 && e.Version.derivesRoomID(e) {
		e.RoomID = RoomID("!" + string(id[1:]))
	}
}

// derivesRoomID reports whether the event is a create event whose own hash is the room id. MSC4291
func (v *RoomVersion) derivesRoomID(e *Event) bool {
	return v.RoomIDIsCreateHash && e.Type == "m.room.create" && e.StateKeyEquals("")
}

// withoutForeign copies a canonical event without the keys that are no part of a PDU.
// Why: others strip them too before hashing, so a stray one must not change the hash.
func withoutForeign(event []byte) []byte {
	return withoutKeys(make([]byte, 0, len(event)), event, "unsigned", "age_ts", "outlier", "destinations")
}

// withoutKeys copies a canonical object without some keys.
func withoutKeys(dst, object []byte, drop ...string) []byte {
	dst = append(dst, '{')
	start := len(dst)
	m := membersOf(object)
next:
	for k, v, ok := m.next(); ok; k, v, ok = m.next() {
		for _, d := range drop {
			if string(k) == d {
				continue next
			}
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(append(append(append(dst, '"'), k...), '"', ':'), v...)
	}
	return append(dst, '}')
}
