package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// head is what of a response's head decides how its body ends.
type head struct {
	status  int
	length  int // -1: not given
	chunked bool
	keep    bool
}

// readResponse reads one HTTP/1.1 response. The body is collected in *buf, which
// is reused. keep says whether the connection can carry another exchange.
func readResponse(in *bufio.Reader, buf *[]byte) (res Response, keep bool, err error) {
	h, err := readHead(in)
	for err == nil && h.status >= 100 && h.status < 200 {
		h, err = readHead(in)
	}
	if err != nil {
		return Response{}, false, err
	}
	b := (*buf)[:0]
	switch {
	case h.status == 204 || h.status == 304:
	case h.chunked:
		b, err = readChunks(in, b)
	case h.length >= 0:
		b, err = readN(in, b, h.length)
	default:
		h.keep = false
		b, err = readToEnd(in, b)
	}
	*buf = b
	if err != nil {
		return Response{}, false, fmt.Errorf("body: %w", err)
	}
	return Response{Status: h.status, Body: b}, h.keep, nil
}

func readHead(in *bufio.Reader) (head, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		if len(line) == 0 && !isTimeout(err) {
			return head{}, errors.Join(errClosedIdle, err)
		}
		return head{}, fmt.Errorf("status line: %w", err)
	}
	h := head{length: -1, keep: true}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return head{}, fmt.Errorf("status line %.40q: not HTTP/1", line)
	}
	h.keep = line[7] == '1'
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return head{}, fmt.Errorf("status line %.40q: no status", line)
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return head{}, fmt.Errorf("header: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return h, nil
		}
		if err := h.field(line); err != nil {
			return head{}, err
		}
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// field takes the headers that matter and ignores the others. The first letter
// is looked at first: most headers end there.
func (h *head) field(line []byte) error {
	if c := line[0] | 0x20; c != 'c' && c != 't' {
		return nil
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.Atoi(string(value))
		if err != nil || n < 0 {
			return fmt.Errorf("Content-Length %.40q: not a length", value)
		}
		h.length = n
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		h.chunked = bytes.EqualFold(value, []byte("chunked"))
	case bytes.EqualFold(name, []byte("Connection")):
		if bytes.EqualFold(value, []byte("close")) {
			h.keep = false
		}
	}
	return nil
}

func readChunks(in *bufio.Reader, b []byte) ([]byte, error) {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return b, err
		}
		size, _, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(";"))
		n, err := strconv.ParseUint(string(size), 16, 31)
		if err != nil {
			return b, fmt.Errorf("chunk size %.40q", size)
		}
		if n == 0 {
			return b, skipTrailer(in)
		}
		if b, err = readN(in, b, int(n)); err != nil {
			return b, err
		}
		if _, err := in.Discard(2); err != nil {
			return b, err
		}
	}
}

func skipTrailer(in *bufio.Reader) error {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return nil
		}
	}
}

func readToEnd(in *bufio.Reader, b []byte) ([]byte, error) {
	rest, err := io.ReadAll(io.LimitReader(in, maxResponse))
	return append(b, rest...), err
}
