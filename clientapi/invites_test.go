package clientapi_test

import (
	"net/url"
	"strings"
	"testing"
)

// Who may invite a user is his own word: refused invitations say so, ignored ones are made and not shown.
func TestInvitePermission(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		data := v3 + "/user/@bob:hs1/account_data/"
		room := s.openRoom(alice, `{}`)
		invite := v3 + "/rooms/" + url.PathEscape(room) + "/invite"
		for _, c := range []struct {
			typ, rules      string
			refused, hidden bool
		}{
			{"m.invite_permission_config", `{"default_action":"block"}`, true, true},
			{"m.invite_permission_config", `{"default_action":"allow"}`, false, false},
			{"org.matrix.msc4380.invite_permission_config", `{"default_action":"block"}`, true, true},
			{"org.matrix.msc4155.invite_permission_config", `{"blocked_users":["@ali?e:*"]}`, true, true},
			{"org.matrix.msc4155.invite_permission_config", `{"ignored_servers":["hs1"]}`, false, true},
			{"org.matrix.msc4155.invite_permission_config", `{"allowed_users":["@alice:hs1"],"blocked_servers":["*"]}`, false, false},
			{"org.matrix.msc4155.invite_permission_config", `{"enabled":false,"blocked_servers":["*"]}`, false, false},
			{"org.matrix.msc4155.invite_permission_config", `{"blocked_users":null}`, false, false},
			{"org.matrix.msc4155.invite_permission_config", `{"blocked_users":[1]}`, false, false},
		} {
			s.ok("PUT", data+c.typ, bob, c.rules)
			if c.refused {
				s.fails("POST", invite, alice, `{"user_id":"@bob:hs1"}`, 403, "M_INVITE_BLOCKED")
				s.fails("POST", v3+"/createRoom", alice, `{"invite":["@bob:hs1"]}`, 403, "M_INVITE_BLOCKED")
				s.fails("PUT", v3+"/rooms/"+url.PathEscape(room)+"/state/m.room.member/@bob:hs1", alice, `{"membership":"invite"}`, 403, "M_INVITE_BLOCKED")
			} else {
				s.ok("POST", invite, alice, `{"user_id":"@bob:hs1"}`)
				shown := s.ok("GET", v3+"/sync", bob, "").body["rooms"] != nil
				if shown == c.hidden {
					t.Errorf("%s: the invitation is shown: %v", c.rules, shown)
				}
				s.ok("POST", v3+"/rooms/"+url.PathEscape(room)+"/kick", alice, `{"user_id":"@bob:hs1"}`)
			}
			s.ok("PUT", data+c.typ, bob, `{}`)
		}
		// What was there before is hidden too.
		s.ok("POST", invite, alice, `{"user_id":"@bob:hs1"}`)
		s.ok("PUT", data+"m.invite_permission_config", bob, `{"default_action":"block"}`)
		if a := s.ok("GET", v3+"/sync", bob, ""); a.body["rooms"] != nil {
			t.Errorf("an invitation from before is shown: %s", a.raw)
		}
	})
}

// Deleted account data is told once as {}, and is not there any more.
func TestAccountDataIsDeleted(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		room := s.openRoom(alice, `{}`)
		const stable, unstable = v3 + "/user/@alice:hs1", "/_matrix/client/unstable/org.matrix.msc3391/user/@alice:hs1"
		for _, at := range []string{"/account_data/x", "/rooms/" + url.PathEscape(room) + "/account_data/x"} {
			for _, how := range []func(){
				func() { s.ok("DELETE", unstable+at, alice, "") },
				func() { s.ok("PUT", stable+at, alice, `{ }`) },
			} {
				s.ok("PUT", stable+at, alice, `{"a":1}`)
				since := s.ok("GET", v3+"/sync", alice, "").body["next_batch"].(string)
				how()
				s.fails("GET", stable+at, alice, "", 404, "M_NOT_FOUND")
				if a := s.ok("GET", v3+"/sync?since="+since, alice, ""); !strings.Contains(a.raw, `{"type":"x","content":{}}`) {
					t.Errorf("the deletion is not told: %s", a.raw)
				}
				if a := s.ok("GET", v3+"/sync", alice, ""); strings.Contains(a.raw, `"type":"x"`) {
					t.Errorf("a first sync tells it: %s", a.raw)
				}
			}
		}
		s.fails("DELETE", unstable+"/account_data/m.push_rules", alice, "", 405, "M_BAD_JSON")
	})
}
