package clientapi_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rempart/core/users"
	"rempart/internal/mail"
	"rempart/internal/testkit/pgtest"
	"rempart/internal/testkit/smtptest"
	"rempart/storage/storagetest"
)

func TestStagesOnPages(t *testing.T) {
	terms := []users.Document{{ID: "cgu", Version: "2", Texts: []users.DocumentText{
		{Language: "en", Name: "Terms", URL: "https://x.fr/en"}, {Language: "fr", Name: "Conditions", URL: "https://x.fr/fr"}}}}
	pgtest.EachFilled(t, storagetest.Migrate, func(t *testing.T, database string) {
		s := newServerWith(t, database, users.People{Terms: terms})
		register := func(session string) answer {
			auth, _ := json.Marshal(map[string]string{"session": session})
			return s.do("POST", v3+"/register", "", `{"username":"alice","password":"secret","auth":`+string(auth)+`}`)
		}
		session, _ := s.do("POST", v3+"/register", "", `{"username":"alice","password":"secret"}`).body["session"].(string)
		page := func(method, stage, session string) *httptest.ResponseRecorder {
			t.Helper()
			req := httptest.NewRequestWithContext(t.Context(), method, v3+"/auth/"+stage+"/fallback/web?session="+url.QueryEscape(session), nil)
			req.Header.Set("Accept-Language", "fr")
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			s.router.ServeHTTP(w, req)
			return w
		}
		for range 2 { // reading changes nothing
			w := page("GET", "m.login.terms", session)
			if text := w.Body.String(); w.Code != http.StatusOK || !strings.Contains(text, `href="https://x.fr/fr"`) || strings.Contains(text, "<script") {
				t.Errorf("%d %s", w.Code, text)
			}
		}
		if a := register(session); a.status != 401 {
			t.Errorf("before the stage is done: %d %s", a.status, a.raw)
		}
		for stage, session := range map[string]string{
			"m.login.terms": "<script>", "m.login.password": session, "m.login.registration_token": session, "m.login.email.identity": session, "m.login.sso": session,
		} {
			if w := page("POST", stage, session); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "<script") {
				t.Errorf("%s: %d %s", stage, w.Code, w.Body)
			}
		}
		w := page("POST", "m.login.terms", session)
		_, nonce, _ := strings.Cut(w.Header().Get("Content-Security-Policy"), "script-src 'nonce-")
		nonce = strings.TrimSuffix(nonce, "'")
		if text := w.Body.String(); w.Code != http.StatusOK || nonce == "" || !strings.Contains(text, `<script nonce="`+nonce+`">if (window.onAuthDone)`) {
			t.Errorf("%d %v %s", w.Code, w.Header(), text)
		}
		if a := register(session); a.status != 200 || a.body["user_id"] != "@alice:hs1" {
			t.Errorf("after it: %d %s", a.status, a.raw)
		}
	})
}

// browser asks for a page of a stage as a browser does.
func (s *server) browser(stage, session string, form url.Values) *httptest.ResponseRecorder {
	s.t.Helper()
	path := v3 + "/auth/" + stage + "/fallback/web?session=" + url.QueryEscape(session)
	if form != nil {
		return s.form(path, form)
	}
	w := httptest.NewRecorder()
	s.router.ServeHTTP(w, httptest.NewRequestWithContext(s.t.Context(), "GET", path, nil))
	return w
}

// Who has an application that knows no passwords shows his on a page, and the application goes on with the session alone.
func TestPasswordOnAPage(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, _ := s.register("alice")
		login := s.ok("POST", v3+"/login", "", `{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"secret","device_id":"OTHER"}`)
		remove := func(session string) answer {
			return s.do("DELETE", v3+"/devices/OTHER", alice, `{"auth":{"session":"`+session+`"}}`)
		}
		if login.body["device_id"] != "OTHER" {
			t.Fatal(login.raw)
		}
		session, _ := remove("").body["session"].(string)
		if w := s.browser("m.login.password", session, nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `type="password"`) ||
			!strings.Contains(w.Body.String(), "@alice:hs1") || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		for _, wrong := range []string{"", "Secret"} {
			if w := s.browser("m.login.password", session, url.Values{"password": {wrong}}); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "onAuthDone") {
				t.Errorf("%q: %d %s", wrong, w.Code, w.Body)
			}
		}
		if a := remove(session); a.status != http.StatusUnauthorized {
			t.Errorf("without the password: %d %s", a.status, a.raw)
		}
		if w := s.browser("m.login.password", session, url.Values{"password": {"secret"}}); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "onAuthDone") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if a := remove(session); a.status != http.StatusOK {
			t.Errorf("after it: %d %s", a.status, a.raw)
		}
	})
}

