package clientapi_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rempart/clientapi"
	"rempart/core/delayed"
	"rempart/core/devices"
	"rempart/core/push"
	"rempart/core/pushers"
	"rempart/core/reports"
	"rempart/core/rooms"
	"rempart/core/search"
	"rempart/core/sync"
	"rempart/core/threads"
	"rempart/core/users"
	"rempart/internal/bus"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// server is the whole client API on one database.
type server struct {
	t      testing.TB
	router *httpx.Router
	users  *users.Service
}

// signingKeys has a key for hs1.
type signingKeys struct{ key matrix.SigningKey }

func (k signingKeys) SigningKey(name matrix.ServerName) (matrix.SigningKey, bool) {
	return k.key, name == k.key.ServerName
}

func newServer(t testing.TB, url string) *server { return newServerWith(t, url, users.People{}) }

func newServerWith(t testing.TB, url string, people users.People) *server {
	t.Helper()
	events := bus.New[storage.Batch]()
	db := storagetest.Open(t, storage.Options{URL: url, Publish: events.Publish})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key := matrix.SigningKey{ServerName: "hs1", KeyID: "ed25519:a_test", Private: ed25519.NewKeyFromSeed(make([]byte, 32))}
	pushed, err := push.New(t.Context(), push.Options{DB: db, Bus: events})
	must(err)
	r, err := rooms.New(t.Context(), rooms.Options{DB: db, Bus: events, Keys: signingKeys{key}, Push: pushed})
	must(err)
	u, err := users.New(t.Context(), users.Options{
		DB: db, Bus: events, Servers: []matrix.ServerName{"hs1"}, Members: r, Argon2: users.Argon2{Time: 1, MemoryKiB: 8},
		Registration: users.Registration{Open: true, SharedSecret: "complement"}, People: people,
	})
	must(err)
	synced := sync.New(sync.Options{DB: db, Rooms: r, Push: pushed, Bus: events})
	later := delayed.New(t.Context(), delayed.Options{DB: db, Rooms: r})
	told := pushers.New(pushers.Options{DB: db, Bus: events, Rooms: r, Rules: pushed, Sync: synced})
	t.Cleanup(func() {
		told.Close()
		later.Close()
		synced.Close()
		if err := u.Close(); err != nil {
			t.Error(err)
		}
		r.Close()
	})
	router := httpx.New(httpx.Options{Auth: clientapi.Authenticator{Users: u}, TokenInQuery: true})
	clientapi.Register(router, clientapi.Deps{
		Users: u, Devices: devices.New(devices.Options{DB: db, Bus: events, Local: u.Local}), Rooms: r, Push: pushed, Pushers: told, Sync: synced, Search: search.New(db, r), Reports: reports.New(db, r, nil), Delayed: later, Threads: threads.New(db, r),
		BaseURL: "https://hs1",
	})
	return &server{t, router, u}
}

func each(t *testing.T, fn func(t *testing.T, s *server)) {
	t.Helper()
	pgtest.Each(t, func(t *testing.T, url string) { fn(t, newServer(t, url)) })
}

// answer is a response with its JSON.
type answer struct {
	status int
	raw    string
	body   map[string]any
}

func (s *server) do(method, path, token, body string) answer {
	s.t.Helper()
	req := httptest.NewRequestWithContext(s.t.Context(), method, path, bytes.NewReader([]byte(body)))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.router.ServeHTTP(w, req)
	a := answer{status: w.Code, raw: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &a.body)
	return a
}

// ok makes a request that must succeed.
func (s *server) ok(method, path, token, body string) answer {
	s.t.Helper()
	a := s.do(method, path, token, body)
	if a.status != http.StatusOK {
		s.t.Fatalf("%s %s: %d %s", method, path, a.status, a.raw)
	}
	return a
}

