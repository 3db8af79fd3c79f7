package adminapi_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestShadowBan(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, bob := s.register("alice"), s.register("bob")
		room := s.createRoom(alice, `{"preset":"public_chat"}`)
		s.join(bob, room)
		s.ok("POST", v1+"/users/@bob:hs1/override_ratelimit", `{"messages_per_second":0}`)
		first := s.send(bob, room, "before")
		sync := s.as(alice, "GET", v3+"/sync", "").body["next_batch"].(string)

		s.ok("POST", v1+"/users/@bob:hs1/shadow_ban", ``)
		s.recorded("user.shadow-ban")
		s.is("GET", v2+"/users/@bob:hs1", "", "shadow_banned", true)
		in := v3 + "/rooms/" + esc(room)
		hidden := s.send(bob, room, "hidden")
		s.as(bob, "PUT", in+"/state/m.room.member/@bob:hs1", `{"membership":"join","displayname":"Spam"}`)
		s.as(bob, "PUT", in+"/redact/"+esc(first)+"/r1", `{}`)
		s.as(bob, "PUT", in+"/typing/@bob:hs1", `{"typing":true,"timeout":30000}`)
		s.as(bob, "PUT", v3+"/sendToDevice/m.test/t1", `{"messages":{"@alice:hs1":{"*":{"x":1}}}}`)
		own := s.createRoom(bob, `{}`)
		s.as(bob, "POST", v3+"/rooms/"+esc(own)+"/invite", `{"user_id":"@alice:hs1"}`)
		// Why refused as everybody is: an answer that gives less away would tell him of his ban.
		if a := s.do("PUT", in+"/state/m.room.name/", bob, `{"name":"Spam"}`); a.at("errcode") != "M_FORBIDDEN" {
			t.Error(a.raw)
		}

		marker := s.send(alice, room, "marker")
		got := s.as(alice, "GET", v3+"/sync?since="+sync, "").raw
		if !strings.Contains(got, marker) || strings.Contains(got, "@bob:hs1") {
			t.Error("something of a shadow-banned user arrived:", got)
		}
		if a := s.do("GET", in+"/event/"+esc(hidden), bob, ""); a.status != http.StatusNotFound || !strings.HasPrefix(hidden, "$") {
			t.Error(hidden, a.raw)
		}
		if a := s.as(alice, "GET", in+"/event/"+esc(first), ""); a.at("content.body") != "before" {
			t.Error(a.raw)
		}

		s.ok("DELETE", v1+"/users/@bob:hs1/shadow_ban", ``)
		s.send(bob, room, "after")
		if got := s.as(alice, "GET", v3+"/sync?since="+sync, "").raw; !strings.Contains(got, `"after"`) {
			t.Error("nothing arrives after the ban was lifted:", got)
		}
		s.fails("POST", v1+"/users/@nobody:hs1/shadow_ban", ``, 404, "M_NOT_FOUND")
		s.fails("POST", v1+"/users/@bob:elsewhere/shadow_ban", ``, 400, "M_INVALID_PARAM")
	})
}

func TestOwnRateLimits(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice := s.register("alice")
		room := s.createRoom(alice, `{}`)
		const path = v1 + "/users/@alice:hs1/override_ratelimit"
		sent := 0
		until429 := func(most int) int {
			t.Helper()
			for n := range most {
				sent++
				a := s.do("PUT", v3+"/rooms/"+esc(room)+"/send/m.room.message/"+strings.Repeat("x", sent), alice, `{"msgtype":"m.text","body":"x"}`)
				if a.status == http.StatusTooManyRequests {
					return n
				}
			}
			return most
		}
		if n := until429(10); n != 3 {
			t.Errorf("%d messages with the usual limit of 3", n)
		}
		s.is("GET", path, "", "burst_count", nil)
		s.ok("POST", path, `{"messages_per_second":0,"burst_count":0}`)
		if n := until429(20); n != 20 {
			t.Errorf("%d messages without a limit", n)
		}
		s.is("GET", path, "", "messages_per_second", 0)
		s.fails("POST", path, `{"messages_per_second":-1}`, 400, "M_INVALID_PARAM")
		s.ok("POST", path, `{"messages_per_second":1,"burst_count":1}`)
		if n := until429(10); n > 3 {
			t.Errorf("%d messages with an own limit of 1", n)
		}
		s.is("GET", path, "", "burst_count", 1)
		s.ok("DELETE", path, `{}`)
		s.is("GET", path, "", "burst_count", nil)
		if n := until429(10); n != 0 {
			t.Errorf("%d messages with the usual limit used up", n)
		}
	})
}
