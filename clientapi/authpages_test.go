package clientapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"rempart/core/users"
	"rempart/internal/testkit/pgtest"
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
			"m.login.terms": "<script>", "m.login.password": session, "m.login.registration_token": session, "m.login.email.identity": session,
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
