package httpx

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"rempart/internal/matrix"
)

// MaxDepth is how deeply arrays and objects of a body may nest.
const MaxDepth = 100

// bodyTime is how long a body may take to arrive, whatever its size.
const bodyTime = 60 * time.Second

// MaybeObject takes the bytes of a JSON object as they came, as json.RawMessage does, and nil where there is no body.
type MaybeObject []byte

// decode reads the body of a request into a pointer: *Empty, *json.RawMessage, *MaybeObject, or anything [matrix.Decode] takes.
func decode(w http.ResponseWriter, req *http.Request, limit int64, into any) error {
	body, err := readBody(w, req, limit)
	if err != nil {
		return err
	}
	if maybe, ok := into.(*MaybeObject); ok && len(body) > 0 {
		into = (*json.RawMessage)(maybe)
	}
	raw, verbatim := into.(*json.RawMessage)
	if len(body) == 0 && !verbatim {
		return nil
	}
	if err := checkObject(body); err != nil {
		return err
	}
	if _, ignored := into.(*Empty); ignored || verbatim {
		if !json.Valid(body) {
			return matrix.NotJSON("The request body is not JSON.")
		}
		if verbatim {
			*raw = body
		}
		return nil
	}
	return unmarshal(body, into)
}

// unmarshal tells malformed JSON from JSON of the wrong shape. Spec: client-server-api/#common-error-codes
func unmarshal(body []byte, into any) error {
	err := matrix.Decode(body, into)
	var syntax *matrix.SyntaxError
	var wrong *matrix.TypeError
	var known *matrix.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &syntax):
		return matrix.NotJSON("The request body is not JSON: " + syntax.Error() + ".")
	case errors.As(err, &wrong):
		return matrix.BadJSON("The request body's field " + quoted(wrong.Field) + " has the wrong type.")
	}
	return matrix.BadJSON("The request body has an unexpected form.")
}

// readBody reads a body of at most limit bytes, by its declared length where there is one.
func readBody(w http.ResponseWriter, req *http.Request, limit int64) ([]byte, error) {
	if req.ContentLength == 0 || req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	if req.ContentLength > limit {
		w.Header().Set("Connection", "close")
		return nil, tooLarge(limit)
	}
	// Why a deadline here and no ReadTimeout on the server: that one would run on while a sync waits.
	conn := http.NewResponseController(w)
	if conn.SetReadDeadline(time.Now().Add(bodyTime)) == nil {
		defer func() { _ = conn.SetReadDeadline(time.Time{}) }()
	}
	if req.ContentLength < 0 {
		return readChunked(w, req, limit)
	}
	return readDeclared(req.Body, req.ContentLength)
}

// bodyAhead is how much room is made for a body before any of it has come.
const bodyAhead = 64 << 10

// readDeclared reads a body of a length that its sender declares. Why not into room for all of it at once: to declare costs nothing, and
// some routes take 16 MiB of whoever has not shown yet who he is.
func readDeclared(from io.Reader, length int64) ([]byte, error) {
	body := make([]byte, min(length, bodyAhead))
	for read := int64(0); ; {
		if _, err := io.ReadFull(from, body[read:]); err != nil {
			return nil, matrix.NotJSON("The request body ended early.").Wrap(err)
		}
		if read = int64(len(body)); read == length {
			return body, nil
		}
		body = append(body, make([]byte, min(read, length-read))...)
	}
}

// readChunked reads a body that does not say its length.
func readChunked(w http.ResponseWriter, req *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(req.Body, limit+1))
	if err != nil {
		return nil, matrix.NotJSON("The request body ended early.").Wrap(err)
	}
	if int64(len(body)) > limit {
		w.Header().Set("Connection", "close")
		return nil, tooLarge(limit)
	}
	return body, nil
}

// checkObject refuses what is no JSON object, bad UTF-8 and nesting deeper than MaxDepth, in one pass that leaves the
// rest of the grammar to encoding/json. Why: that package replaces bad UTF-8 silently and nests up to 10,000 deep.
func checkObject(body []byte) error {
	if !utf8.Valid(body) {
		return matrix.NotJSON("The request body is not UTF-8.")
	}
	depth, inString, first := 0, false, byte(0)
	for i := 0; i < len(body); i++ {
		c := body[i]
		if first == 0 && c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			first = c
		}
		switch {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return matrix.BadJSON("The request body nests too deeply.")
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	if first != '{' {
		return notObject(body)
	}
	return nil
}

// notObject tells valid JSON of another kind from what is no JSON at all.
func notObject(body []byte) error {
	if json.Valid(body) {
		return matrix.BadJSON("The request body must be a JSON object.")
	}
	return matrix.NotJSON("The request body is not JSON.")
}