// An address is proven on pages alone: one sends the letter, its link another, and the first then goes on.
func TestAddressOnAPage(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db string) {
		sink := smtptest.New(t)
		sender, err := mail.NewSender(mail.Options{Server: sink.Addr, Security: mail.StartTLS, From: "no-reply@hs1.example", Dial: (&net.Dialer{}).DialContext, Roots: sink.Roots})
		if err != nil {
			t.Fatal(err)
		}
		s := newServerWith(t, db, users.People{Mail: sender, PublicURL: "https://hs1", EmailRequired: true})
		ask := `{"username":"alice","password":"secret"`
		session, _ := s.do("POST", v3+"/register", "", ask+"}").body["session"].(string)
		if w := s.browser("m.login.email.identity", session, nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `type="email"`) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w := s.browser("m.login.email.identity", session, url.Values{}); w.Code != http.StatusBadRequest {
			t.Errorf("no address: %d %s", w.Code, w.Body)
		}
		if w := s.browser("m.login.email.identity", session, url.Values{"email": {"alice@example.org"}}); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "onAuthDone") {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		link, err := url.Parse(sink.Await(1).Link(t))
		if err != nil {
			t.Fatal(err)
		}
		if w := s.browser("m.login.email.identity", session, url.Values{}); w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "onAuthDone") {
			t.Errorf("before the link: %d %s", w.Code, w.Body)
		}
		if w := s.form(link.Path, link.Query()); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		if w := s.browser("m.login.email.identity", session, url.Values{}); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "onAuthDone") {
			t.Errorf("after the link: %d %s", w.Code, w.Body)
		}
		token, _ := s.ok("POST", v3+"/register", "", ask+`,"auth":{"session":"`+session+`"}}`).body["access_token"].(string)
		if a := s.ok("GET", v3+"/account/3pid", token, ""); !strings.Contains(a.raw, "alice@example.org") {
			t.Error(a.raw)
		}
	})
}

// The page of a whole log-in hands on what belongs into the request, in no other way than as data.
func TestLoginPage(t *testing.T) {
	s := newServer(t, filepath.Join(t.TempDir(), "db"))
	w := httptest.NewRecorder()
	s.router.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/_matrix/static/client/login/?device_id="+url.QueryEscape(`A</script>"`)+"&password=x", nil))
	text, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	_, nonce, _ := strings.Cut(policy, "script-src 'nonce-")
	nonce = strings.TrimSuffix(nonce, "'")
	if w.Code != http.StatusOK || nonce == "" || !strings.Contains(text, `<script nonce="`+nonce+`">`) || !strings.Contains(policy, "connect-src 'self'") || !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("%d %s %s", w.Code, policy, text)
	}
	if !strings.Contains(text, "window.matrixLogin.onLogin(response)") || !strings.Contains(text, `"device_id":"A\u003c/script\u003e\""`) || strings.Contains(text, "A</script>") || strings.Contains(text, `"password":`) {
		t.Error(text)
	}
}

// timed is a connection that knows whether what is read from it must come in time.
type timed struct {
	*httptest.ResponseRecorder
	*strings.Reader
	until  time.Time
	inTime int
}

func (c *timed) SetReadDeadline(until time.Time) error {
	c.until = until
	return nil
}

func (c *timed) Read(p []byte) (int, error) {
	if time.Until(c.until) > 0 && c.until.Before(time.Now().Add(time.Hour)) {
		c.inTime++
	}
	return c.Reader.Read(p)
}

// A form must arrive in time, and what is asked next on its connection may take its own.
func TestFormsMustArrive(t *testing.T) {
	s := newServer(t, filepath.Join(t.TempDir(), "db"))
	for _, path := range []string{v3 + "/auth/m.login.dummy/fallback/web?session=x", "/_rempart/account/confirm"} {
		c := &timed{ResponseRecorder: httptest.NewRecorder(), Reader: strings.NewReader("token=x")}
		req := httptest.NewRequestWithContext(t.Context(), "POST", path, io.NopCloser(c))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		s.router.ServeHTTP(c, req)
		if c.Code != http.StatusNotFound || c.inTime == 0 || c.Len() > 0 || !c.until.IsZero() {
			t.Errorf("%s: %d, read %d times under a deadline, which is %v afterwards", path, c.Code, c.inTime, c.until)
		}
	}
}
