package clientapi_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// openRoom makes a room and returns its id.
func (s *server) openRoom(token, request string) string {
	s.t.Helper()
	id, _ := s.room(token, request)
	return id
}

// says sends a message and returns its id.
func (s *server) says(token, room, content string) string {
	s.t.Helper()
	path := fmt.Sprintf("%s/rooms/%s/send/m.room.message/%s", v3, url.PathEscape(room), rand.Text())
	return s.ok("PUT", path, token, content).body["event_id"].(string)
}

func body(text string) string {
	raw, _ := json.Marshal(map[string]string{"msgtype": "m.text", "body": text})
	return string(raw)
}

// found is what a search answered.
type found struct {
	Count      int
	Highlights []string
	NextBatch  string `json:"next_batch"`
	Results    []struct {
		Rank   float64
		Result struct {
			EventID string `json:"event_id"`
			Content map[string]any
		}
		Context struct {
			Start, End string
			Before     []map[string]any `json:"events_before"`
			After      []map[string]any `json:"events_after"`
			Profiles   map[string]any   `json:"profile_info"`
		}
	}
	State  map[string][]any
	Groups map[string]map[string]struct {
		Results   []string
		NextBatch string `json:"next_batch"`
		Order     int
	}
}

func (f *found) ids() []string {
	out := []string{}
	for _, r := range f.Results {
		out = append(out, r.Result.EventID)
	}
	return out
}

// search searches for a term; more are further members of the criteria, each with a leading comma.
func (s *server) search(token, term, more, from string) *found {
	s.t.Helper()
	quoted, _ := json.Marshal(term)
	path := v3 + "/search?next_batch=" + url.QueryEscape(from)
	a := s.ok("POST", path, token, `{"search_categories":{"room_events":{"search_term":`+string(quoted)+more+`}}}`)
	var out struct {
		Categories struct {
			RoomEvents found `json:"room_events"`
		} `json:"search_categories"`
	}
	if err := json.Unmarshal([]byte(a.raw), &out); err != nil {
		s.t.Fatal(err)
	}
	return &out.Categories.RoomEvents
}

// finds searches and compares which events are found, whatever their order.
func (s *server) finds(token, term, more string, want ...string) *found {
	s.t.Helper()
	f := s.search(token, term, more, "")
	got := f.ids()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || f.Count != len(want) {
		s.t.Errorf("search %q %s: %v (count %d), want %v", term, more, got, f.Count, want)
	}
	return f
}

// Words are found whatever their accents, elisions and case; all of them must be there.
func TestSearchWords(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		room := s.openRoom(alice, `{"name":"Salle des fêtes","topic":"Rien"}`)
		school := s.says(alice, room, body("À la fin, l'École est ouverte"))
		closed := s.says(alice, room, body("Une école fermée"))
		s.says(alice, room, body("Autre chose"))
		f := s.finds(alice, "ecole", "", school, closed)
		if slices.Sort(f.Highlights); !slices.Equal(f.Highlights, []string{"École", "école"}) {
			t.Errorf("highlights %v", f.Highlights)
		}
		s.finds(alice, "L'ÉCOLE ouverte", "", school)
		s.finds(alice, "ecole nulle", "")
		s.finds(alice, "", "")
		s.finds(alice, `" OR * ( & | !`, "")
		s.finds(alice, "ecol", "")
		if f := s.search(alice, "fetes", `,"keys":["content.name"]`, ""); f.Count != 1 {
			t.Errorf("by the name of the room: %d", f.Count)
		}
		s.finds(alice, "fetes", `,"keys":["content.body","content.topic"]`)
	})
}

// What somebody may not see he does not find, nor does a count tell him of it.
func TestSearchSeesNoMore(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		room := s.openRoom(alice, `{"preset":"private_chat","invite":["@bob:hs1"],"initial_state":[
			{"type":"m.room.history_visibility","state_key":"","content":{"history_visibility":"joined"}}]}`)
		early := s.says(alice, room, body("secret early"))
		s.finds(bob, "secret", "")
		s.ok("POST", v3+"/rooms/"+url.PathEscape(room)+"/join", bob, `{}`)
		seen := s.says(alice, room, body("secret seen"))
		s.finds(bob, "secret", "", seen)
		s.finds(alice, "secret", "", early, seen)
		s.ok("POST", v3+"/rooms/"+url.PathEscape(room)+"/leave", bob, `{}`)
		late := s.says(alice, room, body("secret late"))
		s.finds(bob, "secret", "", seen)
		other := s.says(alice, s.openRoom(alice, `{}`), body("secret other"))
		s.finds(alice, "secret", "", early, seen, late, other)
		s.finds(alice, "secret", fmt.Sprintf(`,"filter":{"rooms":[%q]}`, room), early, seen, late)
		s.finds(alice, "secret", fmt.Sprintf(`,"filter":{"not_rooms":[%q]}`, room), other)
		s.finds(alice, "secret", `,"filter":{"rooms":["!unknown:hs1"]}`)
		s.finds(alice, "secret", `,"filter":{"senders":["@bob:hs1"]}`)
		s.finds(alice, "secret", `,"filter":{"types":["m.room.name"]}`)
		s.ok("POST", v3+"/rooms/"+url.PathEscape(room)+"/forget", bob, `{}`)
		s.finds(bob, "secret", "")
		s.ok("PUT", v3+"/user/@alice:hs1/account_data/m.ignored_user_list", alice, `{"ignored_users":{"@alice:hs1":{}}}`)
		s.finds(alice, "secret", "")
	})
}

