package icap

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"
)

// What is put around a file, so that it looks like one that is fetched, or one that is sent.
const (
	getHead    = "GET http://media.invalid/file HTTP/1.1\r\nHost: media.invalid\r\n\r\n"
	postHead   = "POST http://media.invalid/file HTTP/1.1\r\nHost: media.invalid\r\nContent-Type: application/octet-stream\r\n\r\n"
	answerHead = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n"
)

const (
	chunkSize = 64 << 10
	// maxHead bounds the headers of an answer.
	maxHead = 64 << 10
)

// witness reads a file for the scanner, and remembers its digest and what went wrong.
type witness struct {
	file   io.Reader
	digest hash.Hash
	size   int64
	failed error
	whole  bool
}

func newWitness(file io.Reader) *witness { return &witness{file: file, digest: sha256.New()} }

func (w *witness) Read(p []byte) (int, error) {
	n, err := w.file.Read(p)
	_, _ = w.digest.Write(p[:n]) // a hash takes everything
	w.size += int64(n)
	if err == io.EOF { //nolint:errorlint // Why: a wrapped end of file is an error of what the stream comes from
		w.whole = true
	} else if err != nil {
		w.failed = err
	}
	return n, err
}

// head begins a request.
func (c *Client) head(method string) string {
	return method + " " + c.service.String() + " ICAP/1.0\r\nHost: " + c.service.Host + "\r\nUser-Agent: Rempart\r\nAllow: 204\r\nConnection: close\r\n"
}

// show sends a file. Spec: RFC 3507, 4.4 and 4.8
func (c *Client) show(conn net.Conn, method string, file *witness) error {
	w := bufio.NewWriterSize(conn, chunkSize+16)
	inner := getHead + answerHead
	parts := fmt.Sprintf("req-hdr=0, res-hdr=%d, res-body=%d", len(getHead), len(inner))
	if method == methodRequest {
		inner = postHead
		parts = fmt.Sprintf("req-hdr=0, req-body=%d", len(inner))
	}
	if _, err := w.WriteString(c.head(method) + "Encapsulated: " + parts + "\r\n\r\n" + inner); err != nil {
		return err
	}
	chunks := httputil.NewChunkedWriter(w)
	if _, err := io.CopyBuffer(struct{ io.Writer }{chunks}, struct{ io.Reader }{file}, make([]byte, chunkSize)); err != nil {
		return err
	}
	if err := chunks.Close(); err != nil {
		return err
	}
	if _, err := w.WriteString("\r\n"); err != nil {
		return err
	}
	return w.Flush()
}

// answer is what the scanner says.
type answer struct {
	status int
	header textproto.MIMEHeader
	// body is what it would put in the file's place; nil when there is none.
	body io.Reader
	// inner is the status of the HTTP answer that it would put in the place of the file's; 0 when there is none.
	inner int
}

func readAnswer(r io.Reader) (*answer, error) {
	limited := &io.LimitedReader{R: r, N: maxHead}
	b := bufio.NewReaderSize(limited, 4<<10)
	text := textproto.NewReader(b)
	line, err := text.ReadLine()
	if err != nil {
		return nil, err
	}
	version, rest, _ := strings.Cut(line, " ")
	status, _, _ := strings.Cut(rest, " ")
	a := &answer{}
	if a.status, err = strconv.Atoi(status); err != nil || !strings.HasPrefix(version, "ICAP/1.") {
		return nil, fmt.Errorf("%w: %q is no answer by ICAP", ErrVerdict, line)
	}
	if a.header, err = text.ReadMIMEHeader(); err != nil {
		return nil, err
	}
	if a.status != 200 {
		return a, nil
	}
	return a, a.readInner(b, text, limited)
}

// readInner reads the headers that a changed file comes with, up to its body. Spec: RFC 3507, 4.4.1
func (a *answer) readInner(b *bufio.Reader, text *textproto.Reader, limited *io.LimitedReader) error {
	for part := range strings.SplitSeq(a.header.Get("Encapsulated"), ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "req-hdr", "res-hdr":
			line, err := text.ReadLine()
			if err != nil {
				return err
			}
			if f := strings.Fields(line); name == "res-hdr" && len(f) > 1 {
				a.inner, _ = strconv.Atoi(f[1]) // 0 is no status of a file that may pass
			}
			if _, err := text.ReadMIMEHeader(); err != nil {
				return err
			}
		case "req-body", "res-body":
			limited.N = 1 << 62
			a.body = httputil.NewChunkedReader(b)
		}
	}
	return nil
}

// verdict reports whether the file that was shown is clean.
func (a *answer) verdict(shown *witness) (bool, error) {
	switch {
	case a.status == 204:
		if !shown.whole {
			return false, fmt.Errorf("%w: the scanner did not take the whole file", ErrVerdict)
		}
		return true, nil
	case a.status != 200:
		return false, fmt.Errorf("%w: the scanner answers %d", ErrVerdict, a.status)
	case a.header.Get("X-Infection-Found") != "" || a.header.Get("X-Virus-Id") != "" || a.header.Get("X-Violations-Found") != "":
		return false, nil
	case a.inner != 0 && a.inner != 200 || a.body == nil || !shown.whole:
		return false, nil
	}
	same := sha256.New()
	n, err := io.Copy(same, io.LimitReader(a.body, shown.size+1))
	if err != nil {
		return false, err
	}
	return n == shown.size && bytes.Equal(same.Sum(nil), shown.digest.Sum(nil)), nil
}
