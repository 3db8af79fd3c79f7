package client_test

import (
	"io"
	"net/http"
	"testing"

	"rempart/core"
)

// An answer that is read as it comes and breaks off is none: what it would have said is not known. One that ends too early by its sender's will is one.
func TestAnswersThatBreakOff(t *testing.T) {
	for name, c := range map[string]struct {
		end       func()
		unreached bool
	}{
		"breaks off":     {func() { panic(http.ErrAbortHandler) }, true},
		"ends too early": {func() {}, false},
	} {
		r := newRig(t)
		r.Host("a.org", "9.9.9.9")
		r.Serve("9.9.9.9:8448", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method != http.MethodPut {
				http.NotFound(w, req)
				return
			}
			_, _ = io.WriteString(w, `{"state":[{"type":"a"},`)
			_ = http.NewResponseController(w).Flush()
			c.end()
		}), "a.org")
		_, err := r.client.SendJoin(t.Context(), "us.org", "a.org", "!r:a.org", "$e", []byte(`{}`), false, nil)
		if err == nil || core.Unreached(err) != c.unreached {
			t.Errorf("%s: %v", name, err)
		}
	}
}
