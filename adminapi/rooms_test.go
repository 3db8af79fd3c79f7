package adminapi_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestListOfRooms(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, bob := s.register("alice"), s.register("bob")
		red := s.createRoom(alice, `{"name":"Redoubt","preset":"public_chat","visibility":"public","topic":"About red","room_alias_name":"rot"}`)
		blue := s.createRoom(alice, `{"name":"blue","creation_content":{"type":"m.space","m.federate":false}}`)
		void := s.createRoom(bob, `{}`)
		s.join(bob, red)
		s.as(bob, "POST", v3+"/rooms/"+esc(void)+"/leave", `{}`)
		names := map[string]string{red: "red", blue: "blue", void: "void"}
		list := func(path string) string {
			t.Helper()
			var out []string
			for _, r := range s.ok("GET", path, "").body["rooms"].([]any) {
				out = append(out, names[r.(map[string]any)["room_id"].(string)])
			}
			return strings.Join(out, " ")
		}
		for query, want := range map[string]string{
			"": "blue red void", "?dir=b": "void red blue", "?order_by=joined_members": "red blue void", "?order_by=size&dir=b": "void blue red",
			"?search_term=REDOUBT": "red", "?search_term=%23rot": "red", "?search_term=" + void[1:9]: "void", "?public_rooms=true": "red",
			"?empty_rooms=true": "void", "?empty_rooms=false": "blue red", "?from=1&limit=1": "red", "?order_by=canonical_alias&limit=1": "red",
		} {
			if got := list(v1 + "/rooms" + query); got != want {
				t.Errorf("%q: %q, want %q", query, got, want)
			}
		}
		for _, order := range []string{"joined_local_members", "version", "creator", "encryption", "federatable", "public", "join_rules",
			"guest_access", "history_visibility", "state_events", "room_type", "alphabetical"} {
			s.is("GET", v1+"/rooms?order_by="+order, "", "total_rooms", 3)
		}
		s.is("GET", v1+"/rooms?limit=1", "", "next_batch", 1)
		s.is("GET", v1+"/rooms?limit=2&from=2", "", "prev_batch", 0)
		s.fails("GET", v1+"/rooms?order_by=colour", "", 400, "M_INVALID_PARAM")
		s.fails("GET", v1+"/rooms?search_term=", "", 400, "M_INVALID_PARAM")
		one := s.ok("GET", v1+"/rooms/"+esc(red), "")
		for member, want := range map[string]any{"name": "Redoubt", "topic": "About red", "canonical_alias": "#rot:hs1", "joined_members": 2.0,
			"joined_local_members": 2.0, "joined_local_devices": 2.0, "creator": "@alice:hs1", "join_rules": "public", "public": true,
			"federatable": true, "encryption": nil, "forgotten": false, "tombstoned": false, "replacement_room": nil} {
			if got := one.at(member); got != want {
				t.Errorf("%s is %v, want %v", member, got, want)
			}
		}
		s.is("GET", v1+"/rooms/"+esc(blue), "", "room_type", "m.space")
		s.is("GET", v1+"/rooms/"+esc(blue), "", "federatable", false)
		s.is("GET", v1+"/rooms/"+esc(red)+"/members", "", "members", []string{"@alice:hs1", "@bob:hs1"})
		s.fails("GET", v1+"/rooms/!none:hs1", "", 404, "M_NOT_FOUND")
		s.is("GET", v1+"/rooms/"+esc(red)+"/forward_extremities", "", "count", 1)
		s.is("DELETE", v1+"/rooms/"+esc(red)+"/forward_extremities", "", "deleted", 0)
		s.is("GET", v1+"/rooms/"+esc(blue)+"/hierarchy", "", "rooms", s.ok("GET", v1+"/rooms/"+esc(blue)+"/hierarchy", "").at("rooms"))
	})
}

