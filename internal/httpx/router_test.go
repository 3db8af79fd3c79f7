package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rempart/internal/matrix"
)

// tokens authenticates by a fixed table.
type tokens map[string]matrix.Caller

func (t tokens) Authenticate(_ context.Context, token string, _ *http.Request) (matrix.Caller, error) {
	c, ok := t[token]
	if !ok {
		return c, matrix.UnknownToken(false)
	}
	return c, nil
}

func people() tokens {
	return tokens{
		"alice": {User: "@alice:x"},
		"guest": {User: "@1:x", Guest: true},
		"root":  {User: "@root:x", Admin: true},
	}
}

// call makes one request and returns status and body. headers are names and values in turn; empty values are left out.
func call(h http.Handler, method, target, body string, headers ...string) (int, string) {
	w := record(h, method, target, body, headers...)
	return w.Code, w.Body.String()
}

func record(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// errcode is the Matrix code of an error answer.
func errcode(body string) string {
	var e struct {
		Code string `json:"errcode"`
	}
	_ = json.Unmarshal([]byte(body), &e)
	return e.Code
}

// vars declares a route that answers with its variables.
func vars(r *Router, method, pattern string, opt Route, names ...string) {
	Handle(r, method, pattern, opt, func(_ context.Context, c matrix.Caller, p Path, _ Empty) (map[string]string, error) {
		out := map[string]string{"route": pattern, "user": string(c.User)}
		for _, n := range names {
			out[n] = p.Var(n)
		}
		return out, nil
	})
}

func TestPathVariablesAreDecodedOnce(t *testing.T) {
	r := New(Options{})
	vars(r, "PUT", "/rooms/{roomID}/send/{eventType}/{txnID}", Route{}, "roomID", "eventType", "txnID")
	for _, c := range []struct{ path, room, typ, txn string }{
		{"/rooms/!a:b/send/m.x/1", "!a:b", "m.x", "1"},
		{"/rooms/%21a%3Ab/send/m.x/a%2Fb", "!a:b", "m.x", "a/b"},
		{"/rooms/!a:b/send/m%252Fx/%25", "!a:b", "m%2Fx", "%"},
		{"/rooms/!a:b/send/é/%C3%A9", "!a:b", "é", "é"},
		{"/rooms/!a:b/send/m.x/a+b", "!a:b", "m.x", "a+b"},
		{"/rooms/!a:b/send/../..", "!a:b", "..", ".."},
	} {
		status, body := call(r, "PUT", c.path, "{}")
		var got map[string]string
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
			t.Errorf("%s: %d %s", c.path, status, body)
			continue
		}
		if got["roomID"] != c.room || got["eventType"] != c.typ || got["txnID"] != c.txn {
			t.Errorf("%s: got %v", c.path, got)
		}
	}
}

func TestRouting(t *testing.T) {
	r := New(Options{})
	vars(r, "GET", "/a/v3/profile/{userID}", Route{R0: true, Unstable: []string{"/unstable/p/{userID}"}})
	vars(r, "GET", "/a/v3/profile/{userID}/displayname", Route{})
	vars(r, "PUT", "/a/v3/profile/{userID}/{key}", Route{})
	vars(r, "GET", "/a/v3/state/{type}", Route{Unstable: []string{"/a/v3/state/{type}/"}})
	vars(r, "GET", "/a/v3/state/{type}/{key}", Route{})
	for _, c := range []struct {
		method, path string
		status       int
		route        string
	}{
		{"GET", "/a/v3/profile/@a:b", 200, "/a/v3/profile/{userID}"},
		{"GET", "/a/r0/profile/@a:b", 200, "/a/v3/profile/{userID}"},
		{"GET", "/unstable/p/x", 200, "/a/v3/profile/{userID}"},
		{"GET", "/a/v3/profile/@a:b/displayname", 200, "/a/v3/profile/{userID}/displayname"},
		{"PUT", "/a/v3/profile/@a:b/displayname", 200, "/a/v3/profile/{userID}/{key}"},
		{"GET", "/a/v3/state/m.x", 200, "/a/v3/state/{type}"},
		{"GET", "/a/v3/state/m.x/", 200, "/a/v3/state/{type}"},
		{"GET", "/a/v3/state/m.x/k", 200, "/a/v3/state/{type}/{key}"},
		{"DELETE", "/a/v3/profile/@a:b", 405, ""},
		{"GET", "/a/v3/profile/@a:b/", 404, ""},
		{"GET", "/a/v3/profile/", 404, ""},
		{"GET", "/a/v3/profile", 404, ""},
		{"GET", "//a/v3/profile/x", 404, ""},
		{"GET", "/", 404, ""},
	} {
		status, body := call(r, c.method, c.path, "")
		if status != c.status || c.route != "" && !strings.Contains(body, `"route":"`+c.route+`"`) {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, body)
		}
		if c.status >= 400 && errcode(body) != "M_UNRECOGNIZED" {
			t.Errorf("%s %s: %s", c.method, c.path, body)
		}
	}
	if n := len(r.Routes()); n != 8 {
		t.Errorf("%d routes listed", n)
	}
}

