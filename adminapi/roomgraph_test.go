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
		for member, want := range map[string]any{"joined": 2.0, "servers.0.server": "hs1", "servers.0.members": 2.0, "servers.0.ours": true,
			"heads.0.event_id": last, "forks": 0.0} {
			if got := a.at(member); got != want {
				t.Errorf("%s is %v, want %v", member, got, want)
			}
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
