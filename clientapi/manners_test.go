package clientapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rempart/core/users"
)

func TestEveryPathUnderR0(t *testing.T) {
	s := newServer(t, t.TempDir()+"/r0.db")
	have := map[string]bool{}
	for _, r := range s.router.Routes() {
		have[r.Method+" "+r.Pattern] = true
	}
	for route := range have {
		if old := strings.Replace(route, "/_matrix/client/v3/", "/_matrix/client/r0/", 1); !have[old] {
			t.Errorf("%s is not served under r0", route)
		}
	}
}

func TestMannersOnEveryPath(t *testing.T) {
	s := newServer(t, t.TempDir()+"/manners.db")
	ask := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.router.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		if h := w.Header(); h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("%s %s: no CORS headers", method, path)
		}
		return w
	}
	for path, status := range map[string]int{
		v3 + "/account/whoami": 401, v3 + "/nothing": 404, "/nowhere": 404, "/_matrix/client/r0/login": 200, "/_matrix/client/v9/login": 404,
	} {
		if w := ask("OPTIONS", path); w.Code/100 != 2 {
			t.Errorf("OPTIONS %s: %d", path, w.Code)
		}
		if w := ask("GET", path); w.Code != status {
			t.Errorf("GET %s: %d, want %d", path, w.Code, status)
		}
	}
	for _, path := range []string{v3 + "/nothing", "/"} {
		if w := ask("GET", path); !strings.Contains(w.Body.String(), "M_UNRECOGNIZED") {
			t.Error(w.Body)
		}
	}
	if w := ask("DELETE", v3+"/login"); w.Code != http.StatusMethodNotAllowed || !strings.Contains(w.Body.String(), "M_UNRECOGNIZED") {
		t.Error(w.Code, w.Body)
	}
}

func TestTheAddressOpenedInABrowser(t *testing.T) {
	s := newServer(t, t.TempDir()+"/home.db")
	open := func(method, path, language string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		req := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
		req.Header.Set("Accept-Language", language)
		s.router.ServeHTTP(w, req)
		return w
	}
	for language, says := range map[string]string{"en": "Open a Matrix application", "fr-FR,en": "Ouvrez une application Matrix"} {
		w := open("GET", "/", language)
		if body := w.Body.String(); w.Code != 200 || !strings.Contains(body, says) || !strings.Contains(body, "@n") ||
			!strings.Contains(body, ":hs1</code>") || !strings.Contains(body, "https://hs1") || strings.Contains(body, "ZgotmplZ") {
			t.Error(w.Code, body)
		}
		if h := w.Header(); h.Get("Content-Type") != "text/html; charset=utf-8" || !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Error(h)
		}
	}
	for _, path := range []string{"/nowhere", "//", v3 + "/nothing"} {
		if w := open("GET", path, "en"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "M_UNRECOGNIZED") {
			t.Error(path, w.Code, w.Body)
		}
	}
}

func TestAccountsOverHTTP(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token, _ := s.register("alice")
		a := s.ok("POST", v3+"/user/@alice:hs1/openid/request_token", token, `{}`)
		if a.body["token_type"] != "Bearer" || a.body["matrix_server_name"] != "hs1" || a.body["expires_in"] != 3600.0 {
			t.Error(a.raw)
		}
		s.fails("POST", v3+"/user/@bob:hs1/openid/request_token", token, `{}`, 403, "M_FORBIDDEN")
		if a := s.do("POST", "/_matrix/client/v1/login/get_token", token, `{}`); a.status != 401 || a.body["session"] == nil {
			t.Error(a.status, a.raw)
		}
		auth := `{"auth":{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"secret"}}`
		login := s.ok("POST", "/_matrix/client/v1/login/get_token", token, auth).body["login_token"].(string)
		s.ok("POST", v3+"/login", "", `{"type":"m.login.token","token":"`+login+`"}`)
		s.fails("POST", v3+"/login", "", `{"type":"m.login.token","token":"`+login+`"}`, 403, "M_FORBIDDEN")
		for _, path := range []string{"/register/email/requestToken", "/account/password/email/requestToken", "/account/3pid/email/requestToken", "/account/3pid/msisdn/requestToken"} {
			s.fails("POST", v3+path, token, `{"client_secret":"x","email":"a@b.org","send_attempt":1}`, 400, "M_THREEPID_MEDIUM_NOT_SUPPORTED")
		}
		s.fails("POST", v3+"/account/3pid/bind", token, `{}`, 400, "M_SERVER_NOT_TRUSTED")
		if a := s.ok("POST", v3+"/account/3pid/delete", token, `{"medium":"email","address":"a@b.org"}`); a.body["id_server_unbind_result"] != "no-support" {
			t.Error(a.raw)
		}
		s.fails("POST", v3+"/account/password", "", `{"new_password":"x"}`, 401, "M_MISSING_TOKEN")
		s.fails("GET", "/.well-known/matrix/support", "", "", 404, "M_NOT_FOUND")
		for _, page := range []string{"confirm", "activate", "renew"} {
			if a := s.do("POST", "/_rempart/account/"+page+"?token=<script>", "", "token=x&password=a&again=a"); a.status != 404 || strings.Contains(a.raw, "<script>") {
				t.Error(page, a.status, a.raw)
			}
		}
	})
}

func TestAdministratorsShutAccounts(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token, _ := s.register("alice")
		room := s.ok("POST", v3+"/createRoom", token, `{}`).body["room_id"].(string)
		said := s.ok("PUT", v3+"/rooms/"+room+"/send/m.room.message/1", token, `{"msgtype":"m.text","body":"x"}`).body["event_id"].(string)
		if _, err := s.users.Create(t.Context(), "test", users.NewAccount{Username: "boss", Password: "secret", Admin: true}); err != nil {
			t.Fatal(err)
		}
		boss := s.ok("POST", v3+"/login", "", `{"type":"m.login.password","user":"boss","password":"secret"}`).body["access_token"].(string)
		const lock, suspend = "/_matrix/client/v1/admin/lock/@alice:hs1", "/_matrix/client/v1/admin/suspend/@alice:hs1"
		s.fails("PUT", lock, token, `{"locked":true}`, 403, "M_FORBIDDEN")
		s.fails("GET", "/_matrix/client/v1/admin/lock/@nobody:hs1", token, ``, 403, "M_FORBIDDEN") // nothing is learnt of who is there
		if a := s.ok("GET", v3+"/capabilities", boss, ""); !strings.Contains(a.raw, `"m.account_moderation":{"lock":true,"suspend":true}`) {
			t.Error(a.raw)
		}
		s.ok("PUT", suspend, boss, `{"suspended":true}`)
		if a := s.ok("GET", suspend, boss, ""); a.body["suspended"] != true {
			t.Error(a.raw)
		}
		s.fails("PUT", v3+"/rooms/"+room+"/send/m.room.message/2", token, `{"msgtype":"m.text","body":"x"}`, 403, "M_USER_SUSPENDED")
		s.fails("POST", v3+"/createRoom", token, `{}`, 403, "M_USER_SUSPENDED")
		for _, path := range []string{"/join/" + room, "/knock/" + room, "/rooms/" + room + "/join", "/rooms/" + room + "/invite"} {
			s.fails("POST", v3+path, token, `{}`, 403, "M_USER_SUSPENDED")
		}
		s.fails("PUT", v3+"/profile/@alice:hs1/displayname", token, `{"displayname":"x"}`, 403, "M_USER_SUSPENDED")
		s.ok("GET", v3+"/rooms/"+room+"/messages?dir=b", token, "")
		s.ok("PUT", v3+"/rooms/"+room+"/redact/"+said+"/3", token, `{}`)
		s.ok("POST", v3+"/rooms/"+room+"/leave", token, `{}`)
		s.ok("PUT", lock, boss, `{"locked":true}`)
		if a := s.fails("GET", v3+"/account/whoami", token, "", 401, "M_USER_LOCKED"); a.body["soft_logout"] != true {
			t.Error(a.raw)
		}
		s.ok("PUT", lock, boss, `{"locked":false}`)
		if a := s.ok("GET", v3+"/admin/whois/@alice:hs1", boss, ""); a.body["devices"] == nil || strings.Contains(string(a.raw), `"last_seen":0`) {
			t.Error(a.raw)
		}
		s.fails("GET", v3+"/admin/whois/@boss:hs1", token, "", 403, "M_FORBIDDEN")
	})
}
