package matrix

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// Proto is a local event before it is hashed and signed.
type Proto struct {
	RoomID         RoomID // left out of the event for a v12 create event
	Sender         UserID
	Type           string
	StateKey       *string
	Content        json.RawMessage // any JSON object; it is made canonical
	PrevEvents     []EventID
	AuthEvents     []EventID
	Depth          int64
	OriginServerTS int64   // milliseconds
	Redacts        EventID // target of a redaction; goes where the room version keeps it
	Sticky         int64   // milliseconds for which the event sticks; 0: not at all. MSC4354
	// RefHash gives the reference hash of an event named in PrevEvents or AuthEvents; used by room versions 1
	// and 2 only, may be nil.
	RefHash func(EventID) []byte
}

// Build writes, hashes and signs an event. It works on one buffer in which hash and signature have their places
// kept free, so nothing is decoded or sorted but the content.
// Spec: server-server-api/#adding-hashes-and-signatures-to-outgoing-events
func (v *RoomVersion) Build(p Proto, key SigningKey) (*Event, error) {
	if err := v.checkProto(&p, key); err != nil {
		return nil, err
	}
	w := writer{b: make([]byte, 0, v.sizeHint(&p, key))}
	if err := w.write(v, &p, key); err != nil {
		return nil, err
	}
	if len(w.b) > MaxEventSize {
		return nil, TooLarge("The event is larger than 65536 bytes.")
	}
	id := v.hashID(w.seal(v, &p, key))
	if v.EventIDFormat == EventIDDomain {
		id = w.eventID
	}
	e := &Event{
		RoomID: p.RoomID, Sender: p.Sender, Type: p.Type, StateKey: p.StateKey,
		Depth: p.Depth, OriginServerTS: p.OriginServerTS, PrevEvents: p.PrevEvents, AuthEvents: p.AuthEvents,
		Content: w.content(), JSON: w.b, Version: v, Sticky: p.Sticky,
	}
	e.setID(id)
	if p.Type == "m.room.redaction" {
		e.Redacts = p.Redacts
		if v.RedactsInContent {
			e.Redacts = redactsOf(e.Content)
		}
	}
	return e, nil
}

func (v *RoomVersion) checkProto(p *Proto, key SigningKey) error {
	if err := checkSizes(p.Type, p.StateKey); err != nil {
		return err
	}
	if len(p.Sender) > MaxIDLength || len(p.RoomID) > MaxIDLength {
		return TooLarge("A user id or room id is longer than 255 bytes.")
	}
	if !utf8.ValidString(p.Type) || p.StateKey != nil && !utf8.ValidString(*p.StateKey) {
		return BadJSON("The event type or state key is not valid UTF-8.")
	}
	if len(key.Private) == 0 || key.KeyID == "" || key.ServerName == "" {
		return Unknown("Internal server error.").Wrap(errNoKey)
	}
	if p.Depth < 0 || p.OriginServerTS < 0 || p.OriginServerTS > maxSafeInteger {
		return BadJSON("The event has no valid depth or time.")
	}
	p.Depth = min(p.Depth, v.MaxDepth())
	return nil
}

// checkSizes holds type and state key to 255 bytes. Spec: client-server-api/#size-limits
func checkSizes(typ string, stateKey *string) error {
	if len(typ) > MaxIDLength {
		return TooLarge("The event type is longer than 255 bytes.")
	}
	if stateKey != nil && len(*stateKey) > MaxIDLength {
		return TooLarge("The state key is longer than 255 bytes.")
	}
	return nil
}

// What an event holds beside what its author said: names of members, hash, signature, numbers; and beside the id of each
// event that it refers to.
const (
	frameSize = 344
	refSize   = len(`"",`)
	pairSize  = len(`["",{"sha256":""}],`) + 43
)

// sizeHint is about as long as the event will be. Why closely: events are kept in memory as they were built.
func (v *RoomVersion) sizeHint(p *Proto, key SigningKey) int {
	n := frameSize + len(p.Content) + len(key.ServerName) + len(key.KeyID) + len(p.Type) + len(p.RoomID) + len(p.Sender) + 2*len(p.Redacts)
	if p.StateKey != nil {
		n += len(*p.StateKey)
	}
	if p.Sticky > 0 {
		n += len(`"msc4354_sticky":{"duration_ms":3600000},`)
	}
	if v.EventIDFormat == EventIDDomain {
		n += len(`,"event_id":"$:"`) + 26 + len(key.ServerName)
	}
	ref := refSize
	if v.RefsWithHashes() {
		ref = pairSize
	}
	for _, ids := range [][]EventID{p.PrevEvents, p.AuthEvents} {
		for _, id := range ids {
			n += len(id) + ref
		}
	}
	return n
}

// writer holds an event being written and where its parts lie.
type writer struct {
	b                        []byte
	eventID                  EventID
	contentStart, contentEnd int
	hashStart, hashEnd       int // the member "hashes" with its comma
	hashAt                   int
	stickyStart, stickyEnd   int // the member "msc4354_sticky" with its comma; equal when absent
	redactsStart, redactsEnd int // the member "redacts" with its comma; equal when absent
	sigStart, sigEnd         int // the member "signatures" with its comma
	sigAt                    int
}

