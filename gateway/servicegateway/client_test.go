package servicegateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"rempart/core/appservice"
	"rempart/gateway/servicegateway"
	"rempart/internal/egress"
	"rempart/internal/matrix"
)

// gateway makes a client for one service, with a judge that admits the endpoints of its address alone.
func gateway(t *testing.T, address string) (*servicegateway.Client, *egress.Egress) {
	t.Helper()
	services, err := appservice.New("hs1", []appservice.Registration{{ID: "a", URL: address, ASToken: "as", HSToken: "hs", SenderLocalpart: "a"},
		{ID: "mute", ASToken: "as2", HSToken: "hs2", SenderLocalpart: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	e := egress.New(egress.Options{Judge: egress.ByKind(egress.AllowNames(nil, false),
		map[egress.Kind]egress.Judge{egress.Appservice: egress.AllowEndpoints(servicegateway.Endpoints(services))})})
	t.Cleanup(func() { _ = e.Close() })
	return servicegateway.New(e, services, "test"), e
}

// serve answers by path and notes what was asked.
func serve(t *testing.T, answers map[string]string) (address string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var paths []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths = append(paths, r.Method+" "+r.URL.EscapedPath())
		mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer hs" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		body, ok := answers[r.URL.EscapedPath()]
		switch {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		case strings.HasPrefix(body, "to "):
			http.Redirect(w, r, body[3:], http.StatusFound)
		default:
			_, _ = w.Write([]byte(body))
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return paths
	}
}

func TestPathsOldAndNew(t *testing.T) {
	address, asked := serve(t, map[string]string{
		"/base/_matrix/app/v1/users/@a:hs1": "{}", "/base/rooms/%23old:hs1": "{}", "/base/transactions/x%2Fy": "{}",
		"/base/_matrix/app/unstable/thirdparty/protocol/irc": `{"instances":[]}`,
	})
	c, _ := gateway(t, address+"/base/")
	if has, err := c.HasUser(t.Context(), "a", "@a:hs1"); !has || err != nil {
		t.Error(has, err)
	}
	if has, err := c.HasUser(t.Context(), "a", "@b:hs1"); has || err != nil {
		t.Error(has, err)
	}
	if has, err := c.HasAlias(t.Context(), "a", "#old:hs1"); !has || err != nil {
		t.Error("an older service was not asked at the older path:", has, err)
	}
	if err := c.Push(t.Context(), "a", "x/y", []byte("{}")); err != nil {
		t.Error("an older service was not told at the older path:", err)
	}
	if raw, err := c.ThirdParty(t.Context(), "a", "protocol/irc", nil); len(raw) == 0 || err != nil {
		t.Error(raw, err)
	}
	if raw, err := c.ThirdParty(t.Context(), "a", "protocol/xmpp", nil); raw != nil || err != nil {
		t.Error(raw, err)
	}
	if n := len(asked()); n == 0 || !strings.HasPrefix(asked()[0], "GET /base/_matrix/app/v1/users/") {
		t.Error(asked())
	}
	if err := c.Push(t.Context(), "mute", "x", nil); !matrix.HasCode(err, "M_URL_NOT_SET") {
		t.Error("told a service without an address:", err)
	}
}

// TestOnlyTheAddressOfTheFile checks that no answer leads elsewhere: redirects are not followed, another port is not dialled.
func TestOnlyTheAddressOfTheFile(t *testing.T) {
	elsewhere, asked := serve(t, map[string]string{"/": "{}"})
	address, _ := serve(t, map[string]string{"/_matrix/app/v1/transactions/x": "to " + elsewhere, "/_matrix/app/v1/thirdparty/user": strings.Repeat("x", 2<<20)})
	c, e := gateway(t, address)
	if err := c.Push(t.Context(), "a", "x", []byte("{}")); err == nil {
		t.Error("a redirect counts as taken")
	}
	if _, err := c.ThirdParty(t.Context(), "a", "user", nil); err == nil {
		t.Error("an endless answer was taken")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, elsewhere, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := e.HTTP(egress.Appservice).Do(req)
	if err == nil {
		_ = res.Body.Close()
		t.Error("dialled another port than the file's")
	}
	if got := asked(); len(got) > 0 {
		t.Error("asked elsewhere:", got)
	}
	conn, err := e.Dial(t.Context(), egress.Federation, "tcp", strings.TrimPrefix(address, "http://"))
	if err == nil {
		_ = conn.Close()
		t.Error("the file's address was admitted for something else")
	}
}

func TestEndpoints(t *testing.T) {
	services, err := appservice.New("hs1", []appservice.Registration{
		{ID: "a", URL: "http://a.example", ASToken: "a"}, {ID: "b", URL: "https://B.example/x", ASToken: "b"},
		{ID: "c", URL: "http://[::1]:29318", ASToken: "c"}, {ID: "d", ASToken: "d"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(servicegateway.Endpoints(services), " "); got != "a.example:80 B.example:443 [::1]:29318" {
		t.Error(got)
	}
}