// fails makes a request that must be refused with that status and code.
func (s *server) fails(method, path, token, body string, status int, code string) answer {
	s.t.Helper()
	a := s.do(method, path, token, body)
	if got, _ := a.body["errcode"].(string); a.status != status || got != code {
		s.t.Errorf("%s %s: %d %s, want %d %s", method, path, a.status, a.raw, status, code)
	}
	return a
}

// register makes an account and returns its token and device.
func (s *server) register(name string) (token, device string) {
	s.t.Helper()
	a := s.ok("POST", "/_matrix/client/v3/register", "", `{"username":"`+name+`","password":"secret","auth":{"type":"m.login.dummy"}}`)
	return a.body["access_token"].(string), a.body["device_id"].(string)
}

const v3 = "/_matrix/client/v3"

func TestFirstContact(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		if a := s.ok("GET", "/_matrix/client/versions", "", ""); !strings.Contains(a.raw, `"v1.19"`) || !strings.Contains(a.raw, "unstable_features") {
			t.Error(a.raw)
		}
		if a := s.ok("GET", "/.well-known/matrix/client", "", ""); a.raw != `{"m.homeserver":{"base_url":"https://hs1"}}` {
			t.Error(a.raw)
		}
		if a := s.ok("GET", v3+"/login", "", ""); a.raw != `{"flows":[{"type":"m.login.password"},{"type":"m.login.token","get_login_token":true},{"type":"m.login.application_service"}]}` {
			t.Error(a.raw)
		}
		flows := s.do("POST", v3+"/register", "", `{}`)
		if flows.status != 401 || flows.body["session"] == nil || flows.body["errcode"] != nil || !strings.Contains(flows.raw, `"stages":["m.login.dummy"]`) {
			t.Error(flows.status, flows.raw)
		}
		s.fails("POST", v3+"/register?kind=guest", "", `{}`, 403, "M_FORBIDDEN")
		s.fails("POST", v3+"/register?kind=king", "", `{}`, 400, "M_INVALID_PARAM")
		s.fails("POST", v3+"/register", "", `{"username":"a b"}`, 400, "M_INVALID_USERNAME")
		s.fails("POST", v3+"/register", "", `{"username":1}`, 400, "M_BAD_JSON")
		token, device := s.register("alice")
		s.fails("GET", v3+"/register/available?username=alice", "", "", 400, "M_USER_IN_USE")
		if a := s.ok("GET", v3+"/account/whoami", token, ""); a.body["user_id"] != "@alice:hs1" || a.body["device_id"] != device {
			t.Error(a.raw)
		}
		s.ok("GET", "/_matrix/client/r0/account/whoami?access_token="+token, "", "")
		s.fails("GET", v3+"/account/whoami", "", "", 401, "M_MISSING_TOKEN")
		s.fails("GET", v3+"/account/whoami", "wrong", "", 401, "M_UNKNOWN_TOKEN")
		if a := s.ok("GET", v3+"/capabilities", token, ""); !strings.Contains(a.raw, `"m.room_versions":{"default":"12"`) {
			t.Error(a.raw)
		}
		a := s.ok("POST", v3+"/register", "", `{"username":"ghost","password":"x","inhibit_login":true,"auth":{"type":"m.login.dummy"}}`)
		if a.body["access_token"] != nil || a.body["device_id"] != nil {
			t.Error(a.raw)
		}
		for _, path := range []string{"/pushers", "/voip/turnServer", "/thirdparty/protocols", "/account/3pid"} {
			s.ok("GET", v3+path, token, "")
		}
	})
}

