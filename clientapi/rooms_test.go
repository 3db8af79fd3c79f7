package clientapi_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// room makes a room and returns the beginning of its paths.
func (s *server) room(token, body string) (id, path string) {
	s.t.Helper()
	id = s.ok("POST", v3+"/createRoom", token, body).body["room_id"].(string)
	return id, v3 + "/rooms/" + url.PathEscape(id)
}

// send sends a message with a transaction id of its own and returns the event's id.
func (s *server) send(token, path, txn, body string) string {
	s.t.Helper()
	return s.ok("PUT", path+"/send/m.room.message/"+txn, token, body).body["event_id"].(string)
}

// ids lists the events of a chunk.
func (a answer) ids(key string) []string {
	list, _ := a.body[key].([]any)
	out := []string{}
	for _, e := range list {
		id, _ := e.(map[string]any)["event_id"].(string)
		out = append(out, id)
	}
	return out
}

func same(a, b []string) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// Sizes and the JSON that the room version allows. Spec: client-server-api/#size-limits
func TestWhatAnEventMayHold(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		_, v12 := s.room(alice, `{}`)
		_, v5 := s.room(alice, `{"room_version":"5"}`)
		big := `{"body":"` + strings.Repeat("x", 65537) + `"}`
		s.fails("PUT", v12+"/send/m.room.message/1", alice, big, 413, "M_TOO_LARGE")
		s.fails("PUT", v12+"/state/org.example/", alice, big, 413, "M_TOO_LARGE")
		s.fails("PUT", v12+"/send/"+strings.Repeat("t", 256)+"/2", alice, `{}`, 413, "M_TOO_LARGE")
		s.fails("PUT", v12+"/state/org.example/"+strings.Repeat("k", 256), alice, `{}`, 413, "M_TOO_LARGE")
		s.fails("PUT", v12+"/send/m.x/3", alice, `{"a":`+strings.Repeat("[", 101)+strings.Repeat("]", 101)+`}`, 400, "M_BAD_JSON")
		s.fails("PUT", v12+"/send/m.x/4", alice, `[]`, 400, "M_BAD_JSON")
		s.fails("PUT", v12+"/send/m.x/4", alice, `{"a":NaN}`, 400, "M_NOT_JSON")
		for i, number := range []string{"1.5", "9007199254740992", "-9007199254740992"} {
			body := `{"n":` + number + `}`
			s.fails("PUT", v12+fmt.Sprint("/send/m.x/n", i), alice, body, 400, "M_BAD_JSON")
			s.ok("PUT", v5+fmt.Sprint("/send/m.x/n", i), alice, body)
		}
	})
}

// The creators of a room of version 12 stand above its power levels. Spec: rooms/v12/#authorisation-rules
func TestPrivilegedCreators(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		s.register("bob")
		_, room := s.room(alice, `{"creation_content":{"additional_creators":["@bob:hs1"]}}`)
		for _, u := range []string{"@alice:hs1", "@bob:hs1"} {
			s.fails("PUT", room+"/state/m.room.power_levels", alice, `{"users":{"`+u+`":100}}`, 400, "M_BAD_JSON")
			s.fails("POST", v3+"/createRoom", alice, `{"preset":"trusted_private_chat","invite":["@bob:hs1"],
				"power_level_content_override":{"users":{"`+u+`":100}}}`, 400, "M_BAD_JSON")
		}
		s.ok("PUT", room+"/state/m.room.power_levels", alice, `{"users":{"@carol:hs1":100}}`)
		s.fails("PUT", room+"/state/m.room.power_levels", alice, `{"users":{"carol":100}}`, 400, "M_BAD_JSON")
		s.fails("PUT", room+"/state/m.room.power_levels", alice, `{"ban":"50"}`, 400, "M_BAD_JSON")
		s.fails("POST", v3+"/createRoom", alice, `{"creation_content":{"additional_creators":"bob"}}`, 400, "M_INVALID_PARAM")
		s.fails("POST", v3+"/createRoom", alice, `{"room_version":"11","power_level_content_override":{"users":{"@alice:hs1":0}}}`,
			400, "M_INVALID_ROOM_STATE")
		s.fails("POST", v3+"/createRoom", alice, `{"room_version":1}`, 400, "M_BAD_JSON")
	})
}

