package clientapi_test

import (
	"strings"
	"testing"
)

func TestKeyChanges(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, device := s.register("bob")
		room := s.ok("POST", v3+"/createRoom", alice, `{"preset":"public_chat"}`).body["room_id"].(string)
		now := func() string {
			t.Helper()
			return s.ok("GET", v3+"/sync?timeout=0", alice, "").body["next_batch"].(string)
		}
		expect := func(what, from, changed, left string) {
			t.Helper()
			a := s.ok("GET", v3+"/keys/changes?from="+from+"&to="+now(), alice, "")
			if want := `{"changed":[` + changed + `],"left":[` + left + `]}`; a.raw != want {
				t.Errorf("%s: %s, want %s", what, a.raw, want)
			}
		}
		upload := func(algorithm string) {
			t.Helper()
			s.ok("POST", v3+"/keys/upload", bob, `{"device_keys":{"user_id":"@bob:hs1","device_id":"`+device+`","algorithms":["`+algorithm+`"],"keys":{}}}`)
		}
		before := now()
		upload("a")
		expect("a stranger's upload", before, "", "")
		s.ok("POST", v3+"/join/"+room, bob, `{}`)
		expect("somebody came", before, `"@bob:hs1"`, "")
		joined := now()
		expect("nothing", joined, "", "")
		upload("b")
		expect("a friend's upload", joined, `"@bob:hs1"`, "")
		uploaded := now()
		s.ok("POST", v3+"/rooms/"+room+"/leave", bob, `{}`)
		expect("somebody went", uploaded, "", `"@bob:hs1"`)
		left := now()
		upload("c")
		expect("a former friend's upload", left, "", "")
	})
}

func TestCrossSigningNeedsThePasswordOnlyToReplace(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token, _ := s.register("alice")
		master := func(key string) string {
			return `{"master_key":{"user_id":"@alice:hs1","usage":["master"],"keys":{"ed25519:` + key + `":"` + key + `"}}`
		}
		first, second := strings.Repeat("A", 43), strings.Repeat("A", 42)+"E"
		const path = "/_matrix/client/unstable/keys/device_signing/upload"
		s.ok("POST", path, token, master(first)+`}`)
		s.ok("POST", v3+"/keys/device_signing/upload", token, master(first)+`}`)
		if a := s.do("POST", path, token, master(second)+`}`); a.status != 401 || a.body["session"] == nil {
			t.Fatal(a.status, a.raw)
		}
		s.ok("POST", path, token, master(second)+`,"auth":{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"secret"}}`)
		if a := s.ok("POST", v3+"/keys/query", token, `{"device_keys":{"@alice:hs1":[]}}`); !strings.Contains(a.raw, second) || strings.Contains(a.raw, first) {
			t.Error(a.raw)
		}
	})
}
