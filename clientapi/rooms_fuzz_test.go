package clientapi_test

import (
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzRoomQueries asks every reading route of a room for anything: the answer is JSON and never our own fault.
func FuzzRoomQueries(f *testing.F) {
	s := newServer(f, filepath.Join(f.TempDir(), "fuzz.db"))
	token, _ := s.register("alice")
	_, path := s.room(token, `{"preset":"public_chat"}`)
	event := s.send(token, path, "1", `{"body":"x"}`)
	var routes []string
	for _, r := range s.router.Routes() {
		if r.Method == "GET" && !r.Alias && (strings.Contains(r.Pattern, "{roomID}") || strings.Contains(r.Pattern, "oom")) {
			routes = append(routes, r.Pattern)
		}
	}
	room := strings.TrimPrefix(path, v3+"/rooms/")
	for i := range routes {
		for _, query := range []string{"", "dir=b", "dir=f&from=t1&to=h1_1&limit=-1", "from=s1_2_3_4&dir=b&limit=99999999999999999999", "ts=-1&dir=f",
			"filter={&dir=b", `filter={"types":[1]}&dir=b`, `filter={"lazy_load_members":true,"limit":-3}&dir=b`, "at=x", "at=t9223372036854775807",
			"membership=join&not_membership=x", "format=event", "since=-1&limit=5", "from=h9223372036854775807_0&dir=b", "recurse=maybe", "include=x", "%zz"} {
			f.Add(uint(i), event, "m.room.member", "@alice:hs1", query)
		}
	}
	f.Fuzz(func(t *testing.T, which uint, id, typ, key, query string) {
		to := routes[which%uint(len(routes))]
		to = strings.NewReplacer("{roomID}", room, "{roomIDOrAlias}", room, "{eventID}", url.PathEscape(id), "{eventType}", url.PathEscape(typ),
			"{stateKey}", url.PathEscape(key), "{relType}", url.PathEscape(typ), "{roomAlias}", url.PathEscape(key)).Replace(to)
		for strings.Contains(to, "{") { // variables of any other name
			from, end := strings.Index(to, "{"), strings.Index(to, "}")
			to = to[:from] + "x" + to[end+1:]
		}
		u, err := url.Parse(to)
		if err != nil {
			return
		}
		u.RawQuery = url.QueryEscape(query)
		if strings.IndexFunc(query, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }) < 0 {
			u.RawQuery = query
		}
		a := (&server{t, s.router, s.users}).do("GET", u.String(), token, "")
		if a.status >= 500 || !json.Valid([]byte(a.raw)) {
			t.Errorf("GET %s: %d %s", u, a.status, a.raw)
		}
	})
}