// A list is kept between requests, and follows what happens in rooms meanwhile.
func TestListOfRoomsFollows(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, bob := s.register("alice"), s.register("bob")
		room := s.createRoom(alice, `{"name":"Old name","preset":"public_chat"}`)
		other := s.createRoom(alice, `{"name":"Middle","preset":"public_chat"}`)
		first := func(query string) map[string]any {
			t.Helper()
			list := s.ok("GET", v1+"/rooms"+query, "").body["rooms"].([]any)
			if len(list) == 0 {
				return map[string]any{}
			}
			return list[0].(map[string]any)
		}
		is := func(query, id string, joined float64) {
			t.Helper()
			got := first(query)
			if got["room_id"] != id || got["joined_members"] != joined || got["joined_local_members"] != joined {
				t.Errorf("%q begins with %v, want %s with %v members", query, got, id, joined)
			}
		}
		is("?order_by=name", other, 1)
		s.join(bob, room)
		is("?order_by=size", room, 2)
		name := s.as(alice, "PUT", v3+"/rooms/"+esc(room)+"/state/m.room.name", `{"name":"A new one"}`).at("event_id").(string)
		is("?order_by=name", room, 2)
		is("?search_term=NEW+ONE", room, 2)
		if got := first("?search_term=old+name"); len(got) > 0 {
			t.Errorf("the old name finds %v", got)
		}
		s.as(bob, "POST", v3+"/rooms/"+esc(room)+"/leave", `{}`)
		s.join(bob, other)
		is("?order_by=size", other, 2)
		is("?search_term=NEW+ONE", room, 1)
		s.as(alice, "PUT", v3+"/rooms/"+esc(room)+"/redact/"+esc(name)+"/1", `{}`)
		is("?order_by=name", other, 2) // a room without a name comes last
		if got := first("?search_term=new+one"); len(got) > 0 {
			t.Errorf("a redacted name finds %v", got)
		}
	})
}

func TestReadingRooms(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice := s.register("alice")
		room := s.createRoom(alice, `{"initial_state":[{"type":"m.room.history_visibility","content":{"history_visibility":"joined"}}]}`)
		first, second := s.send(alice, room, "one"), s.send(alice, room, "two")
		if a := s.do("GET", v3+"/rooms/"+esc(room)+"/messages?dir=b", s.boss, ""); a.status != 403 {
			t.Fatal("the administrator is in the room after all:", a.raw)
		}
		in := v1 + "/rooms/" + esc(room)
		all := s.ok("GET", in+"/messages?dir=b&limit=100", "")
		s.recorded("room.read")
		if !strings.Contains(all.raw, first) || !strings.Contains(all.raw, second) || all.at("start") == nil {
			t.Error(all.raw)
		}
		page := s.ok("GET", in+"/messages?dir=b&limit=1", "")
		if next := s.ok("GET", in+"/messages?dir=b&limit=1&from="+page.at("end").(string), ""); !strings.Contains(next.raw, first) || strings.Contains(next.raw, second) {
			t.Error(next.raw)
		}
		around := s.ok("GET", in+"/context/"+esc(first)+"?limit=4", "")
		if around.at("event.event_id") != first || len(around.at("events_after").([]any)) == 0 || len(around.at("state").([]any)) == 0 {
			t.Error(around.raw)
		}
		if state := s.ok("GET", in+"/state", ""); !strings.Contains(state.raw, "m.room.power_levels") {
			t.Error(state.raw)
		}
		if state := s.ok("GET", in+"/state?type=m.room.create", ""); len(state.at("state").([]any)) != 1 {
			t.Error(state.raw)
		}
		s.is("GET", in+"/timestamp_to_event?ts=4000000000000&dir=b", "", "event_id", second)
		s.fails("GET", in+"/timestamp_to_event", "", 400, "M_MISSING_PARAM")
		fetched := s.ok("GET", v1+"/fetch_event/"+esc(second), "")
		if fetched.at("event.content.body") != "two" || fetched.at("event.event_id") != second || fetched.at("event.auth_events") == nil {
			t.Error(fetched.raw)
		}
		s.fails("GET", v1+"/fetch_event/$none", "", 404, "M_NOT_FOUND")
	})
}

