package federation

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// An invitation by the first version of the operation, as old servers hand over those into rooms of versions 1 and 2, reaches its
// user with what the room shows of itself, and comes back signed by his server; what is no proper one is refused.
// Spec: server-server-api/#put_matrixfederationv1inviteroomideventid
func TestAnInvitationOfTheFirstVersion(t *testing.T) {
	ca := fakenet.NewCA(t)
	s := live.Start(t, live.Options{CA: ca})
	f := &stranger{peer: newPeer(t, ca, nil), t: t, to: s}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = ca.Pool()
	t.Cleanup(transport.CloseIdleConnections)
	f.http = &http.Client{Transport: transport}
	bob, err := mx.Register(t.Context(), s.URL, "bob")
	mx.Must(t, err)

	hall := matrix.RoomID("!hall:" + string(f.name))
	build := func(sender, target, membership string, key matrix.SigningKey) *matrix.Event {
		v, _ := matrix.Version("1")
		e, err := v.Build(matrix.Proto{RoomID: hall, Sender: matrix.UserID(sender), Type: "m.room.member", StateKey: &target,
			Content: json.RawMessage(`{"membership":"` + membership + `"}`), Depth: 5, OriginServerTS: time.Now().UnixMilli()}, key)
		mx.Must(t, err)
		return e
	}
	ask := func(e *matrix.Event, id matrix.EventID) (int, []byte) {
		var body map[string]any
		mx.Must(t, json.Unmarshal(e.JSON, &body))
		body["unsigned"] = map[string]any{"invite_room_state": []any{map[string]any{"type": "m.room.name", "state_key": "",
			"sender": e.Sender, "content": map[string]any{"name": "The hall"}}}}
		raw, err := json.Marshal(body)
		mx.Must(t, err)
		return f.ask(http.MethodPut, "/_matrix/federation/v1/invite/"+url.PathEscape(string(hall))+"/"+url.PathEscape(string(id)), string(raw))
	}
	eve := "@eve:" + string(f.name)
	forged, err := matrix.GenerateSigningKey(f.name)
	mx.Must(t, err)
	forged.KeyID = f.key.KeyID
	good := build(eve, bob.UserID, "invite", f.key)
	for what, c := range map[string]struct {
		event *matrix.Event
		id    matrix.EventID
		code  int
		err   string
	}{
		"another event than the path names": {good, "$other:" + matrix.EventID(f.name), 400, "M_INVALID_PARAM"},
		"no invitation":                     {build(eve, bob.UserID, "join", f.key), "", 400, "M_INVALID_PARAM"},
		"another server's user invites":     {build("@eve:elsewhere.example", bob.UserID, "invite", f.key), "", 400, "M_INVALID_PARAM"},
		"of somebody who is not there":      {build(eve, "@nobody:"+s.Name, "invite", f.key), "", 403, "M_FORBIDDEN"},
		"of another server's user":          {build(eve, "@x:elsewhere.example", "invite", f.key), "", 400, "M_INVALID_PARAM"},
		"signed by somebody else":           {build(eve, bob.UserID, "invite", forged), "", 400, "M_INVALID_PARAM"},
	} {
		if c.id == "" {
			c.id = c.event.ID
		}
		status, answer := ask(c.event, c.id)
		var e struct {
			Code string `json:"errcode"`
		}
		_ = json.Unmarshal(answer, &e)
		if status != c.code || e.Code != c.err {
			t.Errorf("%s: %d %s", what, status, answer)
		}
	}
	invitedTo(t, bob, string(hall), false)

	status, answer := ask(good, good.ID)
	var pair []json.RawMessage
	var signed struct {
		Event struct {
			ID         matrix.EventID               `json:"event_id"`
			Signatures map[string]map[string]string `json:"signatures"`
		}
	}
	if status != 200 || json.Unmarshal(answer, &pair) != nil || len(pair) != 2 || string(pair[0]) != "200" || json.Unmarshal(pair[1], &signed) != nil {
		t.Fatalf("%d %s", status, answer)
	}
	if signed.Event.ID != good.ID || len(signed.Event.Signatures[s.Name]) == 0 || len(signed.Event.Signatures[string(f.name)]) == 0 {
		t.Errorf("the event that came back: %s", pair[1])
	}
	invitedTo(t, bob, string(hall), true)
	var whole struct {
		Rooms struct {
			Invite map[string]struct {
				State struct{ Events []mx.Event } `json:"invite_state"`
			}
		}
	}
	mx.Must(t, bob.Do(t.Context(), "GET", "/_matrix/client/v3/sync", nil, &whole))
	shown := ""
	for _, e := range whole.Rooms.Invite[string(hall)].State.Events {
		if e.Type == "m.room.name" {
			shown = string(e.Content)
		}
	}
	if shown != `{"name":"The hall"}` {
		t.Errorf("the room shows %q", shown)
	}
}