// A membership that a client writes as state is taken as it is, save for what only a server can fill in.
func TestMembershipAsState(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		hall, hallPath := s.room(alice, `{"preset":"public_chat"}`)
		_, room := s.room(alice, `{"initial_state":[{"type":"m.room.join_rules","content":{"join_rule":"restricted",
			"allow":[{"type":"m.room_membership","room_id":"`+hall+`"}]}}]}`)
		own := room + "/state/m.room.member/@bob:hs1"
		s.fails("PUT", own, bob, `{"membership":"join"}`, 403, "M_FORBIDDEN")
		s.ok("POST", hallPath+"/join", bob, `{}`)
		s.ok("PUT", own, bob, `{"membership":"join","displayname":"Robert"}`)
		if a := s.ok("GET", own, bob, ""); a.raw != `{"displayname":"Robert","join_authorised_via_users_server":"@alice:hs1","membership":"join"}` {
			t.Error(a.raw)
		}
		s.fails("PUT", own, bob, `{"membership":"sleep"}`, 400, "M_BAD_JSON")
		s.fails("PUT", own, bob, `{}`, 400, "M_BAD_JSON")
		s.fails("PUT", room+"/state/m.room.member/bob", alice, `{"membership":"ban"}`, 400, "M_BAD_JSON")
		s.fails("PUT", room+"/state/m.room.member/@alice:hs1", bob, `{"membership":"leave"}`, 403, "M_FORBIDDEN")
		s.ok("PUT", own, alice, `{"membership":"ban"}`)
		s.fails("PUT", own, bob, `{"membership":"join"}`, 403, "M_FORBIDDEN")
	})
}

// Aliases and what m.room.canonical_alias may name. Spec: client-server-api/#room-aliases
func TestAliases(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		id, room := s.room(alice, `{"preset":"public_chat"}`)
		other, _ := s.room(alice, `{}`)
		const one, two = v3 + "/directory/room/%23one:hs1", v3 + "/directory/room/%23two:hs1"
		s.fails("GET", one, "", "", 404, "M_NOT_FOUND")
		s.fails("DELETE", one, alice, "", 404, "M_NOT_FOUND")
		s.fails("GET", v3+"/directory/room/one", "", "", 400, "M_INVALID_PARAM")
		s.ok("PUT", one, alice, `{"room_id":"`+id+`"}`)
		s.fails("PUT", one, alice, `{"room_id":"`+id+`"}`, 409, "M_UNKNOWN")
		s.fails("PUT", v3+"/directory/room/%23x:elsewhere", alice, `{"room_id":"`+id+`"}`, 400, "M_INVALID_PARAM")
		s.fails("PUT", two, bob, `{"room_id":"`+other+`"}`, 403, "M_FORBIDDEN")
		s.ok("PUT", two, alice, `{"room_id":"`+other+`"}`)
		if a := s.ok("GET", one, "", ""); a.body["room_id"] != id {
			t.Error(a.raw)
		}
		canonical := room + "/state/m.room.canonical_alias"
		s.fails("PUT", canonical, alice, `{"alias":"#two:hs1"}`, 400, "M_BAD_ALIAS")
		s.fails("PUT", canonical, alice, `{"alt_aliases":["#none:hs1"]}`, 400, "M_BAD_ALIAS")
		s.fails("PUT", canonical, alice, `{"alias":"nonsense"}`, 400, "M_INVALID_PARAM")
		s.fails("PUT", canonical, alice, `{"alias":1}`, 400, "M_BAD_JSON")
		s.ok("PUT", canonical, alice, `{"alias":"#one:hs1","alt_aliases":["#one:hs1"]}`)
		s.fails("DELETE", one, bob, "", 403, "M_FORBIDDEN")
		s.fails("GET", room+"/aliases", bob, "", 403, "M_FORBIDDEN")
		if a := s.ok("GET", room+"/aliases", alice, ""); a.raw != `{"aliases":["#one:hs1"]}` {
			t.Error(a.raw)
		}
		s.ok("DELETE", one, alice, "")
		if a := s.ok("GET", canonical, alice, ""); a.raw != `{}` {
			t.Error(a.raw)
		}
	})
}

