package clientapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
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

// The creators of a room of version 12 stand above its power levels. Spec: rooms/v12/#authorization-rules
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

// Relations, threads and what is bundled with events. Spec: client-server-api/#relationships-api
func TestRelations(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		id, room := s.room(alice, `{"preset":"public_chat"}`)
		v1 := "/_matrix/client/v1/rooms/" + url.PathEscape(id)
		root, plain := s.send(alice, room, "root", `{"body":"root"}`), s.send(alice, room, "plain", `{"body":"plain"}`)
		relate := func(typ, to, more string) string {
			return `{"m.relates_to":{"rel_type":"` + typ + `","event_id":"` + to + `"}` + more + `}`
		}
		var replies []string
		for i := range 5 {
			replies = append(replies, s.send(alice, room, fmt.Sprint("r", i), relate("m.thread", root, "")))
		}
		edit := s.send(alice, room, "e", relate("m.replace", root, `,"m.new_content":{"body":"edited"}`))
		deep := s.send(alice, room, "d", relate("m.annotation", replies[4], ""))
		of := v1 + "/relations/" + url.PathEscape(root)
		first := s.ok("GET", of+"/m.thread?limit=3", alice, "")
		second := s.ok("GET", of+"/m.thread?limit=3&from="+first.body["next_batch"].(string), alice, "")
		if !same(first.ids("chunk"), []string{replies[4], replies[3], replies[2]}) || !same(second.ids("chunk"), []string{replies[1], replies[0]}) ||
			second.body["next_batch"] != nil || second.body["prev_batch"] == nil {
			t.Error(first.raw, second.raw)
		}
		if a := s.ok("GET", of+"?dir=f&recurse=true&limit=50", alice, ""); !same(a.ids("chunk"), append(append([]string{}, replies...), edit, deep)) ||
			a.body["recursion_depth"] == nil {
			t.Error(a.raw)
		}
		if a := s.ok("GET", of+"/m.thread/m.none", alice, ""); a.raw != `{"chunk":[]}` {
			t.Error(a.raw)
		}
		s.fails("GET", of, bob, "", 404, "M_NOT_FOUND")
		s.fails("GET", v1+"/relations/$none", alice, "", 404, "M_NOT_FOUND")
		s.fails("GET", of+"?limit=0", alice, "", 400, "M_INVALID_PARAM")
		s.fails("GET", of+"?dir=x", alice, "", 400, "M_INVALID_PARAM")
		s.ok("PUT", room+"/redact/"+url.PathEscape(replies[4])+"/t", alice, `{}`)
		a := s.ok("GET", room+"/event/"+url.PathEscape(root), alice, "")
		var got struct {
			Unsigned struct {
				Relations struct {
					Thread struct {
						Count  int  `json:"count"`
						Took   bool `json:"current_user_participated"`
						Latest struct {
							ID string `json:"event_id"`
						} `json:"latest_event"`
					} `json:"m.thread"`
					Replace struct {
						ID string `json:"event_id"`
					} `json:"m.replace"`
				} `json:"m.relations"`
			} `json:"unsigned"`
		}
		if err := json.Unmarshal([]byte(a.raw), &got); err != nil {
			t.Fatal(err)
		}
		if b := got.Unsigned.Relations; b.Thread.Count != 4 || !b.Thread.Took || b.Thread.Latest.ID != replies[3] || b.Replace.ID != edit {
			t.Error(a.raw)
		}
		s.send(alice, room, "p", relate("m.thread", plain, ""))
		if a := s.ok("GET", v1+"/threads", alice, ""); !same(a.ids("chunk"), []string{plain, root}) {
			t.Error(a.raw)
		}
		page := s.ok("GET", v1+"/threads?limit=1", alice, "")
		if a := s.ok("GET", v1+"/threads?limit=1&from="+page.body["next_batch"].(string), alice, ""); !same(a.ids("chunk"), []string{root}) ||
			a.body["next_batch"] != nil {
			t.Error(a.raw)
		}
		s.ok("POST", room+"/join", bob, `{}`)
		if a := s.ok("GET", v1+"/threads?include=participated", bob, ""); a.raw != `{"chunk":[]}` {
			t.Error(a.raw)
		}
		s.fails("GET", v1+"/threads?from=x", alice, "", 400, "M_INVALID_PARAM")
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

// An upgrade carries over what makes the room. Spec: client-server-api/#room-upgrades
func TestUpgrade(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		for _, way := range [][2]string{{"5", "11"}, {"11", "12"}, {"12", "12"}, {"12", "10"}} {
			alias := "u" + way[0] + way[1]
			id, room := s.room(alice, fmt.Sprintf(`{"preset":"public_chat","visibility":"public","name":"N","topic":"T","room_version":"%s",
				"room_alias_name":"%s","power_level_content_override":{"users_default":7,"events":{"m.x":33}}}`, way[0], alias))
			s.ok("POST", room+"/join", bob, `{}`)
			s.fails("POST", room+"/upgrade", bob, `{"new_version":"11"}`, 403, "M_FORBIDDEN")
			s.fails("POST", room+"/upgrade", alice, `{"new_version":"x"}`, 400, "M_UNSUPPORTED_ROOM_VERSION")
			s.fails("POST", room+"/upgrade", alice, `{}`, 400, "M_MISSING_PARAM")
			next := s.ok("POST", room+"/upgrade", alice, `{"new_version":"`+way[1]+`"}`).body["replacement_room"].(string)
			now := v3 + "/rooms/" + url.PathEscape(next)
			create := s.ok("GET", now+"/state/m.room.create", alice, "")
			if create.body["room_version"] != way[1] || create.body["predecessor"].(map[string]any)["room_id"] != id {
				t.Error(create.raw)
			}
			if a := s.ok("GET", room+"/state/m.room.tombstone", alice, ""); a.body["replacement_room"] != next {
				t.Error(a.raw)
			}
			if a := s.ok("GET", now+"/state/m.room.name", alice, ""); a.body["name"] != "N" {
				t.Error(a.raw)
			}
			levels := s.ok("GET", now+"/state/m.room.power_levels", alice, "")
			users := levels.body["users"].(map[string]any)
			if levels.body["users_default"] != 7.0 || levels.body["events"].(map[string]any)["m.x"] != 33.0 || (users["@alice:hs1"] != nil) != (way[1] != "12") {
				t.Error(way, levels.raw)
			}
			if a := s.ok("GET", v3+"/directory/room/%23"+alias+":hs1", "", ""); a.body["room_id"] != next {
				t.Error(a.raw)
			}
			if a := s.ok("GET", now+"/state/m.room.canonical_alias", alice, ""); a.body["alias"] != "#"+alias+":hs1" {
				t.Error(a.raw)
			}
			if a := s.ok("GET", v3+"/directory/list/room/"+url.PathEscape(id), "", ""); a.raw != `{"visibility":"private"}` {
				t.Error(a.raw)
			}
			s.ok("POST", now+"/join", bob, `{}`)
			s.fails("PUT", room+"/send/m.room.message/1", bob, `{}`, 403, "M_FORBIDDEN")
		}
	})
}

// A room's summary for those who may know of it. Spec: client-server-api/#room-summaries
func TestSummary(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		const path = "/_matrix/client/v1/room_summary/"
		hall, hallPath := s.room(alice, `{"preset":"public_chat","room_alias_name":"hall"}`)
		private, privatePath := s.room(alice, `{"name":"Secret"}`)
		restricted, _ := s.room(alice, `{"initial_state":[{"type":"m.room.join_rules","content":{"join_rule":"restricted",
			"allow":[{"type":"m.room_membership","room_id":"`+hall+`"}]}}]}`)
		if a := s.ok("GET", path+"%23hall:hs1", "", ""); a.body["room_id"] != hall || a.body["membership"] != nil || a.body["room_version"] != "12" {
			t.Error(a.raw)
		}
		s.fails("GET", path+url.PathEscape(private), bob, "", 404, "M_NOT_FOUND")
		s.fails("GET", path+url.PathEscape(restricted), bob, "", 404, "M_NOT_FOUND")
		s.fails("GET", path+"%23none:hs1", bob, "", 404, "M_NOT_FOUND")
		s.ok("POST", hallPath+"/join", bob, `{}`)
		if a := s.ok("GET", path+url.PathEscape(restricted), bob, ""); !strings.Contains(a.raw, `"allowed_room_ids":["`+hall+`"]`) || a.body["membership"] != "leave" {
			t.Error(a.raw)
		}
		s.ok("POST", privatePath+"/invite", alice, `{"user_id":"@bob:hs1"}`)
		if a := s.ok("GET", path+url.PathEscape(private), bob, ""); a.body["membership"] != "invite" || a.body["name"] != "Secret" {
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

// A space's tree, over the rooms that the caller may know of. Spec: client-server-api/#spaces
func TestHierarchy(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		space := `"preset":"public_chat","creation_content":{"type":"m.space"}`
		root, rootPath := s.room(alice, `{"name":"root",`+space+`}`)
		sub, subPath := s.room(alice, `{"name":"sub",`+space+`}`)
		open, _ := s.room(alice, `{"name":"open","preset":"public_chat"}`)
		hidden, _ := s.room(alice, `{"name":"hidden"}`)
		deep, _ := s.room(alice, `{"name":"deep","preset":"public_chat"}`)
		child := func(path, id, content string) {
			s.ok("PUT", path+"/state/m.space.child/"+url.PathEscape(id), alice, content)
		}
		child(rootPath, open, `{"via":["hs1"]}`)
		child(rootPath, hidden, `{"via":["hs1"],"order":"1"}`)
		child(rootPath, sub, `{"via":["hs1"],"order":"2","suggested":true}`)
		child(rootPath, "!gone:hs1", `{"via":["hs1"]}`)
		child(rootPath, deep, `{}`)
		child(subPath, deep, `{"via":["hs1"]}`)
		child(subPath, root, `{"via":["hs1"]}`)
		tree := func(token, query string) (names []string, next string) {
			a := s.ok("GET", "/_matrix/client/v1/rooms/"+url.PathEscape(root)+"/hierarchy"+query, token, "")
			for _, r := range a.body["rooms"].([]any) {
				names = append(names, r.(map[string]any)["name"].(string))
			}
			next, _ = a.body["next_batch"].(string)
			return names, next
		}
		for query, want := range map[string]string{"": "[root sub deep open]", "?max_depth=1": "[root sub open]", "?suggested_only=true": "[root sub]", "?max_depth=0": "[root]"} {
			if got, _ := tree(bob, query); fmt.Sprint(got) != want {
				t.Errorf("%q shows %v, want %s", query, got, want)
			}
		}
		if got, _ := tree(alice, ""); fmt.Sprint(got) != "[root hidden sub deep open]" {
			t.Errorf("a member sees %v", got)
		}
		first, next := tree(bob, "?limit=3")
		second, end := tree(bob, "?limit=3&from="+next)
		if fmt.Sprint(first, second) != "[root sub deep] [open]" || end != "" {
			t.Errorf("the pages are %v and %v, then %q", first, second, end)
		}
		path := "/_matrix/client/v1/rooms/" + url.PathEscape(root) + "/hierarchy?"
		s.fails("GET", path+"max_depth=1&from="+next, bob, "", 400, "M_INVALID_PARAM")
		s.fails("GET", path+"from=x", bob, "", 400, "M_INVALID_PARAM")
		s.fails("GET", "/_matrix/client/v1/rooms/"+url.PathEscape(hidden)+"/hierarchy", bob, "", 403, "M_FORBIDDEN")
	})
}

