package clientapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
)

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