// Filters that ask for what an event says, or for a sender, choose among what is found.
func TestSearchFilters(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		room := s.openRoom(alice, `{"preset":"public_chat","name":"Le canal"}`)
		s.ok("POST", v3+"/join/"+url.PathEscape(room), bob, `{}`)
		plain := s.says(alice, room, body("canal sec"))
		his := s.says(bob, room, body("canal plein"))
		picture := s.says(alice, room, `{"msgtype":"m.image","body":"canal.png","url":"mxc://hs1/canal"}`)
		s.finds(bob, "canal", `,"keys":["content.body"]`, plain, his, picture)
		s.finds(bob, "canal", `,"filter":{"contains_url":true}`, picture)
		s.finds(bob, "canal", `,"filter":{"contains_url":false,"types":["m.room.message"]}`, plain, his)
		s.finds(bob, "canal", `,"filter":{"types":["m.room.message"],"not_senders":["@alice:hs1"]}`, his)
		s.finds(bob, "canal", `,"filter":{"not_types":["m.room.name"],"senders":["@alice:hs1"]}`, plain, picture)
		if f := s.search(bob, "canal", `,"filter":{"types":["m.room.name"]}`, ""); f.Count != 1 {
			t.Errorf("by the name of the room: %d", f.Count)
		}
	})
}

// A redacted message is not found, an edited one by its new words.
func TestSearchAfterChanges(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		room := s.openRoom(alice, `{}`)
		gone := s.says(alice, room, body("going soon"))
		kept := s.says(alice, room, body("going on"))
		s.finds(alice, "going", "", gone, kept)
		s.ok("PUT", v3+"/rooms/"+url.PathEscape(room)+"/redact/"+url.PathEscape(gone)+"/r1", alice, `{}`)
		s.finds(alice, "going", "", kept)
		s.finds(alice, "going", `,"order_by":"recent"`, kept)
		edit := s.says(alice, room, `{"msgtype":"m.text","body":"* stale","m.new_content":{"msgtype":"m.text","body":"fresh"},
			"m.relates_to":{"rel_type":"m.replace","event_id":"`+kept+`"}}`)
		s.finds(alice, "fresh", "", edit)
		s.finds(alice, "stale", "")
		reply := s.says(alice, room, `{"msgtype":"m.text","body":"> <@bob:hs1> quoted\n\nanswer","m.relates_to":{"m.in_reply_to":{"event_id":"`+kept+`"}}}`)
		s.finds(alice, "answer", "", reply)
		s.finds(alice, "quoted", "")
		s.says(alice, room, `{"msgtype":"m.text","body":7,"m.new_content":"x","m.relates_to":[]}`)
	})
}

// Pages follow one another without gap or repetition, in both orders, whatever comes between.
func TestSearchPages(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		for _, order := range []string{"recent", "rank"} {
			room := s.openRoom(alice, `{}`)
			var sent, got []string
			for i := range 25 {
				sent = append(sent, s.says(alice, room, body(order+strings.Repeat(" word", i%5))))
			}
			from := ""
			for range 4 {
				f := s.search(alice, order, `,"order_by":"`+order+`","filter":{"limit":10}`, from)
				if f.Count != 25 {
					t.Errorf("%s: count %d", order, f.Count)
				}
				got = append(got, f.ids()...)
				if from = f.NextBatch; from == "" {
					break
				}
				s.says(alice, room, body(order))
			}
			slices.Reverse(got)
			if order == "rank" {
				slices.Sort(got)
				slices.Sort(sent)
			}
			if !slices.Equal(got, sent) {
				t.Errorf("%s: %v, want %v", order, got, sent)
			}
		}
	})
}

// The further results of a group are in that group.
func TestSearchGroupPages(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		rooms := []string{s.openRoom(alice, `{}`), s.openRoom(alice, `{}`)}
		sent := map[string][]string{}
		for i := range 12 {
			room := rooms[i%2]
			sent[room] = append(sent[room], s.says(alice, room, body("grouped")))
		}
		const more = `,"order_by":"recent","filter":{"limit":4},"groupings":{"group_by":[{"key":"room_id"}]}`
		first := s.search(alice, "grouped", more, "")
		for _, room := range rooms {
			g := first.Groups["room_id"][room]
			got := append(g.Results, s.search(alice, "grouped", more, g.NextBatch).ids()...)
			slices.Reverse(got)
			if !slices.Equal(got, sent[room]) {
				t.Errorf("group %s: %v, want %v", room, got, sent[room])
			}
		}
	})
}