func TestBlockedRooms(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, bob := s.register("alice"), s.register("bob")
		room := s.createRoom(alice, `{"preset":"public_chat"}`)
		path := v1 + "/rooms/" + esc(room) + "/block"
		s.is("GET", path, "", "block", false)
		s.fails("PUT", path, `{}`, 400, "M_MISSING_PARAM")
		s.is("PUT", path, `{"block":true}`, "block", true)
		s.recorded("room.block")
		s.is("GET", path, "", "user_id", "@boss:hs1")
		for _, try := range [][2]string{{"POST", "/join"}, {"PUT", "/state/m.room.member/@bob:hs1"}} {
			if a := s.do(try[0], v3+"/rooms/"+esc(room)+try[1], bob, `{"membership":"join"}`); a.at("errcode") != "M_FORBIDDEN" {
				t.Error(try, a.raw)
			}
		}
		if a := s.do("POST", v3+"/rooms/"+esc(room)+"/invite", alice, `{"user_id":"@bob:hs1"}`); a.at("errcode") != "M_FORBIDDEN" {
			t.Error(a.raw)
		}
		s.fails("POST", v1+"/join/"+esc(room), `{"user_id":"@bob:hs1"}`, 403, "M_FORBIDDEN")
		s.ok("PUT", path, `{"block":false}`)
		s.join(bob, room)
		s.is("PUT", v1+"/rooms/!unknown:elsewhere/block", `{"block":true}`, "block", true)
	})
}

func TestEnteringAndPower(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice := s.register("alice")
		s.register("bob")
		open := s.createRoom(alice, `{"preset":"public_chat","room_alias_name":"open"}`)
		s.is("POST", v1+"/join/"+esc("#open:hs1"), `{"user_id":"@bob:hs1"}`, "room_id", open)
		s.recorded("room.join-user")
		s.fails("POST", v1+"/join/"+esc(open), `{}`, 400, "M_MISSING_PARAM")
		s.fails("POST", v1+"/join/"+esc(open), `{"user_id":"@none:hs1"}`, 404, "M_NOT_FOUND")
		for _, version := range []string{"10", "12"} {
			shut := s.createRoom(alice, `{"room_version":"`+version+`"}`)
			s.fails("POST", v1+"/join/"+esc(shut), `{"user_id":"@bob:hs1"}`, 403, "M_FORBIDDEN")
			s.ok("POST", v1+"/rooms/"+esc(shut)+"/make_room_admin", `{}`)
			s.join(s.boss, shut)
			s.ok("POST", v1+"/join/"+esc(shut), `{"user_id":"@bob:hs1"}`)
			levels := s.ok("GET", v3+"/rooms/"+esc(shut)+"/state/m.room.power_levels", "")
			if n, _ := levels.body["users"].(map[string]any)["@boss:hs1"].(float64); n < 100 {
				t.Errorf("version %s: %s", version, levels.raw)
			}
			s.ok("PUT", v3+"/rooms/"+esc(shut)+"/state/m.room.name", `{"name":"mine"}`)
		}
		left := s.createRoom(alice, `{}`)
		s.as(alice, "POST", v3+"/rooms/"+esc(left)+"/leave", `{}`)
		s.fails("POST", v1+"/rooms/"+esc(left)+"/make_room_admin", `{}`, 400, "M_UNKNOWN")
	})
}

