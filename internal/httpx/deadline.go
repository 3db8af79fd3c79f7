package httpx

import (
	"net/http"
	"time"
)

// A reader may be as slow as he likes while he reads: each piece of an answer has so much time. Who takes nothing for so
// long loses his connection, and with it the memory that his answer holds.
const (
	pieceTime = 60 * time.Second
	pieceSize = 64 << 10
)

// renew gives what is written next one piece's time.
// Why at each write and never taken away: the server writes the last bytes of an answer after its handler has returned.
func (x *exchange) renew() {
	_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(time.Now().Add(pieceTime)) // a writer without a connection has none
}

// writePieces writes an answer piece by piece, each with its own time.
func (x *exchange) writePieces(b []byte) (written int, err error) {
	for {
		if !x.renewed {
			x.renew()
		}
		x.renewed = false
		n, err := x.ResponseWriter.Write(b[:min(len(b), pieceSize)])
		written += n
		if b = b[n:]; err != nil || len(b) == 0 {
			return written, err
		}
	}
}
