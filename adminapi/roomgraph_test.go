package adminapi_test

import "testing"

func TestConditionOfRooms(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const rooms = "/_rempart/admin/v1/rooms/"
		alice, bob := s.register("alice"), s.register("bob")
		room := s.createRoom(alice, `{"preset":"public_chat"}`)
		s.join(bob, room)
		last := s.send(bob, room, "here")
		a := s.ok("GET", rooms+esc(room)+"/condition", "")
		first := func(list string) map[string]any {
			t.Helper()
			return a.body[list].([]any)[0].(map[string]any)
		}
		if a.at("joined") != 2.0 || a.at("forks") != 0.0 {
			t.Errorf("condition: %s", a.raw)
		}
		if f := first("servers"); f["server"] != "hs1" || f["members"] != 2.0 || f["ours"] != true {
			t.Errorf("servers: %v", f)
		}
		if f := first("heads"); f["event_id"] != last {
			t.Errorf("heads: %v", f)
		}
		s.is("POST", rooms+esc(room)+"/repair", `{"alone":true}`, "changed", []string{})
		s.recorded("room.repair")
		s.fails("POST", rooms+esc(room)+"/repair", `{"adopt":true}`, 400, "M_INVALID_PARAM")
		s.fails("GET", rooms+"!none:hs1/condition", "", 404, "M_NOT_FOUND")
		if a := s.do("GET", rooms+esc(room)+"/condition", alice, ""); a.status != 403 {
			t.Error("everybody may see the condition of rooms:", a.raw)
		}
	})
}