// Tags and push rules of a room follow its members into the room that replaces it.
func TestSettingsFollowAnUpgrade(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		id, room := s.room(alice, `{"preset":"public_chat","room_version":"10"}`)
		s.ok("POST", room+"/join", bob, `{}`)
		for user, token := range map[string]string{"@alice:hs1": alice, "@bob:hs1": bob} {
			s.ok("PUT", v3+"/pushrules/global/room/"+url.PathEscape(id), token, `{"actions":["dont_notify"]}`)
			s.ok("PUT", v3+"/user/"+user+"/rooms/"+url.PathEscape(id)+"/tags/u.work", token, `{"order":0.5}`)
		}
		next := s.ok("POST", room+"/upgrade", alice, `{"new_version":"11"}`).body["replacement_room"].(string)
		s.ok("POST", v3+"/join/"+url.PathEscape(next), bob, `{}`)
		for user, token := range map[string]string{"@alice:hs1": alice, "@bob:hs1": bob} {
			if a := s.ok("GET", v3+"/pushrules/global/room/"+url.PathEscape(next), token, ""); !strings.Contains(a.raw, "dont_notify") {
				t.Error(user, a.raw)
			}
			if a := s.ok("GET", v3+"/user/"+user+"/rooms/"+url.PathEscape(next)+"/tags", token, ""); a.raw != `{"tags":{"u.work":{"order":0.5}}}` {
				t.Error(user, a.raw)
			}
		}
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

// Whoever made a room finds it in the sync that he asks for next, also while his other devices sync and make rooms.
func TestNewRoomIsInTheNextSync(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 15 {
					since := s.do("GET", v3+`/sync?filter={"room":{"timeline":{"limit":1}}}`, alice, "")
					next, _ := since.body["next_batch"].(string)
					id, _ := s.do("POST", v3+"/createRoom", alice, `{}`).body["room_id"].(string)
					for _, from := range []string{"", "&since=" + next} {
						a := s.do("GET", v3+`/sync?filter={"room":{"timeline":{"limit":1}}}`+from, alice, "")
						if !strings.Contains(a.raw, `"`+id+`":{`) {
							t.Errorf("the room is not in the sync%s", from)
							return
						}
					}
				}
			})
		}
		all.Wait()
	})
}
