package appservices

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

const v3 = "/_matrix/client/v3"

// fake is a service in the test's own process, over TCP, that does what the test says.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	taken  []json.RawMessage
	answer func(path string, q url.Values) (status int, body string)
}

func newFake(t *testing.T) *fake {
	f := &fake{answer: func(string, url.Values) (int, string) { return 404, `{"errcode":"M_NOT_FOUND"}` }}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+hsToken {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/_matrix/app/v1/transactions/") {
			var body json.RawMessage
			if json.NewDecoder(r.Body).Decode(&body) == nil {
				f.mu.Lock()
				f.taken = append(f.taken, body)
				f.mu.Unlock()
			}
			_, _ = w.Write([]byte("{}"))
			return
		}
		status, body := f.answer(strings.TrimPrefix(r.URL.Path, "/_matrix/app/v1"), r.URL.Query())
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(f.Close)
	return f
}

// part is everything that one list of all transactions so far held.
func (f *fake) part(name string) []map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []map[string]any
	for _, raw := range f.taken {
		var body map[string]json.RawMessage
		var list []map[string]any
		if json.Unmarshal(raw, &body) == nil && json.Unmarshal(body[name], &list) == nil {
			out = append(out, list...)
		}
	}
	return out
}

// object is the last value of a member of a transaction that is an object.
func (f *fake) object(name string) (out map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, raw := range f.taken {
		var body map[string]json.RawMessage
		var o map[string]any
		if json.Unmarshal(raw, &body) == nil && json.Unmarshal(body[name], &o) == nil && o != nil {
			out = o
		}
	}
	return out
}

// refused checks a refusal.
func refused(t *testing.T, err error, status int, code string) {
	t.Helper()
	var e *mx.Error
	if !errors.As(err, &e) || e.Status != status || e.Code != code {
		t.Errorf("want %d %s, got %v", status, code, err)
	}
}

func registerGhost(ctx context.Context, s *live.Server, name string) error {
	return as(ctx, s, "", "POST", v3+"/register", map[string]any{"type": "m.login.application_service", "username": name, "inhibit_login": true}, nil)
}

func TestNamespacesAndMasquerading(t *testing.T) { engines(t, namespacesAndMasquerading) }

