package inbound

import (
	"net/http/httptest"
	"strings"
	"testing"

	"rempart/internal/httpx"
)

// Other servers are sent to the configured address, and told plainly when there is none.
func TestWellKnown(t *testing.T) {
	for address, want := range map[string]string{
		"matrix.example.org:443": `{"m.server":"matrix.example.org:443"}`,
		"":                       `"errcode":"M_NOT_FOUND"`,
	} {
		r := httpx.New(httpx.Options{})
		wellKnownRoutes(r, address)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/matrix/server", nil))
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("address %q: %s", address, w.Body)
		}
	}
}