func TestAccess(t *testing.T) {
	r := New(Options{Auth: people(), TokenInQuery: true})
	for _, a := range []Access{Public, User, UserOrGuest, Optional, Admin} {
		vars(r, "GET", "/"+a.String(), Route{Access: a})
	}
	strict := New(Options{Auth: people()})
	vars(strict, "GET", "/user", Route{Access: User})
	for _, c := range []struct {
		h      http.Handler
		target string
		token  string
		status int
		want   string
	}{
		{r, "/public", "Bearer nobody", 200, `"user":""`},
		{r, "/user", "", 401, "M_MISSING_TOKEN"},
		{r, "/user", "Basic alice", 401, "M_MISSING_TOKEN"},
		{r, "/user", "Bearer nobody", 401, "M_UNKNOWN_TOKEN"},
		{r, "/user", "bearer alice", 200, `"user":"@alice:x"`},
		{r, "/user?access_token=alice", "", 200, `"user":"@alice:x"`},
		{strict, "/user?access_token=alice", "", 401, "M_MISSING_TOKEN"},
		{r, "/user", "Bearer guest", 403, "M_GUEST_ACCESS_FORBIDDEN"},
		{r, "/guest", "Bearer guest", 200, `"user":"@1:x"`},
		{r, "/optional", "", 200, `"user":""`},
		{r, "/optional", "Bearer alice", 200, `"user":"@alice:x"`},
		{r, "/optional", "Bearer nobody", 401, "M_UNKNOWN_TOKEN"},
		{r, "/admin", "Bearer alice", 403, "M_FORBIDDEN"},
		{r, "/admin", "Bearer root", 200, `"user":"@root:x"`},
	} {
		status, body := call(c.h, "GET", c.target, "", "Authorization", c.token)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s with %q: %d %s", c.target, c.token, status, body)
		}
	}
}

func TestEveryAnswerAllowsAnyOrigin(t *testing.T) {
	r := New(Options{Auth: people()})
	vars(r, "GET", "/x", Route{Access: User})
	for _, c := range []struct {
		method, path string
		status       int
	}{{"OPTIONS", "/x", 204}, {"OPTIONS", "/nowhere", 204}, {"GET", "/x", 401}, {"GET", "/nowhere", 404}, {"PUT", "/x", 405}} {
		w := record(r, c.method, c.path, "")
		if w.Code != c.status || w.Header().Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("%s %s: %d %v", c.method, c.path, w.Code, w.Header())
		}
	}
}

// A path that is there says by which methods it may be asked. Spec: RFC 9110, section 15.5.6
func TestMethodsThatAPathHas(t *testing.T) {
	r := New(Options{})
	vars(r, "GET", "/a/{x}", Route{})
	vars(r, "PUT", "/a/{x}", Route{})
	vars(r, "DELETE", "/a/fixed", Route{})
	for path, want := range map[string]string{"/a/1": "GET, OPTIONS, PUT", "/a/fixed": "DELETE, GET, OPTIONS, PUT", "/b": ""} {
		w := record(r, "POST", path, "")
		if got := w.Header().Get("Allow"); got != want || (w.Code == 405) != (want != "") {
			t.Errorf("%s: %d, Allow %q, want %q", path, w.Code, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	var logged bytes.Buffer
	r := New(Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	fail := func(path string, err error) {
		Handle(r, "GET", path, Route{}, func(context.Context, matrix.Caller, Path, Empty) (Empty, error) { return Empty{}, err })
	}
	fail("/known", matrix.Forbidden("No.").French("Non.").With("why", []int{1}).Wrap(errors.New("SECRET")))
	fail("/unknown", errors.New("SECRET table"))
	fail("/early", matrix.NewError(http.StatusGatewayTimeout, matrix.CodeNotYetUploaded, "Not there yet."))
	fail("/uia", &matrix.Error{Status: 401, Extra: map[string]any{"session": "s", "flows": []int{}}})
	Handle(r, "GET", "/panic", Route{}, func(context.Context, matrix.Caller, Path, Empty) (Empty, error) { panic("SECRET") })
	for _, c := range []struct {
		path, language string
		status         int
		want           string
	}{
		{"/known", "", 403, `{"errcode":"M_FORBIDDEN","error":"No.","why":[1]}`},
		{"/known", "fr-FR,fr;q=0.9", 403, `"error":"Non."`},
		{"/unknown", "", 500, `"errcode":"M_UNKNOWN"`},
		{"/uia", "", 401, `{"flows":[],"session":"s"}`},
		{"/panic", "", 500, `"errcode":"M_UNKNOWN"`},
		{"/early", "", 504, `"errcode":"M_NOT_YET_UPLOADED"`},
	} {
		status, body := call(r, "GET", c.path, "", "Accept-Language", c.language)
		if status != c.status || !strings.Contains(body, c.want) || strings.Contains(body, "SECRET") {
			t.Errorf("%s: %d %s", c.path, status, body)
		}
	}
	for _, want := range []string{"SECRET table", "panic=SECRET", "router_test.go", "request_id=", "route=/unknown"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("the log lacks %q: %s", want, &logged)
		}
	}
	if strings.Contains(logged.String(), "route=/known") || strings.Contains(logged.String(), "route=/early") {
		t.Errorf("a refusal is in the log as a failure: %s", &logged)
	}
}

func TestQueryNumbers(t *testing.T) {
	r := New(Options{})
	Handle(r, "GET", "/q", Route{}, func(_ context.Context, _ matrix.Caller, p Path, _ Empty) (int, error) {
		return p.QueryInt("limit", 10)
	})
	for target, want := range map[string]string{"/q": "10", "/q?limit=3": "3", "/q?limit=x": "M_INVALID_PARAM"} {
		if _, body := call(r, "GET", target, ""); !strings.Contains(body, want) {
			t.Errorf("%s: %s", target, body)
		}
	}
}