func (w *writer) content() json.RawMessage { return w.b[w.contentStart:w.contentEnd:w.contentEnd] }

// write puts all members in canonical order; "type" is always there and last, so every other ends in a comma.
func (w *writer) write(v *RoomVersion, p *Proto, key SigningKey) (err error) {
	w.refs(v, `{"auth_events":`, p.AuthEvents, p.RefHash)
	w.b = append(w.b, `,"content":`...)
	w.contentStart = len(w.b)
	if w.b, err = AppendCanonical(w.b, p.Content, v.StrictCanonicalJSON); err != nil {
		return err
	}
	if w.b[w.contentStart] != '{' {
		return BadJSON("The content of an event must be a JSON object.")
	}
	if v.RedactsInContent && p.Redacts != "" {
		content := setMember(w.b[w.contentStart:], []byte(`"redacts"`), AppendJSONString(nil, p.Redacts))
		if w.b, err = AppendCanonical(w.b[:w.contentStart], content, true); err != nil {
			return err
		}
	}
	w.contentEnd = len(w.b)
	w.b = strconv.AppendInt(append(w.b, `,"depth":`...), p.Depth, 10)
	if v.EventIDFormat == EventIDDomain {
		w.eventID = EventID("$" + rand.Text() + ":" + string(key.ServerName))
		w.b = AppendJSONString(append(w.b, `,"event_id":`...), w.eventID)
	}
	w.hole()
	w.sticky(p)
	w.b = strconv.AppendInt(append(w.b, `"origin_server_ts":`...), p.OriginServerTS, 10)
	w.refs(v, `,"prev_events":`, p.PrevEvents, p.RefHash)
	w.b = append(w.b, ',')
	w.redacts(p)
	if create := v.RoomIDIsCreateHash && p.Type == "m.room.create" && p.StateKey != nil && *p.StateKey == ""; !create {
		w.b = AppendJSONString(append(w.b, `"room_id":`...), p.RoomID)
		w.b = append(w.b, ',')
	}
	w.b = AppendJSONString(append(w.b, `"sender":`...), p.Sender)
	w.b = append(w.b, ',')
	w.signature(key)
	if p.StateKey != nil {
		w.b = AppendJSONString(append(w.b, `"state_key":`...), *p.StateKey)
		w.b = append(w.b, ',')
	}
	w.b = AppendJSONString(append(w.b, `"type":`...), p.Type)
	w.b = append(w.b, '}')
	return nil
}

// hole leaves the place of the content hash.
func (w *writer) hole() {
	w.b = append(w.b, ',')
	w.hashStart = len(w.b)
	w.b = append(w.b, `"hashes":{"sha256":"`...)
	w.hashAt = len(w.b)
	w.b = append(append(w.b, blank[:43]...), `"},`...)
	w.hashEnd = len(w.b)
}

// sticky writes for how long the event sticks. Redaction takes it away.
func (w *writer) sticky(p *Proto) {
	w.stickyStart = len(w.b)
	if p.Sticky > 0 {
		w.b = append(strconv.AppendInt(append(w.b, `"msc4354_sticky":{"duration_ms":`...), p.Sticky, 10), `},`...)
	}
	w.stickyEnd = len(w.b)
}

// redacts writes what is redacted. Why also from version 11 on, where it stands in the content: Dendrite looks for it here in all versions, and
// would go on showing what was taken back. Nobody else minds; redaction takes it away.
func (w *writer) redacts(p *Proto) {
	w.redactsStart = len(w.b)
	if p.Redacts != "" {
		w.b = AppendJSONString(append(w.b, `"redacts":`...), p.Redacts)
		w.b = append(w.b, ',')
	}
	w.redactsEnd = len(w.b)
}

// signature leaves the place of the signature.
func (w *writer) signature(key SigningKey) {
	w.sigStart = len(w.b)
	w.b = AppendJSONString(append(w.b, `"signatures":{`...), key.ServerName)
	w.b = AppendJSONString(append(w.b, `:{`...), key.KeyID)
	w.b = append(w.b, `:"`...)
	w.sigAt = len(w.b)
	w.b = append(append(w.b, blank...), `"}},`...)
	w.sigEnd = len(w.b)
}

// refs writes event references: plain ids, or pairs with hashes. Spec: rooms/v1/#event-format
func (w *writer) refs(v *RoomVersion, head string, ids []EventID, hash func(EventID) []byte) {
	w.b = append(append(w.b, head...), '[')
	for i, id := range ids {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		if !v.RefsWithHashes() {
			w.b = AppendJSONString(w.b, id)
			continue
		}
		w.b = append(AppendJSONString(append(w.b, '['), id), `,{`...)
		if hash != nil {
			w.b = append(w.b, `"sha256":"`...)
			w.b = append(base64.RawStdEncoding.AppendEncode(w.b, hash(id)), '"')
		}
		w.b = append(w.b, `}]`...)
	}
	w.b = append(w.b, ']')
}
