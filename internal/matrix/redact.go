package matrix

import "encoding/json"

// Redacted is the event after the redaction algorithm of its room version: same id, same signatures.
// An event that redaction does not change is returned as it is. Spec: client-server-api/#redactions
func (e *Event) Redacted() (*Event, error) {
	raw := appendRedacted(make([]byte, 0, len(e.JSON)), e.JSON, e.Version.RedactionAlgorithm, e.Type, true)
	if len(raw) == len(e.JSON) {
		return e, nil
	}
	return e.Version.ParseTrusted(e.ID, raw)
}

// RedactContent is the content that redaction leaves of an event of this type. content must be canonical.
func (v *RoomVersion) RedactContent(typ string, content json.RawMessage) json.RawMessage {
	return appendRedactedContent(make([]byte, 0, len(content)), v.RedactionAlgorithm, typ, content)
}

// appendRedacted writes the redacted form of a canonical event. Without signatures it is what is signed and
// what the reference hash covers.
func appendRedacted(dst, event []byte, alg RedactionAlgorithm, typ string, signatures bool) []byte {
	dst = append(dst, '{')
	start := len(dst)
	m := membersOf(event)
	for k, v, ok := m.next(); ok; k, v, ok = m.next() {
		if !keptKey(alg, k) || !signatures && string(k) == "signatures" {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), k...), '"', ':')
		if string(k) == "content" {
			dst = appendRedactedContent(dst, alg, typ, v)
		} else {
			dst = append(dst, v...)
		}
	}
	return append(dst, '}')
}

// keptKey lists the top-level keys that survive. Spec: rooms/v1/#redactions, rooms/v11/#redactions
func keptKey(alg RedactionAlgorithm, key []byte) bool {
	switch string(key) {
	case "event_id", "type", "room_id", "sender", "state_key", "content", "hashes", "signatures",
		"depth", "prev_events", "auth_events", "origin_server_ts":
		return true
	case "prev_state", "origin", "membership":
		return alg < RedactionV11
	}
	return false
}

// appendRedactedContent writes the content's surviving keys in their order.
func appendRedactedContent(dst []byte, alg RedactionAlgorithm, typ string, content []byte) []byte {
	keep := contentKeeper(alg, typ)
	if typ == "m.room.create" && alg >= RedactionV11 && isObject(content) {
		return append(dst, content...)
	}
	dst = append(dst, '{')
	if keep == nil {
		return append(dst, '}')
	}
	start := len(dst)
	m := membersOf(content)
	for k, v, ok := m.next(); ok; k, v, ok = m.next() {
		invite := alg >= RedactionV11 && typ == "m.room.member" && string(k) == "third_party_invite" && isObject(v)
		if !invite && !keep(alg, k) {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), k...), '"', ':')
		if invite {
			dst = appendSignedOnly(dst, v)
		} else {
			dst = append(dst, v...)
		}
	}
	return append(dst, '}')
}

// appendSignedOnly writes third_party_invite with nothing but its "signed" key. Spec: rooms/v11/#redactions
func appendSignedOnly(dst, invite []byte) []byte {
	dst = append(dst, '{')
	if signed := find(invite, "signed"); signed != nil {
		dst = append(append(dst, `"signed":`...), signed...)
	}
	return append(dst, '}')
}

// contentKeeper chooses the rule for an event type; nil: nothing survives.
func contentKeeper(alg RedactionAlgorithm, typ string) func(RedactionAlgorithm, []byte) bool {
	switch typ {
	case "m.room.member":
		return keptMember
	case "m.room.create":
		return keptCreate
	case "m.room.join_rules":
		return keptJoinRules
	case "m.room.power_levels":
		return keptPowerLevels
	case "m.room.history_visibility":
		return keptVisibility
	case "m.room.aliases":
		if alg < RedactionV6 {
			return keptAliases
		}
	case "m.room.redaction":
		if alg >= RedactionV11 {
			return keptRedacts
		}
	}
	return nil
}

func keptMember(alg RedactionAlgorithm, key []byte) bool {
	switch string(key) {
	case "membership":
		return true
	case "join_authorised_via_users_server":
		return alg >= RedactionV9
	}
	return false
}

func keptCreate(_ RedactionAlgorithm, key []byte) bool { return string(key) == "creator" }

func keptJoinRules(alg RedactionAlgorithm, key []byte) bool {
	return string(key) == "join_rule" || alg >= RedactionV8 && string(key) == "allow"
}

func keptPowerLevels(alg RedactionAlgorithm, key []byte) bool {
	switch string(key) {
	case "ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default":
		return true
	case "invite":
		return alg >= RedactionV11
	}
	return false
}

func keptVisibility(_ RedactionAlgorithm, key []byte) bool {
	return string(key) == "history_visibility"
}

func keptAliases(_ RedactionAlgorithm, key []byte) bool { return string(key) == "aliases" }

func keptRedacts(_ RedactionAlgorithm, key []byte) bool { return string(key) == "redacts" }
