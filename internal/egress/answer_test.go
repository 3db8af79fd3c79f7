package egress

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// What is taken for plain says the same by net/http; what might not is left to it.
func TestPlainAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct {
		text  string
		plain bool
	}{
		{ok + "Content-Length: 2\r\n\r\n{}", true},
		{ok + "Date: Sun, 22 Nov 2026 07:00:00 GMT\r\ncontent-length:2\r\nConnection: Keep-Alive\r\n\r\n{}", true},
		{ok + "Content-Length: 0\r\n\r\n", true},
		{ok + "Content-Length: 2\r\n\r\n{}HTTP/1.1 500", true}, // who says too much is noticed afterwards
		{ok + "Content-Length: 3\r\n\r\n{}", false},
		{ok + "Content-Length: 2\r\n", false},
		{ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", false},
		{ok + "Content-Length: +2\r\n\r\n{}", false},
		{ok + "Content-Length: 99999999999999999999\r\n\r\n{}", false},
		{ok + "Content-Length: 51\r\n\r\n" + strings.Repeat("x", 51), false}, // more than is wanted
		{ok + "Content-Length : 2\r\n\r\n{}", false},
		{ok + "Content-Length: 2\r\nX\r\n\r\n{}", false},
		{ok + " Content-Length: 2\r\n\r\n{}", false},
		{ok + "Content-Length: 2\r\nX y: 1\r\n\r\n{}", false},
		{ok + "X: a\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", false},
		{"HTTP/1.1 200 OK\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", false},
		{ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
		{ok + "Content-Length: 2\r\nConnection: close\r\n\r\n{}", false},
		{ok + "Date: x\r\n\r\n{}", false},
		{"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", false},
		{"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}", false},
		{"HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 2\r\n\r\n{}", false},
	} {
		r := &reader{Reader: bufio.NewReader(strings.NewReader(c.text))}
		_, _ = r.Peek(1)
		a, plain := r.plain(50)
		if plain != c.plain {
			t.Errorf("%q: plain %v", c.text, plain)
		}
		if !plain {
			if rest, _ := io.ReadAll(r); string(rest) != c.text {
				t.Errorf("%q: %q is left", c.text, rest)
			}
			continue
		}
		other := bufio.NewReader(strings.NewReader(c.text))
		res, err := http.ReadResponse(other, nil)
		if err != nil {
			t.Fatalf("%q: %v", c.text, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || string(body) != string(a.Body) || res.StatusCode != a.Status || res.Close || other.Buffered() != r.Buffered() {
			t.Errorf("%q: %d %q, by net/http %d %q %v", c.text, a.Status, a.Body, res.StatusCode, body, err)
		}
	}
}