func TestLoginForms(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register("alice")
		for _, body := range []string{
			`{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"secret"}`,
			`{"type":"m.login.password","identifier":{"type":"m.id.user","user":"@alice:hs1"},"password":"secret","device_id":"X"}`,
			`{"type":"m.login.password","user":"alice","password":"secret"}`,
		} {
			s.ok("POST", v3+"/login", "", body)
		}
		s.fails("POST", v3+"/login", "", `{"type":"m.login.password","user":"alice","password":"x"}`, 403, "M_FORBIDDEN")
		s.fails("POST", v3+"/login", "", `{"type":"m.login.token","token":"x"}`, 403, "M_FORBIDDEN")
		s.fails("POST", v3+"/login", "", `{"type":"m.login.token"}`, 400, "M_MISSING_PARAM")
		s.fails("POST", v3+"/login", "", `{"type":"m.login.sso"}`, 400, "M_UNKNOWN")
		s.fails("POST", v3+"/login", "", `{"type":"m.login.password","medium":"email","address":"a@b","password":"x"}`, 403, "M_FORBIDDEN")
		s.fails("POST", v3+"/login", "", `{}`, 400, "M_MISSING_PARAM")
		s.fails("POST", v3+"/login", "", `nonsense`, 400, "M_NOT_JSON")
	})
}

func TestDevicesNeedThePassword(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token, device := s.register("alice")
		bob, _ := s.register("bob")
		second := s.ok("POST", v3+"/login", "", `{"type":"m.login.password","user":"alice","password":"secret","device_id":"X","initial_device_display_name":"phone"}`)
		s.ok("PUT", v3+"/devices/X", token, `{"display_name":"new phone"}`)
		if a := s.ok("GET", v3+"/devices/X", token, ""); a.body["display_name"] != "new phone" {
			t.Error(a.raw)
		}
		s.fails("GET", v3+"/devices/X", bob, "", 404, "M_NOT_FOUND")
		s.fails("PUT", v3+"/devices/NONE", token, `{}`, 404, "M_NOT_FOUND")
		asked := s.do("DELETE", v3+"/devices/X", token, "")
		if asked.status != 401 || asked.body["session"] == nil {
			t.Fatal(asked.raw)
		}
		auth := func(user, password string) string {
			return `{"auth":{"type":"m.login.password","identifier":{"type":"m.id.user","user":"` + user + `"},"password":"` + password + `"}}`
		}
		if a := s.fails("DELETE", v3+"/devices/X", token, auth("alice", "wrong"), 401, "M_FORBIDDEN"); a.body["flows"] == nil {
			t.Error(a.raw)
		}
		s.fails("DELETE", v3+"/devices/X", token, auth("bob", "secret"), 403, "M_FORBIDDEN")
		s.ok("DELETE", v3+"/devices/X", token, auth("alice", "secret"))
		s.fails("GET", v3+"/devices/X", token, "", 404, "M_NOT_FOUND")
		s.fails("GET", v3+"/account/whoami", second.body["access_token"].(string), "", 401, "M_UNKNOWN_TOKEN")
		if a := s.ok("GET", v3+"/devices", token, ""); len(a.body["devices"].([]any)) != 1 || !strings.Contains(a.raw, device) {
			t.Error(a.raw)
		}
		s.ok("POST", v3+"/logout", token, "")
		s.fails("GET", v3+"/devices", token, "", 401, "M_UNKNOWN_TOKEN")
	})
}

func TestRoomData(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token, _ := s.register("alice")
		bob, _ := s.register("bob")
		room := s.ok("POST", v3+"/createRoom", token, `{}`).body["room_id"].(string)
		own := v3 + "/user/@alice:hs1/rooms/" + room
		s.ok("PUT", own+"/account_data/x", token, `{"a":1}`)
		if a := s.ok("GET", own+"/account_data/x", token, ""); a.raw != `{"a":1}` {
			t.Error(a.raw)
		}
		s.fails("PUT", own+"/account_data/m.fully_read", token, `{}`, 405, "M_BAD_JSON")
		s.fails("PUT", own+"/account_data/x", bob, `{}`, 403, "M_FORBIDDEN")
		s.fails("PUT", v3+"/user/@bob:hs1/rooms/"+room+"/account_data/x", bob, `{}`, 403, "M_FORBIDDEN")
		s.fails("PUT", own+"/account_data/x", token, `[1]`, 400, "M_BAD_JSON")
		s.ok("PUT", own+"/tags/u.work", token, `{"order":0.5}`)
		if a := s.ok("GET", own+"/tags", token, ""); a.raw != `{"tags":{"u.work":{"order":0.5}}}` {
			t.Error(a.raw)
		}
		s.ok("DELETE", own+"/tags/u.work", token, "")
		id := s.ok("POST", v3+"/user/@alice:hs1/filter", token, `{"room":{"timeline":{"limit":3}}}`).body["filter_id"].(string)
		if a := s.ok("GET", v3+"/user/@alice:hs1/filter/"+id, token, ""); a.raw != `{"room":{"timeline":{"limit":3}}}` {
			t.Error(a.raw)
		}
	})
}

