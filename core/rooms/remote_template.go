package rooms

import (
	"encoding/base64"
	"encoding/json"
	"strconv"

	"rempart/internal/matrix"
)

// template is a membership event as another server proposes it. Only what places it in the graph is taken over.
// Spec: server-server-api/#get_matrixfederationv1make_joinroomiduserid
type template struct {
	RoomID     matrix.RoomID     `json:"room_id"`
	Sender     matrix.UserID     `json:"sender"`
	StateKey   *string           `json:"state_key"`
	Type       string            `json:"type"`
	Depth      json.RawMessage   `json:"depth"`
	PrevEvents []json.RawMessage `json:"prev_events"`
	AuthEvents []json.RawMessage `json:"auth_events"`
	Content    struct {
		Membership    string        `json:"membership"`
		AuthorisedVia matrix.UserID `json:"join_authorised_via_users_server"`
	} `json:"content"`
}

// readTemplate reads a proposal and refuses one that is about something else than what was asked for.
func readTemplate(raw json.RawMessage, room matrix.RoomID, user matrix.UserID, membership string) (*template, error) {
	var t template
	if err := matrix.Decode(raw, &t); err != nil {
		return nil, matrix.BadJSON("The other server's proposal is not understood.").Wrap(err)
	}
	ok := t.RoomID == room && t.Sender == user && t.StateKey != nil && *t.StateKey == string(user) &&
		t.Type == "m.room.member" && t.Content.Membership == membership
	if !ok || len(t.PrevEvents) > maxPrev || len(t.AuthEvents) > 10 {
		return nil, matrix.Forbidden("The other server proposed an event that was not asked for.")
	}
	return &t, nil
}

// build makes the event of the proposal, with our own content.
func (t *template) build(v *matrix.RoomVersion, content json.RawMessage, now int64, key matrix.SigningKey) (*matrix.Event, error) {
	depth, err := strconv.ParseInt(string(t.Depth), 10, 64)
	if err != nil || depth < 0 {
		depth = 1
	}
	p := matrix.Proto{RoomID: t.RoomID, Sender: t.Sender, Type: t.Type, StateKey: t.StateKey, Content: content, Depth: depth,
		OriginServerTS: now}
	hashes := map[matrix.EventID][]byte{}
	if p.PrevEvents, err = readRefs(v, t.PrevEvents, hashes); err != nil {
		return nil, err
	}
	if p.AuthEvents, err = readRefs(v, t.AuthEvents, hashes); err != nil {
		return nil, err
	}
	p.RefHash = func(id matrix.EventID) []byte { return hashes[id] }
	return v.Build(p, key)
}

// readRefs reads references to events; room versions 1 and 2 put a hash beside each. Spec: rooms/v1/#event-format
func readRefs(v *matrix.RoomVersion, raws []json.RawMessage, hashes map[matrix.EventID][]byte) ([]matrix.EventID, error) {
	out := make([]matrix.EventID, 0, len(raws))
	for _, raw := range raws {
		var id matrix.EventID
		var err error
		if v.RefsWithHashes() {
			var hash struct {
				SHA256 string `json:"sha256"`
			}
			if err = matrix.Decode(raw, &[]any{&id, &hash}); err == nil {
				hashes[id], err = base64.RawStdEncoding.DecodeString(hash.SHA256)
			}
		} else {
			err = matrix.Decode(raw, &id)
		}
		if err != nil || len(id) < 2 || id[0] != '$' {
			return nil, matrix.BadJSON("The other server's proposal refers to no events.").Wrap(err)
		}
		out = append(out, id)
	}
	return out, nil
}