func TestDeletingRooms(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, bob := s.register("alice"), s.register("bob")
		room := s.createRoom(alice, `{"preset":"public_chat","room_alias_name":"bad","invite":["@boss:hs1"]}`)
		s.join(bob, room)
		for i := range 3 {
			s.send(alice, room, fmt.Sprint("text ", i))
		}
		since := s.as(bob, "GET", v3+"/sync", "").body["next_batch"].(string)
		id := s.ok("DELETE", v2+"/rooms/"+esc(room), `{"block":true,"new_room_user_id":"@boss:hs1","room_name":"Gone","message":"Sorry."}`).body["delete_id"].(string)
		s.recorded("shutdown_and_purge_room")
		end := s.done(v2 + "/rooms/delete_status/" + id)
		if end.at("status") != "complete" || len(end.at("shutdown_room.kicked_users").([]any)) != 3 || end.at("room_id") != room {
			t.Fatal(end.raw)
		}
		if aliases := end.at("shutdown_room.local_aliases").([]any); len(aliases) != 1 || aliases[0] != "#bad:hs1" {
			t.Error(end.raw)
		}
		fresh := end.at("shutdown_room.new_room_id").(string)
		s.is("GET", v1+"/rooms/"+esc(fresh), "", "name", "Gone")
		s.is("GET", v1+"/rooms/"+esc(fresh)+"/members", "", "total", 3)
		if a := s.as(bob, "GET", v3+"/directory/room/%23bad:hs1", ""); a.at("room_id") != fresh {
			t.Error(a.raw)
		}
		s.fails("GET", v1+"/rooms/"+esc(room), "", 404, "M_NOT_FOUND")
		s.is("GET", v1+"/rooms?search_term="+esc(room), "", "total_rooms", 0)
		s.is("GET", v2+"/rooms/"+esc(room)+"/delete_status", "", "results", []any{end.body})
		s.is("GET", v1+"/scheduled_tasks?action_name=shutdown_and_purge_room&status=complete", "", "scheduled_tasks", []any{
			map[string]any{"id": id, "action": "shutdown_and_purge_room", "status": "complete", "resource_id": room, "error": nil,
				"result": end.at("shutdown_room"), "timestamp_ms": taskTime(s, id)}})
		// Clients go on, and hear that they are out of the room though nothing of it is left.
		if a := s.as(bob, "GET", v3+"/sync?since="+since, ""); a.at("rooms.leave").(map[string]any)[room] == nil {
			t.Error("a client does not hear that a room is gone:", a.raw)
		}
		for _, q := range []string{"?since=" + since, "", "?full_state=true&since=" + since} {
			if a := s.as(bob, "GET", v3+"/sync"+q, ""); !strings.Contains(a.raw, fresh) {
				t.Error(q, a.raw)
			}
		}
		if a := s.do("GET", v3+"/rooms/"+esc(room)+"/messages?dir=b", bob, ""); a.status != 403 && a.status != 404 {
			t.Error(a.raw)
		}
		if a := s.do("POST", v3+"/join/"+esc(room), bob, `{}`); a.status == 200 {
			t.Error("a blocked room is entered:", a.raw)
		}

		second := s.createRoom(alice, `{}`)
		s.is("DELETE", v1+"/rooms/"+esc(second), `{"purge":false}`, "kicked_users", []string{"@alice:hs1"})
		s.is("GET", v1+"/rooms/"+esc(second), "", "joined_members", 0)
		s.is("DELETE", v1+"/rooms/"+esc(second), `{}`, "kicked_users", []string{})
		s.fails("DELETE", v2+"/rooms/"+esc(second), `{}`, 404, "M_NOT_FOUND")
		s.fails("DELETE", v2+"/rooms/"+esc(fresh), `{"new_room_user_id":"@x:elsewhere"}`, 400, "M_INVALID_PARAM")
		s.fails("GET", v2+"/rooms/delete_status/none", "", 404, "M_NOT_FOUND")
	})
}