func namespacesAndMasquerading(t *testing.T, o live.Options) {
	ctx := t.Context()
	f := newFake(t)
	s := live.Start(t, withService(t, o, f.URL, ""))
	alice, err := mx.Register(ctx, s.URL, "alice")
	mx.Must(t, err)

	// Names of the namespace are the service's alone, and it has no others.
	_, err = mx.Register(ctx, s.URL, "_bridge_bob")
	refused(t, err, 400, "M_EXCLUSIVE")
	_, err = mx.Register(ctx, s.URL, "_bridge_bot")
	refused(t, err, 400, "M_EXCLUSIVE")
	refused(t, alice.Do(ctx, "GET", v3+"/register/available?username=_bridge_bob", nil, nil), 400, "M_EXCLUSIVE")
	refused(t, registerGhost(ctx, s, "charlie"), 400, "M_EXCLUSIVE")
	refused(t, (&mx.Client{URL: s.URL}).Do(ctx, "POST", v3+"/register", map[string]any{"type": "m.login.application_service", "username": "_bridge_bob"}, nil), 401, "M_MISSING_TOKEN")
	refused(t, alice.Do(ctx, "POST", v3+"/register", map[string]any{"type": "m.login.application_service", "username": "_bridge_bob"}, nil), 401, "M_UNKNOWN_TOKEN")
	mx.Must(t, registerGhost(ctx, s, "_bridge_bob"))
	refused(t, registerGhost(ctx, s, "_bridge_bob"), 400, "M_USER_IN_USE")

	bob := "@_bridge_bob:localhost"
	var who struct {
		UserID   string `json:"user_id"`
		DeviceID string `json:"device_id"`
	}
	mx.Must(t, as(ctx, s, bob, "GET", v3+"/account/whoami", nil, &who))
	if who.UserID != bob || who.DeviceID != "" {
		t.Errorf("whoami: %+v", who)
	}
	mx.Must(t, as(ctx, s, "", "GET", v3+"/account/whoami", nil, &who))
	if who.UserID != "@_bridge_bot:localhost" {
		t.Errorf("whoami of the sender: %+v", who)
	}
	refused(t, as(ctx, s, alice.UserID, "GET", v3+"/account/whoami", nil, nil), 403, "M_FORBIDDEN")
	refused(t, as(ctx, s, "@_bridge_nobody:localhost", "GET", v3+"/account/whoami", nil, nil), 403, "M_FORBIDDEN")

	// Devices come and go without a password. Spec: application-service-api/#device-management
	refused(t, as(ctx, s, bob, "GET", v3+"/account/whoami?device_id=GHOST", nil, nil), 400, "M_UNKNOWN_DEVICE")
	mx.Must(t, as(ctx, s, bob, "PUT", v3+"/devices/GHOST", map[string]any{"display_name": "ghost"}, nil))
	mx.Must(t, as(ctx, s, bob, "GET", v3+"/account/whoami?device_id=GHOST", nil, &who))
	if who.UserID != bob || who.DeviceID != "GHOST" {
		t.Errorf("whoami on a device: %+v", who)
	}
	for _, key := range []string{strings.Repeat("A", 43), strings.Repeat("B", 42) + "A"} { // replaced without a password. Spec: application-service-api/#cross-signing
		mx.Must(t, as(ctx, s, bob, "POST", v3+"/keys/device_signing/upload?device_id=GHOST", map[string]any{"master_key": map[string]any{
			"user_id": bob, "usage": []string{"master"}, "keys": map[string]string{"ed25519:" + key: key}}}, nil))
	}
	mx.Must(t, as(ctx, s, bob, "DELETE", v3+"/devices/GHOST", map[string]any{}, nil))
	refused(t, as(ctx, s, bob, "GET", v3+"/account/whoami?device_id=GHOST", nil, nil), 400, "M_UNKNOWN_DEVICE")
	refused(t, alice.Do(ctx, "PUT", v3+"/devices/GHOST", map[string]any{}, nil), 404, "M_NOT_FOUND")

	// Logging in as one of its users.
	login := func(user string) (token string, err error) {
		var out struct {
			AccessToken string `json:"access_token"`
		}
		err = as(ctx, s, "", "POST", v3+"/login", map[string]any{"type": "m.login.application_service",
			"identifier": map[string]any{"type": "m.id.user", "user": user}}, &out)
		return out.AccessToken, err
	}
	token, err := login("_bridge_bob")
	mx.Must(t, err)
	mx.Must(t, (&mx.Client{URL: s.URL, Token: token}).Do(ctx, "GET", v3+"/account/whoami", nil, &who))
	if who.UserID != bob {
		t.Errorf("whoami after a log-in: %+v", who)
	}
	_, err = login("alice")
	refused(t, err, 400, "M_EXCLUSIVE")

	// Aliases of the namespace are the service's alone.
	_, err = alice.CreateRoom(ctx, map[string]any{"room_alias_name": "_bridge_room"})
	refused(t, err, 400, "M_EXCLUSIVE")
	id, err := alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	alias := v3 + "/directory/room/" + url.PathEscape("#_bridge_room:localhost")
	refused(t, alice.Do(ctx, "PUT", alias, map[string]any{"room_id": id}, nil), 400, "M_EXCLUSIVE")
	mx.Must(t, as(ctx, s, bob, "POST", v3+"/join/"+url.PathEscape(id), map[string]any{}, nil))
	mx.Must(t, as(ctx, s, bob, "PUT", alias, map[string]any{"room_id": id}, nil))
	refused(t, alice.Do(ctx, "DELETE", alias, nil, nil), 400, "M_EXCLUSIVE")
	refused(t, as(ctx, s, bob, "PUT", v3+"/directory/room/"+url.PathEscape("#other:localhost"), map[string]any{"room_id": id}, nil), 400, "M_EXCLUSIVE")

	massageTime(ctx, t, s, alice, bob, id)
}

