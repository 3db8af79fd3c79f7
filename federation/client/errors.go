package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rempart/internal/matrix"
)

// RemoteError is a refusal by another server.
type RemoteError struct {
	// Server is who refused.
	Server matrix.ServerName
	// Status is the HTTP status of the answer.
	Status int
	// Err is the refusal in the protocol's form; its Code is "" when the answer had none.
	Err *matrix.Error
}

// Error tells status and refusal.
func (e *RemoteError) Error() string {
	return fmt.Sprintf("%s answered %d %s %s", e.Server, e.Status, e.Err.Code, e.Err.Message)
}

// Answered is the HTTP status of the answer.
func (e *RemoteError) Answered() int { return e.Status }

// Unwrap gives the refusal in the protocol's form, so that [matrix.AsError] hands it on to clients.
// Why not what is about tokens: a client would take it for its own and log out. Why 502 for all that is no refusal: a status of success
// would tell it that the thing is done, one of failure that we failed.
func (e *RemoteError) Unwrap() error {
	switch {
	case e.Status == http.StatusUnauthorized, e.Err.Code == matrix.CodeUnknownToken, e.Err.Code == matrix.CodeMissingToken:
		return matrix.NewError(http.StatusBadGateway, matrix.CodeUnknown, "The other server did not accept this server's request.")
	case e.Status < 400 || e.Status > 499 || e.Err.Code == "":
		return matrix.NewError(http.StatusBadGateway, matrix.CodeUnknown, strings.TrimSpace("The other server failed. It says: "+strconv.Itoa(e.Status)+" "+e.Err.Message))
	}
	return e.Err
}

// RetryAfter is how long a peer that refused for its load asks us to wait, 0 when it does not say.
func (e *RemoteError) RetryAfter() time.Duration {
	ms, _ := e.Err.Extra["retry_after_ms"].(int64)
	return time.Duration(ms) * time.Millisecond
}

// badAnswer is an answer that is of no use: its sender was reached all the same.
type badAnswer string

func (e badAnswer) Error() string { return string(e) }

// Answered is a status of success: it was given with the answer.
func (badAnswer) Answered() int { return http.StatusOK }

// AsRemote finds a refusal by another server in a chain of errors.
func AsRemote(err error) (*RemoteError, bool) {
	var e *RemoteError
	return e, errors.As(err, &e)
}

// Bounds of what is kept of a refusal: its text, its code.
const (
	maxErrorText = 300
	maxErrorCode = 100
)

// remoteError reads the refusal in an answer.
func remoteError(server matrix.ServerName, res *http.Response) *RemoteError {
	body, err := io.ReadAll(io.LimitReader(res.Body, smallAnswer))
	if err != nil {
		body = nil
	}
	return refusalBy(server, res.StatusCode, body)
}

// refusalBy is a refusal by its status and body. Of what else it says only two fields that clients know are kept.
// Why: others have them open pages or ask for passwords, and one is how our own policy speaks.
func refusalBy(server matrix.ServerName, status int, body []byte) *RemoteError {
	e := &RemoteError{Server: server, Status: status, Err: &matrix.Error{Status: status}}
	var answer map[string]any
	if len(body) > smallAnswer || matrix.Decode(body, &answer) != nil {
		return e
	}
	e.Err.Code, _ = answer["errcode"].(string)
	e.Err.Message, _ = answer["error"].(string)
	if len(e.Err.Code) > maxErrorCode {
		e.Err.Code = ""
	}
	if len(e.Err.Message) > maxErrorText {
		e.Err.Message = strings.ToValidUTF8(e.Err.Message[:maxErrorText], "")
	}
	e.Err.Extra = map[string]any{}
	if version, ok := answer["room_version"].(string); ok && len(version) <= maxErrorCode {
		e.Err.Extra["room_version"] = version
	}
	if ms, ok := answer["retry_after_ms"].(float64); ok && ms > 0 {
		e.Err.Extra["retry_after_ms"] = int64(min(ms, float64(time.Hour.Milliseconds())))
	}
	return e
}