// Redactions in every room version: own events always, others' with the power to.
func TestRedactions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		eve, _ := s.register("eve")
		for v := range 12 {
			id, room := s.room(alice, fmt.Sprintf(`{"preset":"public_chat","room_version":"%d"}`, v+1))
			s.ok("POST", room+"/join", bob, `{}`)
			first, second := s.send(alice, room, "1", `{"body":"a"}`), s.send(bob, room, "1", `{"body":"b"}`)
			path := func(event string) string { return room + "/redact/" + url.PathEscape(event) + "/t" }
			s.fails("PUT", path(first), bob, `{}`, 403, "M_FORBIDDEN")
			s.fails("PUT", path(first), eve, `{}`, 403, "M_FORBIDDEN")
			s.fails("PUT", path("$none"), bob, `{}`, 404, "M_NOT_FOUND")
			s.ok("PUT", path(second), bob, `{"reason":"mine"}`)
			again := s.ok("PUT", path(second), bob, `{"reason":"mine"}`)
			if a := s.ok("PUT", path(second), bob, `{"reason":"mine"}`); a.raw != again.raw {
				t.Errorf("version %d: a repeated transaction made two redactions", v+1)
			}
			s.ok("PUT", room+"/send/m.room.redaction/t2", alice, `{"redacts":"`+first+`"}`)
			for _, event := range []string{first, second} {
				a := s.ok("GET", room+"/event/"+url.PathEscape(event), alice, "")
				unsigned := a.body["unsigned"].(map[string]any)
				because, _ := unsigned["redacted_because"].(map[string]any)
				if len(a.body["content"].(map[string]any)) != 0 || because["redacts"] != event {
					t.Errorf("version %d: %s", v+1, a.raw)
				}
			}
			_ = id
		}
	})
}

// The directory: pages, search, who may list. Spec: client-server-api/#published-room-directory
func TestDirectory(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		var ids []string
		for i := range 5 {
			id, _ := s.room(alice, fmt.Sprintf(`{"preset":"public_chat","visibility":"public","name":"Room %d"}`, i))
			ids = append(ids, id)
		}
		space, _ := s.room(alice, `{"visibility":"public","topic":"Wombles","creation_content":{"type":"m.space"}}`)
		hidden, _ := s.room(alice, `{"name":"Room hidden"}`)
		found := map[string]bool{}
		for since := ""; ; {
			page := s.ok("GET", v3+"/publicRooms?limit=2&since="+since, "", "")
			for _, r := range page.body["chunk"].([]any) {
				found[r.(map[string]any)["room_id"].(string)] = true
			}
			if page.body["next_batch"] == nil {
				break
			}
			since = page.body["next_batch"].(string)
		}
		if len(found) != 6 || !found[ids[4]] || !found[space] || found[hidden] {
			t.Errorf("the pages hold %v", found)
		}
		for body, want := range map[string]int{
			`{"filter":{"generic_search_term":"wOMB"}}`: 1, `{"filter":{"generic_search_term":"room"}}`: 5, `{"filter":{"room_types":["m.space"]}}`: 1,
			`{"filter":{"room_types":[null]}}`: 5, `{"limit":3}`: 3, `{"filter":{"generic_search_term":"nothing"}}`: 0,
		} {
			if a := s.ok("POST", v3+"/publicRooms", bob, body); len(a.body["chunk"].([]any)) != want {
				t.Errorf("%s finds %s, want %d", body, a.raw, want)
			}
		}
		s.fails("POST", v3+"/publicRooms", bob, `{"since":"x"}`, 400, "M_INVALID_PARAM")
		s.fails("GET", v3+"/publicRooms?server=elsewhere", "", "", 404, "M_NOT_FOUND")
		s.ok("GET", v3+"/publicRooms?server=hs1", "", "")
		listed := v3 + "/directory/list/room/"
		s.fails("GET", listed+"!none:hs1", "", "", 404, "M_NOT_FOUND")
		s.fails("PUT", listed+"!none:hs1", alice, `{}`, 404, "M_NOT_FOUND")
		s.fails("PUT", listed+url.PathEscape(space), bob, `{"visibility":"private"}`, 403, "M_FORBIDDEN")
		s.fails("PUT", listed+url.PathEscape(space), alice, `{"visibility":"x"}`, 400, "M_INVALID_PARAM")
		s.ok("PUT", listed+url.PathEscape(space), alice, `{"visibility":"private"}`)
		if a := s.ok("GET", listed+url.PathEscape(space), "", ""); a.raw != `{"visibility":"private"}` {
			t.Error(a.raw)
		}
	})
}

