package adminapi_test

import (
	"strings"
	"testing"

	"rempart/internal/testkit/pgtest"
	"rempart/storage/storagetest"
)

// An administrator of one organisation does nothing to the people of another one of the same installation, nor in their names, though both
// share a room.
func TestAdministratorsOfOthers(t *testing.T) {
	pgtest.EachFilled(t, storagetest.Migrate, func(t *testing.T, url string) {
		s := newInstallation(t, url, "hs1", "hs2")
		s.host = "hs2"
		bob := s.register("bob")
		shared, private := s.createRoom(bob, `{"preset":"public_chat"}`), s.createRoom(bob, `{}`)
		s.host = "hs1"
		alice := s.register("alice")
		s.join(alice, shared)
		said, secret := s.send(bob, shared, "in the shared room"), s.send(bob, private, "in another")

		id := s.ok("POST", v1+"/user/"+esc("@bob:hs2")+"/redact", `{"rooms":[]}`).body["redact_id"].(string)
		s.redacted(id)
		for room, event := range map[string]string{shared: said, private: secret} {
			if a := s.as(bob, "GET", v3+"/rooms/"+esc(room)+"/event/"+esc(event), ""); a.at("content.body") == nil {
				t.Errorf("what bob said is gone: %s", a.raw)
			}
		}
		s.fails("DELETE", v2+"/rooms/"+esc(shared), `{"purge":true}`, 403, "M_FORBIDDEN")
		s.fails("PUT", v1+"/rooms/"+esc(shared)+"/block", `{"block":true}`, 403, "M_FORBIDDEN")
		s.fails("POST", v1+"/purge_history/"+esc(shared)+"/"+esc(said), `{"delete_local_events":true}`, 403, "M_FORBIDDEN")
		s.fails("POST", v1+"/rooms/"+esc(shared)+"/make_room_admin", `{"user_id":"@alice:hs1"}`, 400, "M_UNKNOWN")
		levels := s.as(bob, "GET", v3+"/rooms/"+esc(shared)+"/state/m.room.power_levels", "")
		if strings.Contains(levels.raw, "@alice:hs1") {
			t.Errorf("alice was given power in bob's name: %s", levels.raw)
		}
		own := s.createRoom(alice, `{}`)
		s.ok("PUT", v1+"/rooms/"+esc(own)+"/block", `{"block":true}`)
		s.done(v2 + "/rooms/delete_status/" + s.ok("DELETE", v2+"/rooms/"+esc(own), `{"purge":true}`).body["delete_id"].(string))
	})
}

// redacted waits for the end of a task that redacts.
func (s *server) redacted(id string) {
	s.t.Helper()
	s.done(v1 + "/user/redact_status/" + id)
}
