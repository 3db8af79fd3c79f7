package egress

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// Answer is what a server answered: a final status and the whole body.
type Answer struct {
	Status int
	Body   []byte
}

// reader reads one answer from a connection. It is taken from the lines and given back, so that who only waits has none.
type reader struct {
	*bufio.Reader
	source io.LimitedReader
}

func (l *lines) reader(conn net.Conn) *reader {
	r, _ := l.readers.Get().(*reader)
	if r == nil {
		r = &reader{Reader: bufio.NewReaderSize(nil, lineReader)}
	}
	r.source = io.LimitedReader{R: conn, N: maxHeaderBytes}
	r.Reset(&r.source)
	return r
}

func (l *lines) giveBack(r *reader) {
	r.source.R = nil
	l.readers.Put(r)
}

// answer reads the answer to a request that was written. whole says that the connection can serve again.
func (r *reader) answer(limit int64) (a Answer, whole bool, err error) {
	if _, err := r.Peek(1); err != nil {
		return Answer{}, false, errors.Join(ErrNoWord, err)
	}
	if a, ok := r.plain(limit); ok {
		return a, r.Buffered() == 0, nil
	}
	res, err := r.head() //nolint:bodyclose // readBody closes it
	if err != nil {
		return Answer{}, false, err
	}
	r.source.N = limit + maxHeaderBytes // the lengths of chunks count as well
	body, err := readBody(res, limit)
	if err != nil {
		return Answer{}, false, err
	}
	return Answer{res.StatusCode, body}, !res.Close && r.Buffered() == 0, nil
}

// plain takes what nearly every answer is: a 200 of which everything is there, with a length and nothing that would have it read otherwise.
// Why beside net/http, which reads all others: one event has hundreds of answers, and most of what they cost is the reading of their heads.
func (r *reader) plain(limit int64) (Answer, bool) {
	there, _ := r.Peek(r.Buffered())
	head, body, found := bytes.Cut(there, []byte("\r\n\r\n"))
	if !found {
		return Answer{}, false
	}
	n, ok := plainLength(head)
	if !ok || n > limit || n > int64(len(body)) {
		return Answer{}, false
	}
	a := Answer{http.StatusOK, bytes.Clone(body[:n])}
	_, _ = r.Discard(len(head) + len("\r\n\r\n") + int(n))
	return a, true
}

// plainLength is the length of the body behind a plain head. Spec: RFC 9112, sections 4, 5 and 6
func plainLength(head []byte) (n int64, ok bool) {
	status, lines, _ := bytes.Cut(head, []byte("\r\n"))
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) || bytes.IndexByte(status, '\n') >= 0 {
		return 0, false
	}
	for line := range bytes.SplitSeq(lines, []byte("\r\n")) {
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found || !plainName(name) || bytes.ContainsAny(value, "\r\n") {
			return 0, false
		}
		value = bytes.Trim(value, " \t")
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err := strconv.ParseUint(string(value), 10, 31)
			if ok || err != nil {
				return 0, false
			}
			n, ok = int64(length), true
		case bytes.EqualFold(name, []byte("Transfer-Encoding")),
			bytes.EqualFold(name, []byte("Connection")) && !bytes.EqualFold(value, []byte("keep-alive")):
			return 0, false
		}
	}
	return n, ok
}

// plainName reports whether a field's name has letters and hyphens only: nothing hides behind it.
func plainName(name []byte) bool {
	for _, c := range name {
		if c != '-' && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return len(name) > 0
}

// head reads the head of an answer, and passes over interim ones.
func (r *reader) head() (*http.Response, error) {
	for range maxInterim {
		res, err := http.ReadResponse(r.Reader, nil)
		if err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		if res.StatusCode >= http.StatusOK {
			return res, nil
		}
		_ = res.Body.Close()
	}
	return nil, errors.New("the answer does not begin")
}

func readBody(res *http.Response, limit int64) ([]byte, error) {
	defer func() { _ = res.Body.Close() }()
	if res.ContentLength > limit {
		return nil, errLong
	}
	if n := res.ContentLength; n >= 0 && n <= lineReader {
		body := make([]byte, n)
		_, err := io.ReadFull(res.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = errLong
	}
	return body, err
}

var errLong = errors.New("the answer is too large")