// What stands around an event, and where reading goes on from there without a gap or a repetition.
func TestContext(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		_, room := s.room(alice, `{}`)
		var ids []string
		for i := range 9 {
			ids = append(ids, s.send(alice, room, fmt.Sprint(i), `{"body":"x"}`))
		}
		a := s.ok("GET", room+"/context/"+url.PathEscape(ids[4])+"?limit=4", alice, "")
		if !same(a.ids("events_before"), []string{ids[3], ids[2]}) || !same(a.ids("events_after"), []string{ids[5], ids[6]}) {
			t.Error(a.raw)
		}
		back := s.ok("GET", room+"/messages?dir=b&limit=2&from="+a.body["start"].(string), alice, "")
		on := s.ok("GET", room+"/messages?dir=f&limit=50&from="+a.body["end"].(string), alice, "")
		if !same(back.ids("chunk"), []string{ids[1], ids[0]}) || !same(on.ids("chunk"), []string{ids[7], ids[8]}) {
			t.Error(back.raw, on.raw)
		}
		all := s.ok("GET", room+"/context/"+url.PathEscape(ids[0])+"?limit=100", alice, "")
		if rest := s.ok("GET", room+"/messages?dir=b&from="+all.body["start"].(string), alice, ""); rest.raw != `{"start":"`+all.body["start"].(string)+`","chunk":[]}` {
			t.Error(rest.raw)
		}
		s.fails("GET", room+"/context/$none", alice, "", 404, "M_NOT_FOUND")
		lazy := s.ok("GET", room+"/context/"+url.PathEscape(ids[4])+`?limit=0&filter={"lazy_load_members":true,"types":["m.room.member"]}`, alice, "")
		if len(lazy.ids("state")) != 1 || len(lazy.ids("events_before"))+len(lazy.ids("events_after")) != 0 {
			t.Error(lazy.raw)
		}
	})
}

// Memberships at a point of the timeline, and those that messages bring along.
func TestMembersAt(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		carol, _ := s.register("carol")
		_, room := s.room(alice, `{"preset":"public_chat"}`)
		s.ok("POST", room+"/join", bob, `{}`)
		at := s.ok("GET", room+"/messages?dir=b&limit=1", alice, "").body["start"].(string)
		s.ok("POST", room+"/join", carol, `{}`)
		s.send(bob, room, "1", `{"body":"x"}`)
		s.ok("POST", room+"/leave", bob, `{}`)
		count := func(token, query string) int {
			return len(s.ok("GET", room+"/members"+query, token, "").ids("chunk"))
		}
		for query, want := range map[string]int{"": 3, "?at=" + at: 2, "?membership=join": 2, "?not_membership=join": 1, "?membership=ban": 0, "?membership=leave&not_membership=leave": 3} {
			if got := count(alice, query); got != want {
				t.Errorf("%s lists %d members, want %d", query, got, want)
			}
		}
		s.ok("POST", room+"/ban", alice, `{"user_id":"@bob:hs1"}`)
		if got := count(bob, "?membership=ban"); got != 0 {
			t.Errorf("who left sees what came later")
		}
		s.fails("GET", room+"/joined_members", bob, "", 403, "M_FORBIDDEN")
		if a := s.ok("GET", room+"/joined_members", alice, ""); a.raw != `{"joined":{"@alice:hs1":{"display_name":null,"avatar_url":null},"@carol:hs1":{"display_name":null,"avatar_url":null}}}` {
			t.Error(a.raw)
		}
		lazy := s.ok("GET", room+`/messages?dir=b&limit=3&filter={"lazy_load_members":true,"types":["m.room.message"]}`, alice, "")
		if len(lazy.ids("state")) != 1 || !strings.Contains(lazy.raw, `"state_key":"@bob:hs1"`) || len(lazy.ids("chunk")) != 1 {
			t.Error(lazy.raw)
		}
	})
}

// The event closest to a time.
func TestEventByTime(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		id, room := s.room(alice, `{"preset":"public_chat"}`)
		path := "/_matrix/client/v1/rooms/" + url.PathEscape(id) + "/timestamp_to_event?"
		last := s.send(alice, room, "1", `{"body":"x"}`)
		first := s.ok("GET", room+"/messages?dir=f&limit=1", alice, "").ids("chunk")[0]
		if a := s.ok("GET", path+"dir=b&ts=99999999999999", alice, ""); a.body["event_id"] != last {
			t.Error(a.raw)
		}
		if a := s.ok("GET", path+"dir=f&ts=0", alice, ""); a.body["event_id"] != first {
			t.Error(a.raw)
		}
		s.fails("GET", path+"dir=b&ts=0", alice, "", 404, "M_NOT_FOUND")
		s.fails("GET", path+"dir=f&ts=99999999999999", alice, "", 404, "M_NOT_FOUND")
		s.fails("GET", path+"dir=f&ts=x", alice, "", 400, "M_INVALID_PARAM")
		s.fails("GET", path+"dir=f&ts=0", bob, "", 403, "M_FORBIDDEN")
	})
}

