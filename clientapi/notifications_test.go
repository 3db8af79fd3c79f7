package clientapi_test

import (
	"fmt"
	"net/url"
	"testing"
)

// A user pages through what he was told of, newest first, and sees what he has read.
func TestNotifications(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		one, two := s.openRoom(alice, `{"preset":"public_chat"}`), s.openRoom(alice, `{"preset":"public_chat"}`)
		s.says(alice, one, body("before he came"))
		for _, room := range []string{one, two} {
			s.ok("POST", v3+"/join/"+url.PathEscape(room), bob, `{}`)
		}
		var want []string
		for i := range 5 {
			want = append([]string{s.says(alice, []string{one, two}[i%2], body(fmt.Sprint(i)))}, want...)
		}
		s.says(bob, one, body("his own")) // reads the room up to here
		s.says(alice, two, `{"msgtype":"m.notice","body":"quiet"}`)
		hey := s.says(alice, two, `{"msgtype":"m.text","body":"hey","m.mentions":{"user_ids":["@bob:hs1"]}}`)
		want = append([]string{hey}, want...)
		var got []string
		from := ""
		for pages := 1; ; pages++ {
			a := s.ok("GET", v3+"/notifications?limit=4"+from, bob, "")
			for _, n := range a.body["notifications"].([]any) {
				m := n.(map[string]any)
				got = append(got, m["event"].(map[string]any)["event_id"].(string))
				if read := m["room_id"] == one; m["read"] != read {
					t.Errorf("read: %v in %v", m["read"], m["room_id"])
				}
			}
			next, more := a.body["next_token"].(string)
			if !more {
				if pages != 2 {
					t.Errorf("%d pages", pages)
				}
				break
			}
			from = "&from=" + next
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("told of\n%v, want\n%v", got, want)
		}
		a := s.ok("GET", v3+"/notifications?only=highlight", bob, "")
		if list := a.body["notifications"].([]any); len(list) != 1 || list[0].(map[string]any)["event"].(map[string]any)["event_id"] != hey {
			t.Errorf("highlights: %s", a.raw)
		}
		s.fails("GET", v3+"/notifications?from=x", bob, "", 400, "M_INVALID_PARAM")
	})
}

// The newest come first over all rooms, whichever of them was written in last, and pages of any size tell the same.
func TestNotificationsOfManyRooms(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		var rooms []string
		for range 6 {
			room := s.openRoom(alice, `{"preset":"public_chat"}`)
			s.ok("POST", v3+"/join/"+url.PathEscape(room), bob, `{}`)
			rooms = append(rooms, room)
		}
		var want []string
		for i := range 24 {
			want = append([]string{s.says(alice, rooms[i*i%5], body(fmt.Sprint(i)))}, want...)
			if i%6 == 5 { // the room with the last event is one that tells him nothing
				s.says(bob, rooms[i%5], body("his own"))
				s.says(alice, rooms[5], `{"msgtype":"m.notice","body":"quiet"}`)
			}
		}
		for _, limit := range []int{1, 2, 5, 23, 24, 50} {
			var got []string
			from := ""
			for {
				a := s.ok("GET", fmt.Sprintf("%s/notifications?limit=%d%s", v3, limit, from), bob, "")
				for _, n := range a.body["notifications"].([]any) {
					got = append(got, n.(map[string]any)["event"].(map[string]any)["event_id"].(string))
				}
				next, more := a.body["next_token"].(string)
				if !more {
					break
				}
				from = "&from=" + next
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("in pages of %d told of\n%v, want\n%v", limit, got, want)
			}
		}
	})
}
