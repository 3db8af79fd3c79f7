package adminapi_test

import (
	"net/http"
	"strings"
	"testing"

	"rempart/storage"
)

func TestOnlyAdministrators(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice := s.register("alice")
		for _, r := range s.router.Routes() {
			if !strings.HasPrefix(r.Pattern, "/_synapse/admin/") || r.Access.String() == "public" {
				continue
			}
			for token, want := range map[string]string{alice: "M_FORBIDDEN", "": "M_MISSING_TOKEN"} {
				if a := s.do(r.Method, strings.NewReplacer("{", "", "}", "").Replace(r.Pattern), token, "{}"); a.body["errcode"] != want {
					t.Errorf("%s %s: %d %s, want %s", r.Method, r.Pattern, a.status, a.raw, want)
				}
			}
		}
		if a := s.do("GET", v1+"/server_version", "", ""); a.status != 200 || a.body["server_version"] != "Rempart test" {
			t.Error(a.raw)
		}
	})
}

func TestMakingAndChangingAccounts(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const carol = v2 + "/users/@carol:hs1"
		s.fails("GET", carol, "", 404, "M_NOT_FOUND")
		s.fails("GET", v2+"/users/@carol:elsewhere", "", 400, "M_INVALID_PARAM")
		s.fails("PUT", v2+"/users/@Carol:hs1", `{}`, 400, "M_INVALID_USERNAME")
		a := s.do("PUT", carol, s.boss, `{"password":"first-password","displayname":"Carol","admin":true,"user_type":"bot",
			"threepids":[{"medium":"email","address":"Carol@Example.org"}],"external_ids":[{"auth_provider":"oidc-x","external_id":"c 1"}]}`)
		if a.status != http.StatusCreated || a.at("name") != "@carol:hs1" || a.at("admin") != true || a.at("displayname") != "Carol" || a.at("user_type") != "bot" {
			t.Fatalf("%d %s", a.status, a.raw)
		}
		if made := s.ok("GET", carol, ""); made.at("creation_ts").(float64) > 1e11 || made.at("is_guest") != false || made.at("locked") != false {
			t.Error(made.raw)
		}
		s.is("GET", v1+"/threepid/email/users/carol@example.org", "", "user_id", "@carol:hs1")
		s.fails("GET", v1+"/threepid/email/users/nobody@example.org", "", 404, "M_NOT_FOUND")
		s.is("GET", v1+"/auth_providers/oidc-x/users/c%201", "", "user_id", "@carol:hs1")
		s.fails("GET", v1+"/auth_providers/oidc-x/users/c2", "", 404, "M_NOT_FOUND")
		if a := s.do("PUT", v2+"/users/@dan:hs1", s.boss, `{"threepids":[{"medium":"email","address":"carol@example.org"}]}`); a.status/100 == 2 {
			t.Error("an address went to two accounts:", a.raw)
		}

		login := `{"type":"m.login.password","identifier":{"type":"m.id.user","user":"carol"},"password":"`
		token := s.as("", "POST", v3+"/login", login+`first-password"}`).body["access_token"].(string)
		if a := s.do("PUT", carol, s.boss, `{"password":"second-password","logout_devices":false}`); a.status != 200 {
			t.Fatal(a.raw)
		}
		s.as(token, "GET", v3+"/account/whoami", "")
		s.ok("PUT", carol, `{"password":"third-password","admin":false,"displayname":""}`)
		if a := s.do("GET", v3+"/account/whoami", token, ""); a.status != 401 {
			t.Error("a session outlived its password:", a.raw)
		}
		s.is("GET", v1+"/users/@carol:hs1/admin", "", "admin", false)
		s.is("GET", carol, "", "displayname", nil)
		s.is("PUT", carol, `{"user_type":null,"locked":true}`, "user_type", nil)
		if a := s.do("POST", v3+"/login", "", login+`third-password"}`); a.at("errcode") != "M_USER_LOCKED" && a.status == 200 {
			t.Error("a locked account logs in:", a.raw)
		}
		s.is("PUT", carol, `{"deactivated":true,"locked":false}`, "deactivated", true)
		s.is("PUT", carol, `{"deactivated":false,"password":"fourth-password"}`, "deactivated", false)
		s.as("", "POST", v3+"/login", login+`fourth-password"}`)
		for body, code := range map[string]string{`{"admin":1}`: "M_BAD_JSON", `{"user_type":"king"}`: "M_INVALID_PARAM", `{"avatar_url":"http://x"}`: "M_INVALID_PARAM",
			`{"threepids":[{"medium":"fax","address":"1"}]}`: "M_INVALID_PARAM", `[]`: "M_BAD_JSON"} {
			s.fails("PUT", carol, body, 400, code)
		}
		s.fails("PUT", v2+"/users/@boss:hs1", `{"admin":false}`, 400, "M_INVALID_PARAM")
		s.fails("PUT", v1+"/users/@carol:hs1/admin", `{}`, 400, "M_MISSING_PARAM")
		s.ok("PUT", v1+"/users/@carol:hs1/admin", `{"admin":true}`)
		s.is("GET", v1+"/users/@carol:hs1/admin", "", "admin", true)
		s.recorded("user.modify")
	})
}

