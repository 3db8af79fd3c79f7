package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"rempart/internal/matrix"
)

// Empty is a body without content: as input the body is ignored (but must be JSON), as output it is {}.
type Empty struct{}

// Appender is an answer that writes its own JSON, for routes where encoding/json is too slow.
type Appender interface {
	AppendJSON(dst []byte) ([]byte, error)
}

// Lent is an answer whose bytes are ready and belong to somebody else, who gets them back when they are written.
type Lent interface {
	Bytes() []byte
	Release()
}

// Streamed is an answer that is written while it is made, since it may be larger than memory should hold. An error before the
// first bytes have left is answered as the handler's own; after that the connection is cut, so that nobody takes the
// beginning for the whole.
type Streamed func(w io.Writer) error

// As is an object with one member, whose value fn writes.
func (fn Streamed) As(member string) Streamed {
	return func(w io.Writer) error {
		if _, err := io.WriteString(w, `{"`+member+`":`); err != nil {
			return err
		}
		if err := fn(w); err != nil {
			return err
		}
		_, err := io.WriteString(w, "}")
		return err
	}
}

// Handle declares a route whose handler takes and returns values.
//
// A POST, PUT, PATCH or DELETE body is decoded into In. No body counts as {} unless In is json.RawMessage, which takes
// the bytes of a JSON object as they came. Out is encoded with status 200. An error that is a *matrix.Error decides
// its own status and JSON; any other is a 500 whose cause is only logged.
func Handle[In, Out any](r *Router, method, pattern string, opt Route,
	fn func(ctx context.Context, c matrix.Caller, p Path, in In) (Out, error),
) {
	withBody := method != http.MethodGet && method != http.MethodHead
	r.register(&endpoint{Route: opt, method: method, pattern: pattern,
		serve: func(w http.ResponseWriter, req *http.Request, x *exchange) error {
			var in In
			if withBody {
				if err := decode(w, req, x.endpoint.MaxBody, &in); err != nil {
					return err
				}
			}
			out, err := fn(x.ctx, x.caller, x.path, in)
			if err != nil {
				return err
			}
			return r.encode(w, out)
		}})
}

// HandleRaw declares a route whose handler reads and writes by itself. An error it returns before it has written
// anything is answered as [Handle] does. The body is bounded by the route's MaxBody.
func HandleRaw(r *Router, method, pattern string, opt Route,
	fn func(w http.ResponseWriter, req *http.Request, c matrix.Caller, p Path) error,
) {
	r.register(&endpoint{Route: opt, method: method, pattern: pattern,
		serve: func(w http.ResponseWriter, req *http.Request, x *exchange) error {
			if req.ContentLength > x.endpoint.MaxBody {
				return tooLarge(x.endpoint.MaxBody)
			}
			req.Body = http.MaxBytesReader(x.ResponseWriter, req.Body, x.endpoint.MaxBody)
			return fn(w, req.WithContext(x.ctx), x.caller, x.path)
		}})
}

// encode answers 200 with a value, in one write.
func (r *Router) encode(w http.ResponseWriter, out any) error {
	if lent, ok := out.(Lent); ok {
		defer lent.Release()
		WriteJSON(w, http.StatusOK, lent.Bytes())
		return nil
	}
	buf, _ := r.buffers.Get().(*bytes.Buffer)
	buf.Reset()
	defer func() {
		if buf.Cap() <= maxPooled {
			r.buffers.Put(buf)
		}
	}()
	switch v := out.(type) {
	case Streamed:
		return stream(w, buf, v)
	case Empty:
		buf.WriteString("{}")
	case json.RawMessage:
		buf.Write(v)
	case Appender:
		b, err := v.AppendJSON(buf.AvailableBuffer())
		if err != nil {
			return err
		}
		buf.Write(b)
	default:
		enc := json.NewEncoder(buf)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(out); err != nil {
			return err
		}
		buf.Truncate(buf.Len() - 1) // the encoder's newline
	}
	WriteJSON(w, http.StatusOK, buf.Bytes())
	return nil
}

// stream answers 200 with what a function writes. What fits into the buffer is sent with its length, as any other answer.
func stream(w http.ResponseWriter, buf *bytes.Buffer, out Streamed) error {
	buf.Grow(streamBuffer)
	s := &streaming{w: w, buf: buf}
	err := out(s)
	switch {
	case err != nil && s.begun:
		return &brokenError{err}
	case err != nil:
		return err
	case !s.begun:
		WriteJSON(w, http.StatusOK, buf.Bytes())
		return nil
	}
	if err := s.flush(); err != nil {
		return &brokenError{err}
	}
	return nil
}

// streamBuffer is how much of a streamed answer is held back before it is sent.
const streamBuffer = 32 << 10

// streaming collects pieces of an answer and sends them when there are enough.
type streaming struct {
	w     http.ResponseWriter
	buf   *bytes.Buffer
	begun bool
}

func (s *streaming) Write(b []byte) (int, error) {
	if s.buf.Len() > 0 && s.buf.Len()+len(b) > streamBuffer {
		if err := s.flush(); err != nil {
			return 0, err
		}
	}
	return s.buf.Write(b)
}

func (s *streaming) flush() error {
	if !s.begun {
		s.begun = true
		s.w.Header()["Content-Type"] = jsonContentType
		s.w.WriteHeader(http.StatusOK)
	}
	_, err := s.w.Write(s.buf.Bytes())
	s.buf.Reset()
	return err
}

// brokenError says why an answer broke off after its beginning was sent.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// maxPooled is the largest answer whose buffer is kept for the next one.
const maxPooled = 64 << 10

// DecodeJSON reads a request's body as Handle does, for raw handlers.
func DecodeJSON(w http.ResponseWriter, req *http.Request, limit int64, into any) error {
	return decode(w, req, limit, into)
}
