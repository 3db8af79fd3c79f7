package clientapi_test

import (
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzBodies sends any body to any route that takes one: the answer is JSON and never our own fault.
func FuzzBodies(f *testing.F) {
	s := newServer(f, filepath.Join(f.TempDir(), "fuzz.db"))
	token, device := s.register("alice")
	room := s.ok("POST", v3+"/createRoom", token, `{"preset":"public_chat"}`).body["room_id"].(string)
	event := s.ok("PUT", v3+"/rooms/"+room+"/send/m.room.message/1", token, `{"body":"x","msgtype":"m.text"}`).body["event_id"].(string)
	vars := strings.NewReplacer("{roomID}", url.PathEscape(room), "{roomIDOrAlias}", url.PathEscape(room), "{eventID}", url.PathEscape(event),
		"{userID}", "@alice:hs1", "{deviceID}", device, "{eventType}", "m.room.message", "{roomAlias}", "%23x:hs1", "{version}", "1")
	type target struct{ method, path string }
	var targets []target
	for _, r := range s.router.Routes() {
		if r.Method == "GET" || r.Alias || strings.Contains(r.Pattern, "logout") || strings.HasPrefix(r.Pattern, "/_rempart/account/") {
			continue
		}
		path := vars.Replace(r.Pattern)
		for strings.Contains(path, "{") { // variables of any other name
			from, to := strings.Index(path, "{"), strings.Index(path, "}")
			path = path[:from] + "x" + path[to+1:]
		}
		targets = append(targets, target{r.Method, path})
	}
	seeds := []string{
		``, `{}`, `[]`, `null`, `{"a":`, `{"auth":{"type":"m.login.dummy"},"username":"u","password":"p"}`, `{"auth":[]}`, `{"auth":{"session":"x"}}`,
		`{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"p","device_id":"\u0000"}`,
		`{"one_time_keys":{"a:b":{"key":"\u0000"}},"fallback_keys":{"a:b":"x"},"device_keys":{"user_id":"@alice:hs1","device_id":"` + device + `","keys":{},"algorithms":[]}}`,
		`{"one_time_keys":{"@alice:hs1":{"` + device + `":"a"}}}`, `{"device_keys":{"@alice:hs1":[],"":null,"@x":["\u0000"]}}`,
		`{"messages":{"@alice:hs1":{"*":{"a":"\u0000"}},"":{"":{}}}}`, `{"master_key":{"user_id":"@alice:hs1","usage":["master"],"keys":{"ed25519:x":"x"}}}`,
		`{"@alice:hs1":{"` + device + `":{"signatures":{"@alice:hs1":{"ed25519:x":"!"}}}}}`, `{"displayname":"\u0000","x":1e400}`, `{"x":{"deep":[[[[]]]]}}`,
		`{"algorithm":"a","auth_data":{},"version":"1"}`, `{"rooms":{"!a:b":{"sessions":{"s":{"first_message_index":1e99,"forwarded_count":0,"is_verified":true,"session_data":{}}}}}}`,
		`{"room":{"timeline":{"limit":9223372036854775808}}}`, `{"search_term":"%\u0000","limit":-1}`, `{"devices":["x","\u0000"],"auth":null}`,
	}
	for i := range targets {
		for _, body := range seeds {
			f.Add(uint(i), body)
		}
	}
	f.Fuzz(func(t *testing.T, which uint, body string) {
		to := targets[which%uint(len(targets))]
		a := (&server{t, s.router, s.users}).do(to.method, to.path+"?version=1&kind=user", token, body)
		page := strings.HasSuffix(to.path, "/fallback/web") && strings.HasPrefix(a.raw, "<!DOCTYPE html>") // for people
		if a.status >= 500 || !page && !json.Valid([]byte(a.raw)) {
			t.Errorf("%s %s with %q: %d %s", to.method, to.path, body, a.status, a.raw)
		}
	})
}