func TestListOfUsers(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, name := range []string{"ann", "ben", "cleo"} {
			s.register(name)
		}
		s.ok("PUT", v2+"/users/@ben:hs1", `{"displayname":"Zebra","locked":true}`)
		s.ok("POST", v1+"/deactivate/@cleo:hs1", `{"erase":true}`)
		names := func(path string) string {
			t.Helper()
			var out []string
			for _, u := range s.ok("GET", path, "").body["users"].([]any) {
				out = append(out, strings.TrimSuffix(u.(map[string]any)["name"].(string)[1:], ":hs1"))
			}
			return strings.Join(out, " ")
		}
		for path, want := range map[string]string{
			v2 + "/users": "ann boss", v2 + "/users?locked=true": "ann ben boss", v2 + "/users?deactivated=true": "ann boss cleo",
			"/_synapse/admin/v3/users?locked=true": "ann ben boss cleo", "/_synapse/admin/v3/users?deactivated=true": "cleo",
			"/_synapse/admin/v3/users?deactivated=false": "ann boss", v2 + "/users?admins=true": "boss", v2 + "/users?admins=false": "ann",
			v2 + "/users?name=zeb&locked=true": "ben", v2 + "/users?user_id=an": "ann", v2 + "/users?name=hs1": "",
			v2 + "/users?dir=b": "boss ann",
			v2 + "/users?order_by=displayname&dir=b&locked=true": "ben ann boss", v2 + "/users?from=1&limit=1": "boss",
			v2 + "/users?order_by=creation_ts": "boss ann",
		} {
			if got := names(path); got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
		s.is("GET", v2+"/users?limit=1", "", "next_token", "1")
		s.is("GET", v2+"/users?limit=1&from=1", "", "next_token", nil)
		s.is("GET", v2+"/users?limit=1", "", "total", 2)
		for _, q := range []string{"order_by=shoe", "limit=-1", "from=x", "dir=z", "admins=maybe"} {
			s.fails("GET", v2+"/users?"+q, "", 400, "M_INVALID_PARAM")
		}
	})
}

func TestActsOnAccounts(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice := s.register("alice")
		s.fails("PUT", v1+"/suspend/@alice:hs1", `{}`, 400, "M_MISSING_PARAM")
		s.ok("PUT", v1+"/suspend/@alice:hs1", `{"suspend":true}`)
		s.is("GET", v2+"/users/@alice:hs1", "", "suspended", true)
		if a := s.do("POST", v3+"/createRoom", alice, `{}`); a.at("errcode") != "M_USER_SUSPENDED" {
			t.Error(a.raw)
		}
		s.ok("PUT", v1+"/suspend/@alice:hs1", `{"suspend":false}`)

		token := s.ok("POST", v1+"/users/@alice:hs1/login", `{}`).body["access_token"].(string)
		if a := s.as(token, "GET", v3+"/account/whoami", ""); a.at("user_id") != "@alice:hs1" || a.at("device_id") != nil {
			t.Error(a.raw)
		}
		s.recorded("user.login-as")
		s.is("GET", v2+"/users/@alice:hs1/devices", "", "total", 1)
		s.fails("POST", v1+"/users/@boss:hs1/login", `{}`, 400, "M_INVALID_PARAM")
		s.fails("POST", v1+"/users/@alice:hs1/login", `{"valid_until_ms":1000}`, 400, "M_INVALID_PARAM")

		s.fails("POST", v1+"/reset_password/@alice:hs1", `{}`, 400, "M_MISSING_PARAM")
		s.ok("POST", v1+"/reset_password/@alice:hs1", `{"new_password":"another-one"}`)
		if a := s.do("GET", v3+"/account/whoami", alice, ""); a.status != 401 {
			t.Error("a session outlived its password:", a.raw)
		}
		s.as("", "POST", v3+"/login", `{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"another-one"}`)

		s.fails("POST", v1+"/account_validity/validity", `{"user_id":"@alice:hs1"}`, 400, "M_INVALID_PARAM")
		s.is("POST", v1+"/account_validity/validity", `{"user_id":"@alice:hs1","expiration_ts":4000000000000}`, "expiration_ts", 4000000000000)
		s.fails("POST", v1+"/users/@alice:hs1/_allow_cross_signing_replacement_without_uia", `{}`, 404, "M_NOT_FOUND")
		s.is("GET", v1+"/username_available?username=free", "", "available", true)
		s.fails("GET", v1+"/username_available?username=alice", "", 400, "M_USER_IN_USE")

		s.is("GET", v1+"/experimental_features/@alice:hs1", "", "features.msc4222", true)
		s.ok("PUT", v1+"/experimental_features/@alice:hs1", `{"features":{"msc4222":true}}`)
		s.fails("PUT", v1+"/experimental_features/@alice:hs1", `{"features":{"msc4222":false}}`, 400, "M_INVALID_PARAM")

		s.ok("POST", v1+"/deactivate/@alice:hs1", ``)
		s.is("GET", v2+"/users/@alice:hs1", "", "erased", false)
		s.ok("POST", v1+"/deactivate/@alice:hs1", `{"erase":true}`)
		s.is("GET", v2+"/users/@alice:hs1", "", "erased", true)
		s.fails("POST", v1+"/deactivate/@boss:hs1", `{}`, 403, "M_FORBIDDEN")
	})
}

func TestDevicesOfOthers(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice := s.register("alice")
		const all = v2 + "/users/@alice:hs1/devices"
		s.ok("POST", all, `{"device_id":"NEW"}`)
		s.ok("POST", all, `{"device_id":"NEW"}`)
		s.is("GET", all, "", "total", 2)
		s.ok("PUT", all+"/NEW", `{"display_name":"A phone"}`)
		s.is("GET", all+"/NEW", "", "display_name", "A phone")
		s.fails("GET", all+"/NONE", "", 404, "M_NOT_FOUND")
		s.fails("PUT", all+"/NONE", `{"display_name":"x"}`, 404, "M_NOT_FOUND")
		s.ok("DELETE", all+"/NEW", `{}`)
		s.ok("POST", v2+"/users/@alice:hs1/delete_devices", `{"devices":["ALICE","NONE"]}`)
		s.recorded("device.delete")
		s.is("GET", all, "", "total", 0)
		if a := s.do("GET", v3+"/account/whoami", alice, ""); a.status != 401 {
			t.Error("a session outlived its device:", a.raw)
		}
		s.is("GET", v1+"/whois/@boss:hs1", "", "user_id", "@boss:hs1")
	})
}

func TestWhatIsAskedOfUsers(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, bob := s.register("alice"), s.register("bob")
		one := s.createRoom(alice, `{"invite":["@bob:hs1"]}`)
		two := s.createRoom(alice, `{"preset":"public_chat"}`)
		s.join(bob, two)
		s.as(alice, "PUT", v3+"/user/@alice:hs1/account_data/x", `{"a":1}`)
		s.as(alice, "PUT", v3+"/user/@alice:hs1/rooms/"+esc(one)+"/account_data/y", `{"b":2}`)
		s.is("GET", v1+"/users/@alice:hs1/joined_rooms", "", "total", 2)
		s.is("GET", v1+"/users/@bob:hs1/memberships", "", "memberships", map[string]string{one: "invite", two: "join"})
		s.is("GET", v1+"/users/@alice:hs1/sent_invite_count?from_ts=0", "", "invite_count", 1)
		s.is("GET", v1+"/users/@alice:hs1/sent_invite_count?from_ts=4000000000000", "", "invite_count", 0)
		s.fails("GET", v1+"/users/@alice:hs1/sent_invite_count", "", 400, "M_MISSING_PARAM")
		s.is("GET", v1+"/users/@bob:hs1/cumulative_joined_room_count?from_ts=0", "", "cumulative_joined_room_count", 1)
		data := s.ok("GET", v1+"/users/@alice:hs1/accountdata", "")
		s.recorded("user.read-account-data")
		rooms := data.at("account_data.rooms").(map[string]any)
		if data.at("account_data.global.x.a") != 1.0 || rooms[one].(map[string]any)["y"].(map[string]any)["b"] != 2.0 {
			t.Error(data.raw)
		}
		s.is("GET", v1+"/users/@alice:hs1/pushers", "", "total", 0)
		nid, err := s.db.FindUserNID(t.Context(), "@alice:hs1")
		if err != nil {
			t.Fatal(err)
		}
		c := &storage.Change{}
		live := c.Live(storage.Live{Kind: storage.KindPusher, User: nid}) + 1
		c.Add(&storage.PusherRow{At: storage.At{Live: live}, Pusher: storage.Pusher{NID: 1, User: nid, AppID: "a", PushKey: "k", Kind: "http",
			Data: []byte(`{"url":"https://push.example.org/_matrix/push/v1/notify"}`)}})
		if err := s.db.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		s.is("GET", v1+"/users/@alice:hs1/pushers", "", "total", 1)
	})
}
