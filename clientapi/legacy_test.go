package clientapi_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
)

type legacyRoom struct {
	Room       string `json:"room_id"`
	Membership string
	Messages   struct {
		Start, End string
		Chunk      []struct {
			ID   string `json:"event_id"`
			Room string `json:"room_id"`
		}
	}
	State      []map[string]any
	Invite     map[string]any
	Visibility string
}

// What clients of before /sync ask for: all that is there, what is new, one event, one room.
func TestDeprecatedWaysToFollowRooms(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		room := s.openRoom(alice, `{"preset":"public_chat"}`)
		asked := s.openRoom(bob, `{"invite":["@alice:hs1"]}`)
		one := s.says(alice, room, body("one"))

		var initial struct {
			End      string
			Rooms    []legacyRoom
			Presence []any
			Account  []any `json:"account_data"`
		}
		decode := func(raw string, into any) {
			t.Helper()
			if err := json.Unmarshal([]byte(raw), into); err != nil {
				t.Fatal(err)
			}
		}
		decode(s.ok("GET", v3+"/initialSync?limit=1", alice, "").raw, &initial)
		find := func(id string) legacyRoom {
			i := slices.IndexFunc(initial.Rooms, func(r legacyRoom) bool { return r.Room == id })
			if i < 0 {
				t.Fatalf("room %s is missing", id)
			}
			return initial.Rooms[i]
		}
		in := find(room)
		if in.Membership != "join" || len(in.Messages.Chunk) != 1 || in.Messages.Chunk[0].ID != one || in.Messages.Chunk[0].Room != room ||
			len(in.State) < 5 || initial.Presence == nil || len(initial.Account) == 0 || in.Visibility != "private" {
			t.Errorf("%+v", in)
		}
		if r := find(asked); r.Membership != "invite" || r.Invite["type"] != "m.room.member" {
			t.Errorf("%+v", r)
		}

		two := s.says(alice, room, body("two"))
		a := s.ok("GET", v3+"/events?timeout=30000&from="+initial.End, alice, "")
		if chunk := a.body["chunk"].([]any); len(chunk) == 0 || !strings.Contains(a.raw, two) || a.body["end"] == initial.End {
			t.Errorf("the stream: %s", a.raw)
		}
		if a := s.ok("GET", v3+"/events", alice, ""); len(a.body["chunk"].([]any)) != 0 || a.body["end"] == "" {
			t.Errorf("a stream that begins: %s", a.raw)
		}
		s.fails("GET", v3+"/events?from=nonsense", alice, "", 400, "M_INVALID_PARAM")

		if a := s.ok("GET", v3+"/events/"+url.PathEscape(one), alice, ""); a.body["event_id"] != one || a.body["room_id"] != room {
			t.Errorf("one event: %s", a.raw)
		}
		s.fails("GET", v3+"/events/"+url.PathEscape(one), bob, "", 404, "M_NOT_FOUND")
		s.fails("GET", v3+"/events/$nothing", alice, "", 404, "M_NOT_FOUND")

		var info legacyRoom
		path := v3 + "/rooms/" + url.PathEscape(room) + "/initialSync"
		decode(s.ok("GET", path+"?limit=2", alice, "").raw, &info)
		if info.Membership != "join" || len(info.Messages.Chunk) != 2 || info.Messages.Chunk[1].ID != two || len(info.State) < 5 || info.Visibility != "private" {
			t.Errorf("%+v", info)
		}
		s.fails("GET", path, bob, "", 403, "M_FORBIDDEN")

		s.ok("POST", v3+"/rooms/"+url.PathEscape(room)+"/ban", alice, `{"user_id":"@bob:hs1"}`)
		if a := s.ok("GET", v3+"/initialSync", bob, ""); strings.Contains(a.raw, room) {
			t.Errorf("what bob has to do with tells of a room that he is banned from: %s", a.raw)
		}
		if a := s.ok("GET", v3+"/initialSync?archived=true", bob, ""); !strings.Contains(a.raw, room) {
			t.Errorf("the archive lacks a room that bob is banned from: %s", a.raw)
		}
	})
}

// Who is no member follows a room that the whole world may read.
func TestPeekingEvents(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		open := s.openRoom(alice, `{"initial_state":[{"type":"m.room.history_visibility","content":{"history_visibility":"world_readable"}}]}`)
		path := v3 + "/events?timeout=20000&room_id=" + url.QueryEscape(open)
		from := s.ok("GET", path, bob, "").body["end"].(string)
		for range 2 {
			id := s.says(alice, open, body("hear me"))
			a := s.ok("GET", path+"&from="+from, bob, "")
			if chunk := a.body["chunk"].([]any); len(chunk) != 1 || chunk[0].(map[string]any)["event_id"] != id {
				t.Errorf("peeked %s", a.raw)
			}
			from = a.body["end"].(string)
		}
		closed := s.openRoom(alice, `{}`)
		s.fails("GET", v3+"/events?room_id="+url.QueryEscape(closed), bob, "", 403, "M_FORBIDDEN")
	})
}
