package httpx

import (
	"encoding/json"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"

	"rempart/internal/matrix"
)

// WriteJSON answers with bytes that are JSON already, in one write.
func WriteJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = jsonContentType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // Why no error: the peer is gone, and there is nobody else to tell
}

// writeError answers with {"errcode","error"} and the error's further fields, in French where the client prefers it.
// Spec: client-server-api/#standard-error-response
func writeError(w http.ResponseWriter, req *http.Request, e *matrix.Error) {
	message := e.Message
	if e.MessageFR != "" && strings.HasPrefix(req.Header.Get("Accept-Language"), "fr") {
		message = e.MessageFR
	}
	var body []byte
	if e.Code != "" { // a request for further authentication has no code
		body = append(body, `"errcode":`+quoted(e.Code)+`,"error":`+quoted(message)...)
	}
	names := make([]string, 0, len(e.Extra))
	for name := range e.Extra {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		value, err := json.Marshal(e.Extra[name])
		if err != nil {
			continue
		}
		if len(body) > 0 {
			body = append(body, ',')
		}
		body = append(append(body, quoted(name)+":"...), value...)
	}
	if ms, ok := e.Extra["retry_after_ms"].(int64); ok {
		w.Header().Set("Retry-After", strconv.FormatInt((ms+999)/1000, 10))
	}
	status := e.Status
	if status == 0 {
		status = http.StatusInternalServerError
	}
	WriteJSON(w, status, append(append([]byte{'{'}, body...), '}'))
}

// quoted is a JSON string.
func quoted(s string) string {
	b, _ := json.Marshal(s) // a string always has a JSON form
	return string(b)
}

// unrecognized is the answer to a path without a route, or without one for this method. Spec: RFC 9110, section 15.5.6
func unrecognized(w http.ResponseWriter, allowed []string) error {
	if len(allowed) == 0 {
		return matrix.Unrecognized()
	}
	list := append(slices.Clone(allowed), http.MethodOptions) // which any path answers
	slices.Sort(list)
	w.Header().Set("Allow", strings.Join(slices.Compact(list), ", "))
	return matrix.MethodNotAllowed()
}

func invalidParam(name, what string) error {
	return matrix.InvalidParam("The parameter " + quoted(name) + " " + what + ".")
}

func tooLarge(limit int64) *matrix.Error {
	return matrix.TooLarge("The request body is larger than " + strconv.FormatInt(limit, 10) + " bytes.")
}