// A result comes with what stands around it, the state of its room and the groups that were asked for.
func TestSearchExtras(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		s.ok("PUT", v3+"/profile/@alice:hs1/displayname", alice, `{"displayname":"Alice"}`)
		room := s.openRoom(alice, `{}`)
		first := s.says(alice, room, body("first"))
		hit := s.says(alice, room, body("needle"))
		last := s.says(alice, room, body("last"))
		f := s.finds(alice, "needle", `,"event_context":{"before_limit":1,"after_limit":1,"include_profile":true},"include_state":true,
			"groupings":{"group_by":[{"key":"room_id"},{"key":"sender"}]}`, hit)
		c := f.Results[0].Context
		if len(c.Before) != 1 || c.Before[0]["event_id"] != first || len(c.After) != 1 || c.After[0]["event_id"] != last || c.Start == "" || c.End == "" {
			t.Errorf("context %+v", c)
		}
		if p, _ := c.Profiles["@alice:hs1"].(map[string]any); p["displayname"] != "Alice" {
			t.Errorf("profiles %v", c.Profiles)
		}
		if len(f.State[room]) == 0 {
			t.Error("no state")
		}
		if g := f.Groups["room_id"][room]; !slices.Equal(g.Results, []string{hit}) || g.Order != 1 {
			t.Errorf("group %+v", g)
		}
		if g := f.Groups["sender"]["@alice:hs1"]; !slices.Equal(g.Results, []string{hit}) {
			t.Errorf("group %+v", g)
		}
		best := s.says(alice, room, body("needle needle"))
		s.says(alice, room, body("a needle in a very large stack of hay which hides it well"))
		if f := s.search(alice, "needle", "", ""); f.Results[0].Result.EventID != best || f.Results[0].Rank <= f.Results[2].Rank {
			t.Errorf("the best is not first: %v", f.Results)
		}
	})
}

func TestSearchRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		criteria := func(c string) string { return `{"search_categories":{"room_events":` + c + `}}` }
		for request, code := range map[string]string{
			criteria(`{}`): "M_MISSING_PARAM",
			criteria(`{"search_term":"a","order_by":"x"}`):                                                  "M_INVALID_PARAM",
			criteria(`{"search_term":"a","keys":["content.url"]}`):                                          "M_INVALID_PARAM",
			criteria(`{"search_term":"a","groupings":{"group_by":[{"key":"x"}]}}`):                          "M_INVALID_PARAM",
			criteria(`{"search_term":"a","filter":{"limit":-1}}`):                                           "M_BAD_JSON",
			criteria(`{"search_term":"` + strings.Repeat("a1 b2 c3 d4 e5 f6 g7 h8 ", 1) + words(60) + `"}`): "M_INVALID_PARAM",
		} {
			s.fails("POST", v3+"/search", alice, request, http.StatusBadRequest, code)
		}
		s.fails("POST", v3+"/search?next_batch=x", alice, criteria(`{"search_term":"a"}`), http.StatusBadRequest, "M_INVALID_PARAM")
		s.fails("POST", v3+"/search", "", criteria(`{"search_term":"a"}`), http.StatusUnauthorized, "M_MISSING_TOKEN")
		s.ok("POST", v3+"/search", alice, `{"search_categories":{}}`)
	})
}

// words are n different ones.
func words(n int) string {
	var sb strings.Builder
	for i := range n {
		fmt.Fprintf(&sb, "word%d ", i)
	}
	return sb.String()
}

// A filter may name many rooms and people, but not without end: each is looked up.
func TestSearchBoundsWhatAFilterNames(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		room := s.openRoom(alice, `{}`)
		said := s.says(alice, room, body("canal"))
		named := func(n int) string {
			list := []string{"@alice:hs1"}
			for i := range n - 2 {
				list = append(list, fmt.Sprintf("@nobody%d:hs1", i))
			}
			senders, _ := json.Marshal(list)
			return fmt.Sprintf(`,"filter":{"rooms":[%q],"senders":%s}`, room, senders)
		}
		s.finds(alice, "canal", named(2000), said)
		a := s.do("POST", v3+"/search", alice, `{"search_categories":{"room_events":{"search_term":"canal"`+named(2001)+`}}}`)
		if a.status != http.StatusBadRequest || a.body["errcode"] != "M_INVALID_PARAM" {
			t.Errorf("%d %s", a.status, a.raw)
		}
	})
}
