package httpx

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rempart/internal/matrix"
)

// BenchmarkLastOf200Routes looks up the last of 200 routes of the shapes that the client-server API has.
func BenchmarkLastOf200Routes(b *testing.B) {
	r := New(Options{})
	for i := range 199 {
		vars(r, "GET", fmt.Sprintf("/_matrix/client/v3/rooms/{roomID}/act%d/{eventID}", i), Route{})
	}
	vars(r, "PUT", "/_matrix/client/v3/rooms/{roomID}/send/{eventType}/{txnID}", Route{})
	req := httptest.NewRequest("PUT", "/_matrix/client/v3/rooms/!abcdefghijkl:example.org/send/m.room.message/m123.4", nil)
	b.ReportAllocs()
	for b.Loop() {
		var m match
		if !r.index.find(req, req.URL.EscapedPath()[1:], &m) {
			b.Fatal("no match")
		}
	}
}

// BenchmarkSend is all that this package adds to a send: route, token, rate limit, body, answer.
func BenchmarkSend(b *testing.B) {
	r := New(Options{Auth: people(), Limits: NewLimiter(map[string]Rate{"message": {PerSecond: 1e9, Burst: 1e9}}, nil)})
	Handle(r, "PUT", "/_matrix/client/v3/rooms/{roomID}/send/{eventType}/{txnID}", Route{Access: User, Class: "message"},
		func(_ context.Context, _ matrix.Caller, p Path, in json.RawMessage) (map[string]string, error) {
			return map[string]string{"event_id": p.Var("txnID")}, nil
		})
	req := httptest.NewRequest("PUT", "/_matrix/client/v3/rooms/!abcdefghijkl:example.org/send/m.room.message/m123.4", nil)
	req.Header.Set("Authorization", "Bearer alice")
	const body = `{"msgtype":"m.text","body":"a message of a usual length, as people write them"}`
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		clear(w.header)
		if r.ServeHTTP(w, req); w.status != 200 {
			b.Fatal(w.status)
		}
	}
}

// sink is an answer that nobody reads.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }
