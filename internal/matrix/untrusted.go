package matrix

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"unicode/utf8"
)

const (
	// MaxEventSize bounds an event in canonical form, signatures included. Spec: client-server-api/#size-limits
	MaxEventSize = 65536
	// maxUntrustedSize bounds the text before it is made canonical: room for white space and escapes.
	maxUntrustedSize = 6 * MaxEventSize
	// maxPrevEvents and maxAuthEvents bound the references. Spec: server-server-api/#pdus
	maxPrevEvents = 20
	maxAuthEvents = 10
)

// ParseUntrusted reads an event as a peer sent it: JSON by the version's strictness, sizes, event format and
// content hash, whose mismatch leaves the redacted copy. The id is computed (versions 1, 2: read). Signatures are
// not checked here, see VerifySignature. Spec: server-server-api/#checks-performed-on-receipt-of-a-pdu
func (v *RoomVersion) ParseUntrusted(raw []byte) (*Event, error) {
	if len(raw) > maxUntrustedSize {
		return nil, TooLarge("The event is larger than 65536 bytes.")
	}
	clean, err := AppendCanonical(make([]byte, 0, len(raw)), raw, v.StrictCanonicalJSON)
	if err != nil {
		return nil, err
	}
	f, ok := scanFields(clean)
	if f.foreign {
		clean = withoutForeign(clean)
		f, ok = scanFields(clean)
	}
	if !ok {
		return nil, BadJSON("An event must be a JSON object.")
	}
	if len(clean) > MaxEventSize {
		return nil, TooLarge("The event is larger than 65536 bytes.")
	}
	return v.fromPeer(&f, clean)
}

func (v *RoomVersion) fromPeer(f *eventFields, clean []byte) (*Event, error) {
	e, err := f.finish(v, "", clean)
	if err != nil {
		return nil, err
	}
	if err := v.checkFormat(e, f); err != nil {
		return nil, err
	}
	scratch := make([]byte, 0, len(clean))
	intact := contentHashMatches(scratch, clean, f.hashes)
	scratch = appendRedacted(scratch[:0], clean, v.RedactionAlgorithm, e.Type, false)
	id := v.hashID(sha256.Sum256(scratch))
	if v.EventIDFormat == EventIDDomain {
		text, _ := text(f.eventID)
		id = EventID(text)
	}
	if !intact {
		clean = appendRedacted(make([]byte, 0, len(clean)), clean, v.RedactionAlgorithm, e.Type, true)
		return v.ParseTrusted(id, clean)
	}
	e.setID(id)
	return e, nil
}

// checkFormat checks what the version's event format asks of each field. Spec: server-server-api/#pdus
func (v *RoomVersion) checkFormat(e *Event, f *eventFields) error {
	if err := v.checkPeerSizes(e.Type, e.StateKey); err != nil {
		return err
	}
	if !validDomainID(string(e.Sender), '@') {
		return BadJSON("The event has no valid sender.")
	}
	if err := v.checkRoomID(e, f); err != nil {
		return err
	}
	if v.EventIDFormat == EventIDDomain {
		if id, ok := text(f.eventID); !ok || !validDomainID(id, '$') {
			return BadJSON("The event has no valid event_id.")
		}
	}
	if e.Depth < 0 { // the upper bound is that of the JSON integers the version allows
		return BadJSON("The event has no valid depth.")
	}
	if len(e.PrevEvents) > maxPrevEvents || len(e.AuthEvents) > maxAuthEvents {
		return BadJSON("The event has too many prev_events or auth_events.")
	}
	if !validRefs(e.PrevEvents) || !validRefs(e.AuthEvents) {
		return BadJSON("The event refers to something that is not an event id.")
	}
	if !isObject(f.hashes) || !validSignatures(f.signatures) {
		return BadJSON("The event has no valid hashes or signatures.")
	}
	return nil
}

// checkPeerSizes is checkSizes for events of others. Decided: the specification says bytes for all room versions, and so what
// is built here is held to bytes in every version; what comes from elsewhere is held to bytes from version 11 on, and to
// 255 characters (at most 1020 bytes) before.
// Why: servers that are widespread counted characters up to version 10, so that rooms of these versions hold such events. Who
// refuses one loses all that follows it, which the conformance suite asks not to happen (version 10, a key of 70 characters
// and 280 bytes). Spec: client-server-api/#size-limits
func (v *RoomVersion) checkPeerSizes(typ string, stateKey *string) error {
	if v.ImplicitRoomCreator {
		return checkSizes(typ, stateKey)
	}
	if utf8.RuneCountInString(typ) > MaxIDLength || stateKey != nil && utf8.RuneCountInString(*stateKey) > MaxIDLength {
		return TooLarge("The event type or the state key is longer than 255 characters.")
	}
	return nil
}

// checkRoomID checks presence and form of room_id. Spec: rooms/v12/#event-format
func (v *RoomVersion) checkRoomID(e *Event, f *eventFields) error {
	switch {
	case v.derivesRoomID(e):
		if f.roomID != nil {
			return BadJSON("A create event of this room version must have no room_id.")
		}
	case v.RoomIDIsCreateHash:
		if !validHashID(string(e.RoomID), '!') {
			return BadJSON("The event has no valid room_id.")
		}
	case !validDomainID(string(e.RoomID), '!'):
		return BadJSON("The event has no valid room_id.")
	}
	return nil
}

func validRefs(ids []EventID) bool {
	for _, id := range ids {
		if len(id) < 2 || len(id) > MaxIDLength || id[0] != '$' {
			return false
		}
	}
	return true
}

// validSignatures checks the shape {server: {key id: text}}.
func validSignatures(raw []byte) bool {
	servers := membersOf(raw)
	for _, keys, ok := servers.next(); ok; _, keys, ok = servers.next() {
		m := membersOf(keys)
		for _, sig, ok := m.next(); ok; _, sig, ok = m.next() {
			if sig[0] != '"' {
				return false
			}
		}
		if m.bad {
			return false
		}
	}
	return !servers.bad
}

// contentHashMatches compares hashes.sha256 with the hash of the event; scratch is room to work in.
// Spec: server-server-api/#calculating-the-content-hash-for-an-event
func contentHashMatches(scratch, event, hashes []byte) bool {
	claimed, ok := text(find(hashes, "sha256"))
	if !ok {
		return false
	}
	want, err := decodeBase64(claimed)
	if err != nil {
		return false
	}
	covered := withoutKeys(scratch[:0], event, "hashes", "signatures", "unsigned")
	got := sha256.Sum256(covered)
	return bytes.Equal(want, got[:])
}

// decodeBase64 accepts padding or none. Spec: appendices/#unpadded-base64
func decodeBase64(s string) ([]byte, error) {
	for len(s) > 0 && s[len(s)-1] == '=' {
		s = s[:len(s)-1]
	}
	return base64.RawStdEncoding.DecodeString(s)
}

// hashID makes an event id of a reference hash; empty for versions whose ids are no hashes.
func (v *RoomVersion) hashID(hash [sha256.Size]byte) EventID {
	var room [1 + 43]byte
	room[0] = '$'
	switch v.EventIDFormat {
	case EventIDBase64:
		base64.RawStdEncoding.Encode(room[1:], hash[:])
	case EventIDURLSafe:
		base64.RawURLEncoding.Encode(room[1:], hash[:])
	default:
		return ""
	}
	return EventID(room[:])
}
