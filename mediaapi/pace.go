package mediaapi

import (
	"io"
	"net/http"
	"time"
)

// A stream may take as long as it likes while it moves: each piece has so much time.
const (
	pieceTime = 60 * time.Second
	pieceSize = 4 << 20
	// renewAfter is how old a deadline for reading may become. Why: setting one for each read would cost a timer each.
	renewAfter = 5 * time.Second
)

// pacedReader reads a body and moves the connection's deadline on while bytes come.
type pacedReader struct {
	r    io.Reader
	conn *http.ResponseController
	set  time.Time
}

func (p *pacedReader) Read(b []byte) (int, error) {
	if now := time.Now(); now.Sub(p.set) > renewAfter {
		p.set = now
		_ = p.conn.SetReadDeadline(now.Add(pieceTime)) // a writer without a connection has no deadlines
	}
	return p.r.Read(b)
}

func (p *pacedReader) done() { _ = p.conn.SetReadDeadline(time.Time{}) }

// pacedWriter writes an answer piece by piece, each with a deadline of its own. It keeps files whole on their way down
// to the connection, so that the kernel can send them.
type pacedWriter struct {
	http.ResponseWriter
	conn    *http.ResponseController
	refused bool // the file does not have the range that was asked for
}

// WriteHeader begins the answer, unless it is a refusal: that is for who asked to write.
func (p *pacedWriter) WriteHeader(status int) {
	if p.refused = status == http.StatusRequestedRangeNotSatisfiable; !p.refused {
		p.ResponseWriter.WriteHeader(status)
	}
}

// Write gives the bytes one piece's time.
func (p *pacedWriter) Write(b []byte) (int, error) {
	if p.refused {
		return len(b), nil
	}
	p.renew()
	return p.ResponseWriter.Write(b)
}

// ReadFrom sends a reader, which is a file with a limit, in pieces.
func (p *pacedWriter) ReadFrom(r io.Reader) (sent int64, err error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: r, N: 1<<63 - 1}
	}
	for limited.N > 0 {
		p.renew()
		piece := io.LimitedReader{R: limited.R, N: min(limited.N, pieceSize)}
		n, err := io.Copy(p.ResponseWriter, &piece)
		sent += n
		limited.N -= n
		if err != nil || n == 0 {
			return sent, err
		}
	}
	return sent, nil
}

func (p *pacedWriter) renew() { _ = p.conn.SetWriteDeadline(time.Now().Add(pieceTime)) }

func (p *pacedWriter) done() { _ = p.conn.SetWriteDeadline(time.Time{}) }

// Unwrap is for http.ResponseController.
func (p *pacedWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }
