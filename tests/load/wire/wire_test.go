package wire

import (
	"bufio"
	"errors"
	"strings"
	"testing"
)

func TestParseBaseRefusesAllButLoopback(t *testing.T) {
	for raw, want := range map[string]string{
		"http://127.0.0.1:8008":    "127.0.0.1:8008",
		"http://127.9.8.7:1/":      "127.9.8.7:1",
		"http://[::1]:8008":        "[::1]:8008",
		"http://localhost:8008":    "127.0.0.1:8008",
		"http://127.0.0.1":         "127.0.0.1:80",
		"http://127.0.0.1:8/proxy": "127.0.0.1:8",
	} {
		a, err := ParseBase(raw)
		if err != nil || a.dial.String() != want {
			t.Errorf("%s: %v %v, want %s", raw, a.dial, err, want)
		}
	}
	for _, raw := range []string{
		"http://192.168.1.1:8008", "http://10.0.0.1", "http://0.0.0.0:8008", "http://example.org",
		"http://localhost.example.org", "https://127.0.0.1:8448", "http://matrix.org@127.0.0.1/",
		"http://127.0.0.1?x=1", "127.0.0.1:8008", "", "http://[::]:1", "http://[2001:db8::1]",
	} {
		if a, err := ParseBase(raw); err == nil {
			t.Errorf("%s was accepted as %v", raw, a)
		}
	}
}

func TestReadResponse(t *testing.T) {
	long := strings.Repeat("x", 3*readBuffer)
	for _, c := range []struct {
		name, text, body string
		status           int
		keep             bool
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "{}", 200, true},
		{"length in other case", "HTTP/1.1 404 Not Found\r\ncontent-length:3\r\n\r\nabc", "abc", 404, true},
		{"longer than the buffer", "HTTP/1.1 200 OK\r\nContent-Length: 12288\r\n\r\n" + long, long, 200, true},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", 200, true},
		{"chunks with trailer", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n", "a", 200, true},
		{"no body", "HTTP/1.1 204 No Content\r\n\r\n", "", 204, true},
		{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", "a", 200, false},
		{"until the end", "HTTP/1.1 200 OK\r\n\r\nabc", "abc", 200, false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", "a", 200, false},
		{"continue first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", "a", 200, true},
	} {
		var buf []byte
		res, keep, err := readResponse(bufio.NewReaderSize(strings.NewReader(c.text), readBuffer), &buf)
		if err != nil || res.Status != c.status || string(res.Body) != c.body || keep != c.keep {
			t.Errorf("%s: status %d, body %.20q, keep %v, %v", c.name, res.Status, res.Body, keep, err)
		}
	}
}

func TestReadResponseRefuses(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP/1.1 abc\r\n\r\n", "SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\nContent-",
	} {
		var buf []byte
		if res, _, err := readResponse(bufio.NewReader(strings.NewReader(text)), &buf); err == nil {
			t.Errorf("%q was accepted: %+v", text, res)
		}
	}
	var buf []byte
	_, _, err := readResponse(bufio.NewReader(strings.NewReader("")), &buf)
	if !errors.Is(err, errClosedIdle) {
		t.Errorf("a closed connection gives %v", err)
	}
}

func TestTwoResponsesOnOneConnection(t *testing.T) {
	in := bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirstHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n2n"))
	var buf []byte
	for _, want := range []string{"first", "2n"} {
		res, _, err := readResponse(in, &buf)
		if err != nil || string(res.Body) != want {
			t.Fatalf("body %q %v, want %q", res.Body, err, want)
		}
	}
}

func TestAppendRequest(t *testing.T) {
	a, err := ParseBase("http://127.0.0.1:8008/p")
	if err != nil {
		t.Fatal(err)
	}
	got := string(NewConn(a).appendRequest(nil, Request{Method: "PUT", Path: "/x", Token: "t", Body: []byte("{}")}))
	want := "PUT /p/x HTTP/1.1\r\nHost: 127.0.0.1:8008\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	if got != want {
		t.Errorf("request\n%s\nwant\n%s", got, want)
	}
}
