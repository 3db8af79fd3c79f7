package httpx

import (
	"bytes"
	"context"
	"encoding/json"
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

// maxPooled is the largest answer whose buffer is kept for the next one.
const maxPooled = 64 << 10

// DecodeJSON reads a request's body as Handle does, for raw handlers.
func DecodeJSON(w http.ResponseWriter, req *http.Request, limit int64, into any) error {
	return decode(w, req, limit, into)
}