// massageTime sends events in the past. Spec: application-service-api/#timestamp-massaging
func massageTime(ctx context.Context, t *testing.T, s *live.Server, alice *mx.Client, bob, id string) {
	t.Helper()
	send := v3 + "/rooms/" + url.PathEscape(id) + "/send/m.room.message/one?ts=1234567890"
	text := map[string]any{"msgtype": "m.text", "body": "long ago"}
	var first, again struct {
		EventID string `json:"event_id"`
	}
	mx.Must(t, as(ctx, s, bob, "PUT", send, text, &first))
	mx.Must(t, as(ctx, s, bob, "PUT", send, text, &again))
	if first != again {
		t.Errorf("a repeated transaction made another event: %v, %v", first, again)
	}
	var e struct {
		TS int64 `json:"origin_server_ts"`
	}
	event := v3 + "/rooms/" + url.PathEscape(id) + "/event/"
	mx.Must(t, alice.Do(ctx, "GET", event+url.PathEscape(first.EventID), nil, &e))
	if e.TS != 1234567890 {
		t.Errorf("origin_server_ts is %d", e.TS)
	}
	refused(t, as(ctx, s, bob, "PUT", strings.Replace(send, "one?ts=1234567890", "two?ts=yesterday", 1), text, nil), 400, "M_INVALID_PARAM")
	mx.Must(t, alice.Do(ctx, "PUT", strings.Replace(send, "one", "three", 1), text, &first))
	mx.Must(t, alice.Do(ctx, "GET", event+url.PathEscape(first.EventID), nil, &e))
	if e.TS == 1234567890 {
		t.Error("a user who is no application service set the time of an event")
	}
}

func TestQueriesAndLookUps(t *testing.T) { engines(t, queriesAndLookUps) }

func queriesAndLookUps(t *testing.T, o live.Options) {
	ctx := t.Context()
	f := newFake(t)
	s := live.Start(t, withService(t, o, f.URL, "protocols: [irc]\n"))
	alice, err := mx.Register(ctx, s.URL, "alice")
	mx.Must(t, err)
	f.answer = func(path string, q url.Values) (int, string) {
		switch path {
		case "/users/@_bridge_asked:localhost":
			if err := registerGhost(ctx, s, "_bridge_asked"); err != nil {
				return 500, err.Error()
			}
			return 200, "{}"
		case "/rooms/#_bridge_asked:localhost":
			if err := as(ctx, s, "", "POST", v3+"/createRoom", map[string]any{"preset": "public_chat", "room_alias_name": "_bridge_asked"}, nil); err != nil {
				return 500, err.Error()
			}
			return 200, "{}"
		case "/thirdparty/protocol/irc":
			return 200, `{"user_fields":["nick"],"location_fields":["channel"],"icon":"mxc://x/y","field_types":{},"instances":[{"network_id":"libera","desc":"Libera","fields":{}}]}`
		case "/thirdparty/location/irc":
			return 200, `[{"alias":"#_bridge_` + q.Get("channel") + `:localhost","protocol":"irc","fields":{}}]`
		case "/thirdparty/user":
			return 200, `[{"userid":"` + q.Get("userid") + `","protocol":"irc","fields":{"nick":"a"}}]`
		case "/thirdparty/user/irc":
			return 200, `[{"userid":"@_bridge_` + q.Get("nick") + `:localhost","protocol":"irc","fields":{"nick":"` + q.Get("nick") + `"}}]`
		case "/ping":
			return 200, "{}"
		}
		return 404, `{"errcode":"M_NOT_FOUND"}`
	}
	mx.Must(t, alice.Do(ctx, "GET", v3+"/profile/@_bridge_asked:localhost", nil, nil))
	refused(t, alice.Do(ctx, "GET", v3+"/profile/@_bridge_unknown:localhost", nil, nil), 404, "M_NOT_FOUND")
	mx.Must(t, alice.Join(ctx, "#_bridge_asked:localhost"))
	refused(t, alice.Join(ctx, "#_bridge_unknown:localhost"), 404, "M_NOT_FOUND")

	var protocols map[string]struct {
		Instances []struct {
			ID string `json:"instance_id"`
		}
	}
	mx.Must(t, alice.Do(ctx, "GET", v3+"/thirdparty/protocols", nil, &protocols))
	if i := protocols["irc"].Instances; len(i) != 1 || i[0].ID == "" {
		t.Fatalf("protocols: %+v", protocols)
	}
	refused(t, alice.Do(ctx, "GET", v3+"/thirdparty/protocol/xmpp", nil, nil), 404, "M_NOT_FOUND")
	var found []map[string]any
	mx.Must(t, alice.Do(ctx, "GET", v3+"/thirdparty/location/irc?channel=go", nil, &found))
	if len(found) != 1 || found[0]["alias"] != "#_bridge_go:localhost" {
		t.Errorf("locations: %v", found)
	}
	mx.Must(t, alice.Do(ctx, "GET", v3+"/thirdparty/user?userid="+url.QueryEscape(alice.UserID), nil, &found))
	if len(found) != 1 || found[0]["userid"] != alice.UserID {
		t.Errorf("users: %v", found)
	}
	mx.Must(t, alice.Do(ctx, "GET", v3+"/thirdparty/user/irc?nick=b", nil, &found))
	if len(found) != 1 || found[0]["userid"] != "@_bridge_b:localhost" {
		t.Errorf("users of a network: %v", found)
	}
	refused(t, alice.Do(ctx, "GET", v3+"/thirdparty/location?alias=%23x:localhost", nil, nil), 404, "M_NOT_FOUND")

	listNetwork(ctx, t, s, alice, protocols["irc"].Instances[0].ID)
	ping(ctx, t, s, f, alice)
}

// listNetwork lists a room on a network. Spec: application-service-api/#published-room-directories
func listNetwork(ctx context.Context, t *testing.T, s *live.Server, alice *mx.Client, instance string) {
	t.Helper()
	id := room(ctx, t, s, alice)
	list := v3 + "/directory/list/appservice/libera/" + url.PathEscape(id)
	refused(t, alice.Do(ctx, "PUT", list, map[string]any{"visibility": "public"}, nil), 403, "M_FORBIDDEN")
	mx.Must(t, as(ctx, s, "", "PUT", list, map[string]any{"visibility": "public"}, nil))
	rooms := func(q map[string]any) int {
		var page struct {
			Chunk []any `json:"chunk"`
		}
		mx.Must(t, alice.Do(ctx, "POST", v3+"/publicRooms", q, &page))
		return len(page.Chunk)
	}
	if n := rooms(map[string]any{"third_party_instance_id": instance}); n != 1 {
		t.Errorf("%d rooms on the network", n)
	}
	if ours, all := rooms(map[string]any{}), rooms(map[string]any{"include_all_networks": true}); all != ours+1 {
		t.Errorf("%d rooms of ours, %d of all", ours, all)
	}
	mx.Must(t, as(ctx, s, "", "PUT", list, map[string]any{"visibility": "private"}, nil))
	if n := rooms(map[string]any{"third_party_instance_id": instance}); n != 0 {
		t.Errorf("%d rooms on the network after it was taken out", n)
	}
}

// ping asks for signs of life. Spec: client-server-api/#post_matrixclientv1appserviceappserviceidping
func ping(ctx context.Context, t *testing.T, s *live.Server, f *fake, alice *mx.Client) {
	t.Helper()
	const path = "/_matrix/client/v1/appservice/bridge/ping"
	refused(t, alice.Do(ctx, "POST", path, map[string]any{}, nil), 403, "M_FORBIDDEN")
	mx.Must(t, as(ctx, s, "", "POST", path, map[string]any{"transaction_id": "x"}, nil))
	f.answer = func(string, url.Values) (int, string) { return 500, "broken" }
	refused(t, as(ctx, s, "", "POST", path, map[string]any{}, nil), 502, "M_BAD_STATUS")
	f.Close()
	refused(t, as(ctx, s, "", "POST", path, map[string]any{}, nil), 502, "M_CONNECTION_FAILED")
}
