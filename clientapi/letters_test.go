package clientapi_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"rempart/core/users"
	"rempart/internal/mail"
	"rempart/internal/testkit/pgtest"
	"rempart/internal/testkit/smtptest"
)

// form posts a form as a browser does.
func (s *server) form(path string, values url.Values) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(s.t.Context(), "POST", path, strings.NewReader(values.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.router.ServeHTTP(w, req)
	return w
}

func TestANewPasswordByLetter(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db string) {
		sink := smtptest.New(t)
		sender, err := mail.NewSender(mail.Options{Server: sink.Addr, Security: mail.StartTLS, From: "no-reply@hs1.example",
			Dial: (&net.Dialer{}).DialContext, Roots: sink.Roots})
		if err != nil {
			t.Fatal(err)
		}
		s := newServerWith(t, db, users.People{Mail: sender, PublicURL: "https://hs1"})
		if a := s.do("POST", v3+"/register", "", `{}`); !strings.Contains(a.raw, `"stages":["m.login.email.identity"]`) {
			t.Error(a.raw)
		}
		token, _ := s.register("alice")
		ask := func(path, token string) string {
			t.Helper()
			req := `{"client_secret":"cs","email":"Alice@example.org","send_attempt":1}`
			return s.ok("POST", v3+path+"/email/requestToken", token, req).body["sid"].(string)
		}
		open := func(n int) {
			t.Helper()
			link, err := url.Parse(sink.Await(n).Link(t))
			if err != nil {
				t.Fatal(err)
			}
			page := httptest.NewRecorder() // reading the page changes nothing
			s.router.ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), "GET", link.RequestURI(), nil))
			if page.Code != http.StatusOK || !strings.Contains(page.Body.String(), `name="token"`) || page.Header().Get("Referrer-Policy") != "no-referrer" {
				t.Fatal(page.Code, page.Body)
			}
			if w := s.form(link.Path, link.Query()); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
		}
		sid := ask("/account/3pid", token)
		add := `{"sid":"` + sid + `","client_secret":"cs","auth":{"type":"m.login.password","user":"alice","password":"secret"}}`
		s.fails("POST", v3+"/account/3pid/add", token, add, 400, "M_THREEPID_AUTH_FAILED")
		open(1)
		s.ok("POST", v3+"/account/3pid/add", token, add)
		if a := s.ok("GET", v3+"/account/3pid", token, ""); !strings.Contains(a.raw, `"address":"alice@example.org"`) {
			t.Error(a.raw)
		}
		sid = ask("/account/password", "")
		change := `{"new_password":"fresh","auth":{"type":"m.login.email.identity","threepid_creds":{"sid":"` + sid + `","client_secret":"cs"}}}`
		s.fails("POST", v3+"/account/password", "", change, 401, "M_THREEPID_AUTH_FAILED")
		open(2)
		s.ok("POST", v3+"/account/password", "", change)
		s.fails("GET", v3+"/account/whoami", token, "", 401, "M_UNKNOWN_TOKEN")
		s.ok("POST", v3+"/login", "", `{"type":"m.login.password","identifier":{"type":"m.id.thirdparty","medium":"email","address":"alice@example.org"},"password":"fresh"}`)
	})
}

func TestErasureIsForThoseWhoComeLater(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		bob, _ := s.register("bob")
		carol, _ := s.register("carol")
		room := s.ok("POST", v3+"/createRoom", alice, `{"preset":"public_chat"}`).body["room_id"].(string)
		s.ok("POST", v3+"/join/"+room, bob, `{}`)
		said := s.ok("PUT", v3+"/rooms/"+room+"/send/m.room.message/1", alice, `{"msgtype":"m.text","body":"unforgettable"}`).body["event_id"].(string)
		s.ok("POST", v3+"/account/deactivate", alice, `{"erase":true,"auth":{"type":"m.login.password","user":"alice","password":"secret"}}`)
		s.ok("POST", v3+"/join/"+room, carol, `{}`)
		for token, want := range map[string]bool{bob: true, carol: false} {
			for _, path := range []string{"/messages?dir=b&limit=50", "/event/" + said, "/context/" + said} {
				if a := s.ok("GET", v3+"/rooms/"+room+path, token, ""); strings.Contains(a.raw, "unforgettable") != want {
					t.Errorf("%s, was there: %v: %s", path, want, a.raw)
				}
			}
			if a := s.ok("GET", v3+"/sync", token, ""); strings.Contains(a.raw, "unforgettable") != want {
				t.Errorf("sync, was there: %v", want)
			}
			found := []string{}
			if want {
				found = append(found, said)
			}
			s.finds(token, "unforgettable", "", found...)
		}
	})
}

func TestGuestsStayWhileTheyMay(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db string) {
		s := newServerWith(t, db, users.People{Guests: true})
		alice, _ := s.register("alice")
		guest := s.ok("POST", v3+"/register?kind=guest", "", `{}`)
		token, id := guest.body["access_token"].(string), guest.body["user_id"].(string)
		room := s.ok("POST", v3+"/createRoom", alice, `{"preset":"public_chat"}`).body["room_id"].(string)
		s.fails("POST", v3+"/join/"+room, token, `{}`, 403, "M_GUEST_ACCESS_FORBIDDEN")
		s.ok("PUT", v3+"/rooms/"+room+"/state/m.room.guest_access/", alice, `{"guest_access":"can_join"}`)
		s.ok("POST", v3+"/join/"+room, token, `{}`)
		s.ok("PUT", v3+"/rooms/"+room+"/send/m.room.message/1", token, `{"msgtype":"m.text","body":"hello"}`)
		s.ok("PUT", v3+"/profile/"+id+"/displayname", token, `{"displayname":"visitor"}`)
		s.fails("PUT", v3+"/profile/"+id+"/avatar_url", token, `{"avatar_url":"mxc://a/b"}`, 403, "M_GUEST_ACCESS_FORBIDDEN")
		s.fails("POST", v3+"/createRoom", token, `{}`, 403, "M_GUEST_ACCESS_FORBIDDEN")
		s.ok("PUT", v3+"/rooms/"+room+"/state/m.room.guest_access", alice, `{"guest_access":"forbidden"}`)
		if a := s.ok("GET", v3+"/rooms/"+room+"/state/m.room.member/"+id, alice, ""); a.body["membership"] != "leave" {
			t.Error(a.raw)
		}
	})
}
