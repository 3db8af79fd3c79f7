package clientapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"

	"rempart/internal/matrix"
)

func inThread(root, text, more string) string {
	return fmt.Sprintf(`{"msgtype":"m.text","body":%q,"m.mentions":{%s},"m.relates_to":{"rel_type":"m.thread","event_id":%q}}`, text, more, root)
}

func (s *server) subscription(room, root string) string {
	return "/_matrix/client/unstable/io.element.msc4306/rooms/" + url.PathEscape(room) + "/thread/" + url.PathEscape(root) + "/subscription"
}

// unread counts what a first sync says is unread in a room, its threads included.
func (s *server) unread(token, room string) (notify, highlight float64) {
	s.t.Helper()
	a := s.ok("GET", v3+"/sync", token, "")
	counts := a.body["rooms"].(map[string]any)["join"].(map[string]any)[room].(map[string]any)["unread_notifications"].(map[string]any)
	return counts["notification_count"].(float64), counts["highlight_count"].(float64)
}

// Who subscribes to threads hears of those, and of mentions; who never did hears of all.
func TestThreadSubscriptionsDecideWhoIsNotified(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		carol, _ := s.register("carol")
		room := s.openRoom(alice, `{"preset":"public_chat"}`)
		for _, token := range []string{bob, carol} {
			s.ok("POST", v3+"/join/"+url.PathEscape(room), token, `{}`)
		}
		one, two := s.says(alice, room, body("one")), s.says(alice, room, body("two"))
		s.ok("PUT", s.subscription(room, one), bob, `{}`)
		for _, token := range []string{bob, carol} {
			s.ok("POST", v3+"/rooms/"+url.PathEscape(room)+"/receipt/m.read/"+url.PathEscape(two), token, `{}`)
		}
		check := func(who, token string, notify, highlight float64) {
			t.Helper()
			if n, h := s.unread(token, room); n != notify || h != highlight {
				t.Errorf("%s has %v unread, %v highlights; want %v, %v", who, n, h, notify, highlight)
			}
		}
		s.says(alice, room, inThread(one, "subscribed", ""))
		check("bob", bob, 1, 0)
		s.says(alice, room, inThread(two, "not subscribed", ""))
		check("bob", bob, 1, 0)
		s.says(alice, room, inThread(two, "hey bob", `"user_ids":["@bob:hs1"]`))
		check("bob", bob, 2, 1)
		check("carol", carol, 3, 0)
		// A muted room does not mute a thread that one subscribed to.
		s.ok("PUT", v3+"/pushrules/global/room/"+url.PathEscape(room), bob, `{"actions":[]}`)
		s.says(alice, room, body("muted"))
		s.says(alice, room, inThread(one, "still heard", ""))
		check("bob", bob, 3, 1)
		s.ok("DELETE", s.subscription(room, one), bob, "")
		s.says(alice, room, inThread(one, "unsubscribed", ""))
		check("bob", bob, 3, 1)

		rules := s.ok("GET", v3+"/pushrules/", bob, "").body["global"].(map[string]any)
		if list, _ := rules["postcontent"].([]any); len(list) != 2 {
			t.Errorf("bob's rules on threads: %v", rules["postcontent"])
		}
		if rules = s.ok("GET", v3+"/pushrules/", carol, "").body["global"].(map[string]any); rules["postcontent"] != nil {
			t.Error("carol never said anything of threads")
		}
		s.fails("PUT", v3+"/pushrules/global/postcontent/mine", bob, `{"actions":[],"conditions":[]}`, 400, matrix.CodeInvalidParam)
	})
}

func TestThreadSubscriptionsArePaged(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		eve, _ := s.register("eve")
		room := s.openRoom(alice, `{"preset":"private_chat"}`)
		var roots []string
		for i := range 5 {
			roots = append(roots, s.says(alice, room, body(fmt.Sprint(i))))
			s.ok("PUT", s.subscription(room, roots[i]), alice, `{}`)
		}
		s.ok("DELETE", s.subscription(room, roots[0]), alice, "")
		const path = "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions?dir=b&limit=2"
		seen := map[string]bool{}
		from := ""
		for pages := 0; ; pages++ {
			a := s.ok("GET", path+from, alice, "")
			var page struct {
				Subscribed, Unsubscribed map[string]map[string]struct {
					Stamp int64 `json:"bump_stamp"`
				}
				End string
			}
			if err := json.Unmarshal([]byte(a.raw), &page); err != nil {
				t.Fatal(err)
			}
			for root, v := range page.Subscribed[room] {
				seen["+"+root] = v.Stamp > 0
			}
			for root := range page.Unsubscribed[room] {
				seen["-"+root] = true
			}
			if page.End == "" {
				if pages != 2 {
					t.Errorf("%d pages, want 3", pages+1)
				}
				break
			}
			from = "&from=" + page.End
		}
		if len(seen) != 5 || !seen["-"+roots[0]] || !seen["+"+roots[4]] {
			t.Errorf("paged through %v", seen)
		}
		s.fails("GET", path[:len(path)-len("?dir=b&limit=2")], alice, "", 400, matrix.CodeInvalidParam)
		s.fails("GET", s.subscription(room, roots[1]), eve, "", 404, matrix.CodeNotFound)
		s.fails("GET", s.subscription(room, roots[0]), alice, "", 404, matrix.CodeNotFound)
	})
}
