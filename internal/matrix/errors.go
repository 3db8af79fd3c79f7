package matrix

import (
	"errors"
	"net/http"
)

// Error is a refusal in the protocol's own form: it becomes a status and {"errcode","error", Extra...}.
// The cause is for the log only and never reaches a client. Values are immutable; Wrap and With copy.
// Spec: client-server-api/#standard-error-response
type Error struct {
	Code      string
	Status    int
	Message   string
	MessageFR string         // French text, where there is one
	Extra     map[string]any // further fields of the answer, such as "retry_after_ms"
	cause     error
}

// Error is the code with the message and, for logs, the cause.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Code + ": " + e.Message
	}
	return e.Code + ": " + e.Message + ": " + e.cause.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// Wrap returns a copy that carries a cause.
func (e *Error) Wrap(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// French returns a copy with a French text.
func (e *Error) French(text string) *Error {
	c := *e
	c.MessageFR = text
	return &c
}

// With returns a copy with one more field in the answer.
func (e *Error) With(key string, value any) *Error {
	c := *e
	c.Extra = make(map[string]any, len(e.Extra)+1)
	for k, v := range e.Extra {
		c.Extra[k] = v
	}
	c.Extra[key] = value
	return &c
}

// NewError makes an error of any code; the constructors below cover the usual ones.
func NewError(status int, code, message string) *Error {
	return &Error{Code: code, Status: status, Message: message}
}

// AsError finds the protocol error in a chain; anything else becomes 500 M_UNKNOWN with the error as cause.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Unknown("Internal server error.").Wrap(err)
}

// HasCode reports whether the chain holds a protocol error of this code.
func HasCode(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// ReasonKey is the field of an error in which this server's own policy explains a refusal.
const ReasonKey = "fr.rempart.reason"

// RefusalOf finds the refusal of this server's own policy in an error, nil when it is none: what other servers answer has no reasons
// of ours.
func RefusalOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) && e.Extra[ReasonKey] != nil {
		return e
	}
	return nil
}

// Unknown is 500 M_UNKNOWN.
func Unknown(msg string) *Error {
	return NewError(http.StatusInternalServerError, CodeUnknown, msg)
}