// taskTime is when a task ended, as it is told.
func taskTime(s *server, id string) int64 {
	s.t.Helper()
	task, err := s.db.FindAdminTask(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return task.TS
}

func TestPurgingHistory(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice := s.register("alice")
		room := s.createRoom(alice, `{}`)
		s.ok("POST", v1+"/users/@alice:hs1/override_ratelimit", `{"messages_per_second":0}`)
		one, two, three := s.send(alice, room, "one"), s.send(alice, room, "two"), s.send(alice, room, "three")
		gone := func(id string, want bool) {
			t.Helper()
			if a := s.do("GET", v3+"/rooms/"+esc(room)+"/event/"+esc(id), alice, ""); (a.status == 404) != want {
				t.Errorf("%s: gone is not %v: %s", id, want, a.raw)
			}
		}
		path := v1 + "/purge_history/" + esc(room)
		s.fails("POST", path, `{}`, 400, "M_BAD_JSON")
		s.fails("POST", path+"/$none", `{}`, 404, "M_NOT_FOUND")
		id := s.ok("POST", path+"/"+esc(two), `{}`).body["purge_id"].(string)
		s.recorded("purge_history")
		if end := s.done(v1 + "/purge_history_status/" + id); end.at("status") != "complete" {
			t.Error(end.raw)
		}
		gone(one, false) // our own users' words stay unless it is asked for
		id = s.ok("POST", path, `{"purge_up_to_event_id":"`+two+`","delete_local_events":true}`).body["purge_id"].(string)
		s.done(v1 + "/purge_history_status/" + id)
		gone(one, true)
		gone(two, false)
		id = s.ok("POST", path, `{"purge_up_to_ts":4000000000000,"delete_local_events":true}`).body["purge_id"].(string)
		s.done(v1 + "/purge_history_status/" + id)
		gone(two, true)
		gone(three, false)
		s.fails("GET", v1+"/purge_history_status/none", "", 404, "M_NOT_FOUND")
	})
}

func TestRedactingAUser(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, bob := s.register("alice"), s.register("bob")
		room := s.createRoom(alice, `{"preset":"public_chat"}`)
		s.join(bob, room)
		bad, good := s.send(bob, room, "bad"), s.send(alice, room, "good")
		redacted := func(id string) bool {
			t.Helper()
			return s.as(alice, "GET", v3+"/rooms/"+esc(room)+"/event/"+esc(id), "").at("content.body") == nil
		}
		s.fails("POST", v1+"/user/@bob:hs1/redact", `{}`, 400, "M_MISSING_PARAM")
		id := s.ok("POST", v1+"/user/@bob:hs1/redact", `{"rooms":[],"use_admin":true}`).body["redact_id"].(string)
		end := s.done(v1 + "/user/redact_status/" + id)
		if failed := end.at("failed_redactions").(map[string]any); end.at("status") != "complete" || failed[bad] == nil || redacted(bad) {
			t.Error("whoever is not in the room redacts in it:", end.raw)
		}
		id = s.ok("POST", v1+"/user/@bob:hs1/redact", `{"rooms":["`+room+`"],"reason":"spam","before_ts":1000}`).body["redact_id"].(string)
		s.done(v1 + "/user/redact_status/" + id)
		if redacted(bad) {
			t.Error("an event of another time is redacted")
		}
		id = s.ok("POST", v1+"/user/@bob:hs1/redact", `{"rooms":[],"reason":"spam"}`).body["redact_id"].(string)
		s.recorded("redact_all_events")
		if end := s.done(v1 + "/user/redact_status/" + id); len(end.at("failed_redactions").(map[string]any)) != 0 {
			t.Error(end.raw)
		}
		if !redacted(bad) || redacted(good) {
			t.Error("the wrong events are redacted")
		}
		because := s.as(alice, "GET", v3+"/rooms/"+esc(room)+"/event/"+esc(bad), "").at("unsigned.redacted_because.content.reason")
		if because != "spam" {
			t.Error(because)
		}
		s.fails("GET", v1+"/user/redact_status/none", "", 404, "M_NOT_FOUND")
	})
}
