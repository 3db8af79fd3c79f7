package httpx

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"testing"

	"rempart/internal/matrix"
)

func TestClientAddressBehindProxies(t *testing.T) {
	r := New(Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}})
	Handle(r, "GET", "/", Route{}, func(ctx context.Context, _ matrix.Caller, _ Path, _ Empty) (string, error) {
		return ClientAddr(ctx).String(), nil
	})
	for _, c := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:5", nil, "192.0.2.1"},
		{"192.0.2.1:5", []string{"198.51.100.1"}, "192.0.2.1"},
		{"10.0.0.1:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"1.1.1.1, 198.51.100.1, 10.9.9.9"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"1.1.1.1", "198.51.100.1:443"}, "198.51.100.1"},
		{"[::1]:5", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"10.0.0.1:5", []string{"198.51.100.1, garbage"}, "10.0.0.1"},
		{"10.0.0.1:5", []string{"10.0.0.2"}, "10.0.0.2"},
		{"[::ffff:10.0.0.1]:5", []string{"198.51.100.7"}, "198.51.100.7"},
	} {
		req := httptest.NewRequest("GET", "/", nil)
		req.RemoteAddr = c.peer
		req.Header["X-Forwarded-For"] = c.forwarded
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if got := w.Body.String(); got != `"`+c.want+`"` {
			t.Errorf("%v: %s", c, got)
		}
	}
}
