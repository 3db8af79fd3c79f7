package clientapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"testing"
)

// people searches the user directory.
func (s *server) people(token, term string) []string {
	s.t.Helper()
	quoted, _ := json.Marshal(term)
	a := s.ok("POST", v3+"/user_directory/search", token, `{"search_term":`+string(quoted)+`}`)
	out := []string{}
	for _, r := range a.body["results"].([]any) {
		out = append(out, r.(map[string]any)["user_id"].(string))
	}
	return out
}

// People are found by the beginnings of their names' words, whatever the accents, and by their ids.
func TestUserDirectory(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob.martin")
		s.ok("PUT", v3+"/profile/@bob.martin:hs1/displayname", bob, `{"displayname":"Hélène d'Été-Martin"}`)
		if got := s.people(alice, "helene"); len(got) != 0 {
			t.Errorf("a stranger: %v", got)
		}
		s.room(bob, `{"visibility":"public"}`)
		const him = "@bob.martin:hs1"
		for _, term := range []string{"helene", "HÉLÈNE", "hel", "mart", "ete helene", "@bob.martin:hs1", "@BOB", "bob", "martin bob"} {
			if got := s.people(alice, term); !slices.Equal(got, []string{him}) {
				t.Errorf("%q: %v", term, got)
			}
		}
		for _, term := range []string{"", "@", "lene", "helene jean", "%", "_", "@bob.martin:hs2"} {
			if got := s.people(alice, term); len(got) != 0 {
				t.Errorf("%q: %v", term, got)
			}
		}
		if got := s.people(bob, "bob"); len(got) != 0 {
			t.Errorf("finds himself: %v", got)
		}
		s.ok("PUT", v3+"/profile/@bob.martin:hs1/displayname", bob, `{"displayname":""}`)
		if got := s.people(alice, "helene"); len(got) != 0 {
			t.Errorf("by a name that he gave up: %v", got)
		}
	})
}

// Reports are kept; nobody learns from them what exists.
func TestReports(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		id, path := s.room(alice, `{}`)
		event := url.PathEscape(s.says(alice, id, body("bad")))
		s.ok("POST", path+"/report/"+event, alice, `{"reason":"spam","score":-100}`)
		s.ok("POST", path+"/report/"+event, alice, `{}`)
		s.fails("POST", path+"/report/"+event, bob, `{"reason":"spam"}`, 404, "M_NOT_FOUND")
		s.fails("POST", path+"/report/$none", alice, `{"reason":"spam"}`, 404, "M_NOT_FOUND")
		s.fails("POST", v3+"/rooms/!none:hs1/report/$none", alice, `{"reason":"spam"}`, 404, "M_NOT_FOUND")
		s.ok("POST", path+"/report", bob, `{"reason":"spam"}`)
		s.ok("POST", v3+"/rooms/!none:hs1/report", bob, `{"reason":"spam"}`)
		s.ok("POST", v3+"/users/@alice:hs1/report", bob, `{"reason":"spam"}`)
		s.ok("POST", v3+"/users/@nobody:hs1/report", bob, `{"reason":"spam"}`)
		s.fails("POST", v3+"/users/@alice:hs1/report", bob, `{"reason":7}`, 400, "M_BAD_JSON")
		s.fails("POST", path+"/report", "", `{}`, 401, "M_MISSING_TOKEN")
	})
}

// Rooms that two people are both in, and no others.
func TestMutualRooms(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		const path = "/_matrix/client/v1/mutual_rooms?user_id="
		both, at := s.room(alice, `{"preset":"public_chat"}`)
		s.room(alice, `{"invite":["@bob:hs1"]}`)
		s.room(bob, `{}`)
		if a := s.ok("GET", path+"@bob:hs1", alice, ""); a.body["count"] != 0.0 || len(a.body["joined"].([]any)) != 0 {
			t.Errorf("before: %s", a.raw)
		}
		s.ok("POST", at+"/join", bob, `{}`)
		if a := s.ok("GET", path+"@bob:hs1", alice, ""); a.raw != fmt.Sprintf(`{"joined":[%q],"count":1}`, both) {
			t.Errorf("after: %s", a.raw)
		}
		if a := s.ok("GET", path+"@nobody:hs2", alice, ""); a.raw != `{"joined":[],"count":0}` {
			t.Errorf("nobody: %s", a.raw)
		}
		for _, q := range []string{"@alice:hs1", "", "x", "@bob:hs1&from=%21"} {
			s.fails("GET", path+q, alice, "", 400, "M_INVALID_PARAM")
		}
	})
}
