package clientapi_test

import (
	"strings"
	"testing"
)

func TestAggregationsLeaveOutWhomOneIgnores(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		carol, _ := s.register("carol")
		room := s.ok("POST", v3+"/createRoom", alice, `{"preset":"public_chat"}`).body["room_id"].(string)
		s.ok("POST", v3+"/join/"+room, bob, `{}`)
		s.ok("POST", v3+"/join/"+room, carol, `{}`)
		say := func(token, txn, content string) string {
			return s.ok("PUT", v3+"/rooms/"+room+"/send/m.room.message/"+txn, token, content).body["event_id"].(string)
		}
		root := say(bob, "1", `{"msgtype":"m.text","body":"root"}`)
		inThread := func(text string) string {
			return `{"msgtype":"m.text","body":"` + text + `","m.relates_to":{"rel_type":"m.thread","event_id":"` + root + `"}}`
		}
		say(carol, "2", inThread("from carol"))
		say(bob, "3", inThread("from bob"))
		say(bob, "4", inThread("more from bob"))
		if a := s.ok("GET", v3+"/rooms/"+room+"/event/"+root, alice, ""); !strings.Contains(a.raw, `"count":3`) || !strings.Contains(a.raw, "more from bob") {
			t.Error(a.raw)
		}
		s.ok("PUT", v3+"/user/@alice:hs1/account_data/m.ignored_user_list", alice, `{"ignored_users":{"@bob:hs1":{}}}`)
		a := s.ok("GET", v3+"/rooms/"+room+"/event/"+root, alice, "")
		if !strings.Contains(a.raw, `"count":1`) || !strings.Contains(a.raw, "from carol") || strings.Contains(a.raw, "from bob") {
			t.Error(a.raw)
		}
		if a := s.ok("GET", "/_matrix/client/v1/rooms/"+room+"/threads", alice, ""); strings.Contains(a.raw, `"root"`) || !strings.Contains(a.raw, root) {
			t.Errorf("the root of an ignored user: %s", a.raw)
		}
		if a := s.ok("GET", "/_matrix/client/v1/rooms/"+room+"/threads", carol, ""); !strings.Contains(a.raw, `"root"`) {
			t.Error(a.raw)
		}
	})
}

func TestWhatErasedUsersSaidIsNotShownToNewcomers(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		room := s.ok("POST", v3+"/createRoom", bob, `{"preset":"public_chat","power_level_content_override":{"events":{"m.room.topic":0}}}`).body["room_id"].(string)
		s.ok("POST", v3+"/join/"+room, alice, `{}`)
		root := s.ok("PUT", v3+"/rooms/"+room+"/send/m.room.message/1", bob, `{"msgtype":"m.text","body":"root"}`).body["event_id"].(string)
		s.ok("PUT", v3+"/rooms/"+room+"/send/m.room.message/2", alice,
			`{"msgtype":"m.text","body":"her secret","m.relates_to":{"rel_type":"m.thread","event_id":"`+root+`"}}`)
		s.ok("PUT", v3+"/rooms/"+room+"/state/m.room.topic", alice, `{"topic":"her topic"}`)
		topic := s.ok("PUT", v3+"/rooms/"+room+"/state/m.room.topic", bob, `{"topic":"his topic"}`).body["event_id"].(string)
		s.ok("POST", v3+"/account/deactivate", alice,
			`{"erase":true,"auth":{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"secret"}}`)
		carol, _ := s.register("carol")
		s.ok("POST", v3+"/join/"+room, carol, `{}`)
		for _, path := range []string{
			"/_matrix/client/v1/rooms/" + room + "/relations/" + root, "/_matrix/client/v1/rooms/" + room + "/relations/" + root + "?recurse=true",
			v3 + "/rooms/" + room + "/event/" + root, v3 + "/rooms/" + room + "/event/" + topic, v3 + "/rooms/" + room + "/messages?dir=b",
		} {
			if a := s.ok("GET", path, carol, ""); strings.Contains(a.raw, "her ") {
				t.Errorf("%s shows a newcomer %s", path, a.raw)
			}
			if a := s.ok("GET", path, bob, ""); !strings.Contains(a.raw, "her ") {
				t.Errorf("%s shows who was there %s", path, a.raw)
			}
		}
	})
}
