package clientapi_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// holds fails unless an answer's JSON contains a piece.
func (a answer) holds(t *testing.T, piece string) {
	t.Helper()
	if !strings.Contains(a.raw, piece) {
		t.Errorf("%s is missing in %s", piece, a.raw)
	}
}

// A key backup from its making to its end. Spec: client-server-api/#server-side-key-backups
func TestKeyBackupOverHTTP(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		const base = v3 + "/room_keys"
		s.fails("GET", base+"/version", alice, "", 404, "M_NOT_FOUND")
		const about = `{"algorithm":"m.megolm_backup.v1.curve25519-aes-sha2","auth_data":{"public_key":"abc","signatures":{}}}`
		version := s.ok("POST", base+"/version", alice, about).body["version"].(string)
		s.ok("GET", base+"/version", alice, "").holds(t, `"version":"`+version+`"`)
		s.ok("GET", base+"/version/"+version, alice, "").holds(t, "abc")
		s.ok("PUT", base+"/version/"+version, alice, strings.Replace(about, "abc", "def", 1))
		s.ok("GET", base+"/version/"+version, alice, "").holds(t, "def")
		q := "?version=" + version
		const key = `{"first_message_index":1,"forwarded_count":0,"is_verified":true,"session_data":{"ciphertext":"x"}}`
		s.ok("PUT", base+"/keys/!r:hs1/one"+q, alice, key).holds(t, `"count":1`)
		s.ok("PUT", base+"/keys/!r:hs1"+q, alice, `{"sessions":{"two":`+key+`}}`).holds(t, `"count":2`)
		s.ok("PUT", base+"/keys"+q, alice, `{"rooms":{"!q:hs1":{"sessions":{"three":`+key+`}}}}`).holds(t, `"count":3`)
		s.ok("GET", base+"/keys/!r:hs1/one"+q, alice, "").holds(t, "ciphertext")
		s.ok("GET", base+"/keys/!r:hs1"+q, alice, "").holds(t, `"two"`)
		s.ok("GET", base+"/keys"+q, alice, "").holds(t, `"three"`)
		s.ok("DELETE", base+"/keys/!r:hs1/one"+q, alice, "").holds(t, `"count":2`)
		s.ok("DELETE", base+"/keys/!r:hs1"+q, alice, "").holds(t, `"count":1`)
		s.ok("DELETE", base+"/keys"+q, alice, "").holds(t, `"count":0`)
		s.ok("DELETE", base+"/version/"+version, alice, "")
		s.fails("GET", base+"/version", alice, "", 404, "M_NOT_FOUND")
	})
}

// A rule of one's own from its making to its end. Spec: client-server-api/#push-rules-api
func TestPushRulesOverHTTP(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		const base = v3 + "/pushrules"
		rule := base + "/global/content/tea"
		s.ok("PUT", rule, alice, `{"pattern":"tea","actions":["notify"]}`)
		s.ok("GET", rule, alice, "").holds(t, `"pattern":"tea"`)
		s.ok("GET", base+"/", alice, "").holds(t, `"tea"`)
		s.ok("GET", base+"/global/", alice, "").holds(t, `"tea"`)
		s.ok("PUT", rule+"/enabled", alice, `{"enabled":false}`)
		s.ok("GET", rule+"/enabled", alice, "").holds(t, `"enabled":false`)
		s.ok("PUT", rule+"/actions", alice, `{"actions":[]}`)
		s.ok("GET", rule+"/actions", alice, "").holds(t, `"actions":[]`)
		s.ok("DELETE", rule, alice, "")
		s.fails("GET", rule, alice, "", 404, "M_NOT_FOUND")
	})
}

