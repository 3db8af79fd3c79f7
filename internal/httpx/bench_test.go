package httpx

import (
	"fmt"
	"net/http/httptest"
	"testing"
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