func TestProfileReachesRooms(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token, _ := s.register("alice")
		room := s.ok("POST", v3+"/createRoom", token, `{}`).body["room_id"].(string)
		s.ok("PUT", v3+"/profile/@alice:hs1/displayname", token, `{"displayname":"Alice"}`)
		if a := s.ok("GET", v3+"/profile/@alice:hs1", "", ""); a.raw != `{"displayname":"Alice"}` {
			t.Error(a.raw)
		}
		for { // the work goes on behind the answer; the test's own deadline ends it
			member := s.ok("GET", v3+"/rooms/"+room+"/state/m.room.member/@alice:hs1", token, "")
			if member.body["displayname"] == "Alice" {
				break
			}
		}
		s.fails("GET", v3+"/profile/@nobody:hs1", "", "", 404, "M_NOT_FOUND")
		s.fails("GET", v3+"/profile/@alice:hs1/avatar_url", "", "", 404, "M_NOT_FOUND")
		s.fails("PUT", v3+"/profile/@alice:hs1/displayname", token, `{"x":1}`, 400, "M_MISSING_PARAM")
		s.ok("DELETE", v3+"/profile/@alice:hs1/displayname", token, "")
	})
}

func TestKeyAnswers(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token, device := s.register("alice")
		a := s.ok("POST", v3+"/keys/upload", token, `{"one_time_keys":{"signed_curve25519:1":{"key":"k"}}}`)
		if a.raw != `{"one_time_key_counts":{"signed_curve25519":1}}` {
			t.Error(a.raw)
		}
		claim := `{"one_time_keys":{"@alice:hs1":{"` + device + `":"signed_curve25519"}}}`
		if a = s.ok("POST", v3+"/keys/claim", token, claim); a.raw != `{"one_time_keys":{"@alice:hs1":{"`+device+`":{"signed_curve25519:1":{"key":"k"}}}},"failures":{}}` {
			t.Error(a.raw)
		}
		if a = s.ok("POST", v3+"/keys/claim", token, claim); a.raw != `{"one_time_keys":{},"failures":{}}` {
			t.Error(a.raw)
		}
		if a = s.ok("POST", v3+"/keys/query", token, `{"device_keys":{"@alice:hs1":[]}}`); a.raw != `{"device_keys":{"@alice:hs1":{}},"failures":{}}` {
			t.Error(a.raw)
		}
		s.fails("POST", v3+"/keys/query", token, `{"device_keys":{"@alice:hs1":{"X":1}}}`, 400, "M_BAD_JSON")
		s.fails("GET", v3+"/keys/changes?from=x&to=y", token, "", 400, "M_INVALID_PARAM")
		s.ok("PUT", v3+"/sendToDevice/m.x/t%2F1", token, `{"messages":{"@alice:hs1":{"*":{}}}}`)
		s.fails("PUT", v3+"/sendToDevice/m.x/t2", token, `{}`, 400, "M_MISSING_PARAM")
		s.fails("GET", v3+"/room_keys/version", token, "", 404, "M_NOT_FOUND")
		s.ok("POST", "/_matrix/client/unstable/keys/signatures/upload", token, `{}`)
	})
}