// Coming, going, and what is known of those who do. Spec: client-server-api/#room-membership
func TestEverydayInARoom(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		room := s.openRoom(alice, `{"initial_state":[{"type":"m.room.join_rules","content":{"join_rule":"knock"}}]}`)
		path := v3 + "/rooms/" + url.PathEscape(room)
		s.ok("POST", v3+"/knock/"+url.PathEscape(room), bob, `{"reason":"please"}`).holds(t, room)
		s.ok("GET", path+"/members?membership=knock", alice, "").holds(t, "@bob:hs1")
		s.ok("POST", path+"/invite", alice, `{"user_id":"@bob:hs1"}`)
		s.ok("POST", path+"/join", bob, `{}`)
		s.ok("GET", v3+"/joined_rooms", bob, "").holds(t, room)
		s.ok("GET", path+"/joined_members", alice, "").holds(t, "@bob:hs1")
		s.ok("GET", path+"/state", bob, "").holds(t, `"join_rule":"knock"`)
		id := s.says(alice, room, body("hello"))
		s.ok("POST", path+"/receipt/m.read/"+url.PathEscape(id), bob, `{}`)
		s.ok("POST", path+"/read_markers", bob, fmt.Sprintf(`{"m.fully_read":%q}`, id))
		s.ok("GET", v3+"/user/@bob:hs1/rooms/"+url.PathEscape(room)+"/account_data/m.fully_read", bob, "").holds(t, id)
		s.ok("PUT", path+"/typing/@bob:hs1", bob, `{"typing":true,"timeout":30000}`)
		s.ok("GET", v3+"/sync", alice, "").holds(t, `"user_ids":["@bob:hs1"]`)
		s.ok("GET", "/_matrix/client/v1/rooms/"+url.PathEscape(room)+"/timestamp_to_event?dir=f&ts=1", alice, "").holds(t, "event_id")
		s.ok("PUT", v3+"/directory/room/%23here:hs1", alice, fmt.Sprintf(`{"room_id":%q}`, room))
		s.ok("GET", path+"/aliases", alice, "").holds(t, "#here:hs1")
		s.ok("PUT", v3+"/directory/list/room/"+url.PathEscape(room), alice, `{"visibility":"public"}`)
		s.ok("GET", v3+"/publicRooms", bob, "").holds(t, room)
		s.ok("POST", v3+"/publicRooms", bob, `{}`).holds(t, room)
		s.ok("DELETE", v3+"/directory/room/%23here:hs1", alice, "")
		s.ok("POST", path+"/ban", alice, `{"user_id":"@bob:hs1"}`)
		s.fails("POST", path+"/join", bob, `{}`, 403, "M_FORBIDDEN")
		s.ok("POST", path+"/unban", alice, `{"user_id":"@bob:hs1"}`)
		s.ok("POST", path+"/forget", bob, `{}`)
		if a := s.ok("GET", v3+"/joined_rooms", bob, ""); strings.Contains(a.raw, room) {
			t.Errorf("still in the room: %s", a.raw)
		}
	})
}

// Who somebody is, and whether he is here. Spec: client-server-api/#profiles
func TestEverydayOfAnAccount(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		s.ok("GET", v3+"/register/available?username=carol", "", "").holds(t, "true")
		s.fails("GET", v3+"/register/available?username=alice", "", "", 400, "M_USER_IN_USE")
		s.ok("PUT", v3+"/profile/@alice:hs1/displayname", alice, `{"displayname":"Alice"}`)
		s.ok("GET", v3+"/profile/@alice:hs1/displayname", alice, "").holds(t, "Alice")
		s.ok("PUT", v3+"/presence/@alice:hs1/status", alice, `{"presence":"unavailable","status_msg":"tea"}`)
		s.ok("GET", v3+"/presence/@alice:hs1/status", alice, "").holds(t, "tea")
		s.ok("PUT", v3+"/user/@alice:hs1/account_data/x", alice, `{"a":1}`)
		s.ok("GET", v3+"/user/@alice:hs1/account_data/x", alice, "").holds(t, `"a":1`)
		two := s.ok("POST", v3+"/register", "", `{"username":"dave","password":"long enough words","refresh_token":true,"auth":{"type":"m.login.dummy"}}`)
		next := s.ok("POST", v3+"/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, two.body["refresh_token"]))
		s.ok("GET", v3+"/account/whoami", next.body["access_token"].(string), "").holds(t, "@dave:hs1")
	})
}