// The refusals of the membership routes.
func TestMembershipRefusals(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		_, room := s.room(alice, `{}`)
		for _, name := range []string{"invite", "kick", "ban", "unban"} {
			s.fails("POST", room+"/"+name, alice, `{}`, 400, "M_MISSING_PARAM")
			s.fails("POST", room+"/"+name, alice, `{"user_id":"bob"}`, 400, "M_INVALID_PARAM")
			s.fails("POST", room+"/"+name, alice, `{"user_id":1}`, 400, "M_BAD_JSON")
			s.fails("POST", room+"/"+name, bob, `{"user_id":"@carol:hs1"}`, 403, "M_FORBIDDEN")
		}
		s.fails("POST", room+"/unban", alice, `{"user_id":"@bob:hs1"}`, 403, "M_FORBIDDEN")
		s.fails("POST", room+"/invite", alice, `{"id_server":"x","medium":"email","address":"a@b"}`, 403, "M_THREEPID_DENIED")
		s.fails("POST", v3+"/join/%23none:hs1", bob, `{}`, 404, "M_NOT_FOUND")
		s.fails("POST", v3+"/knock/!none:elsewhere?via=elsewhere", bob, `{}`, 404, "M_NOT_FOUND")
		s.fails("POST", v3+"/join/nonsense", bob, `{}`, 400, "M_INVALID_PARAM")
		s.fails("POST", v3+"/rooms/!none:hs1/leave", bob, `{}`, 403, "M_FORBIDDEN")
		s.fails("POST", room+"/forget", alice, `{}`, 400, "M_UNKNOWN")
		s.fails("POST", room+"/leave", bob, `{}`, 403, "M_FORBIDDEN")
		s.fails("GET", v3+"/rooms/!none:hs1/messages?dir=b", bob, "", 403, "M_FORBIDDEN")
		for _, path := range []string{v3 + "/rooms/!none:hs1", room} { // whoever is outside cannot tell the one from the other
			s.fails("GET", path+"/event/$none", bob, "", 404, "M_NOT_FOUND")
			s.fails("GET", path+"/context/$none", bob, "", 404, "M_NOT_FOUND")
		}
		s.fails("GET", room+"/state", bob, "", 403, "M_FORBIDDEN")
		s.fails("GET", room+"/state/m.room.name", bob, "", 403, "M_FORBIDDEN")
		s.fails("GET", room+"/state/m.room.name", alice, "", 404, "M_NOT_FOUND")
	})
}

// A repeated request hears what it heard first, whatever happened meanwhile; the same reaction counts once.
func TestRepetitions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		_, room := s.room(alice, `{"preset":"public_chat"}`)
		s.ok("POST", room+"/join", bob, `{}`)
		first := s.send(bob, room, "t", `{"body":"x"}`)
		react := `{"m.relates_to":{"rel_type":"m.annotation","event_id":"` + first + `","key":"+"}}`
		one := s.ok("PUT", room+"/send/m.reaction/r1", bob, react)
		s.fails("PUT", room+"/send/m.reaction/r2", bob, react, 400, "M_DUPLICATE_ANNOTATION")
		if again := s.ok("PUT", room+"/send/m.reaction/r1", bob, react); again.raw != one.raw {
			t.Error(again.raw)
		}
		s.ok("PUT", room+"/send/m.reaction/r1", alice, react)
		s.ok("PUT", room+"/redact/"+url.PathEscape(one.body["event_id"].(string))+"/x", bob, `{}`)
		s.ok("PUT", room+"/send/m.reaction/r3", bob, react)
		s.ok("POST", room+"/kick", alice, `{"user_id":"@bob:hs1"}`)
		if again := s.send(bob, room, "t", `{"body":"x"}`); again != first {
			t.Errorf("%s, want %s", again, first)
		}
		s.ok("PUT", room+"/redact/"+url.PathEscape(one.body["event_id"].(string))+"/x", bob, `{}`)
		s.fails("PUT", room+"/send/m.room.message/u", bob, `{}`, 403, "M_FORBIDDEN")
		s.fails("PUT", room+"/redact/"+url.PathEscape(first)+"/y", bob, `{}`, 403, "M_FORBIDDEN")
	})
}

// Who is in a room is called what he is called there, not what stands under a key that looks alike.
func TestMembersAreReadByTheirOwnKeys(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		room := s.openRoom(alice, `{}`)
		s.ok("PUT", v3+"/rooms/"+url.PathEscape(room)+"/state/m.room.member/@alice:hs1", alice,
			`{"membership":"join","displayname":"Alice","DISPLAYNAME":"Eve","AVATAR_URL":"mxc://hs1/eve"}`)
		a := s.ok("GET", v3+"/rooms/"+url.PathEscape(room)+"/joined_members", alice, "")
		if !strings.Contains(a.raw, `"Alice"`) || strings.Contains(strings.ToLower(a.raw), "eve") {
			t.Error(a.raw)
		}
	})
}
