package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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

// Unwrap gives the refusal in the protocol's form, so that [matrix.AsError] hands it on to clients.
// Why not what is about tokens: a client would take it for its own and log out.
func (e *RemoteError) Unwrap() error {
	switch {
	case e.Status == http.StatusUnauthorized, e.Err.Code == matrix.CodeUnknownToken, e.Err.Code == matrix.CodeMissingToken:
		return matrix.NewError(http.StatusBadGateway, matrix.CodeUnknown, "The other server did not accept this server's request.")
	}
	return e.Err
}

// RetryAfter is how long a peer that refused for its load asks us to wait, 0 when it does not say.
func (e *RemoteError) RetryAfter() time.Duration {
	if ms, ok := e.Err.Extra["retry_after_ms"].(float64); ok && ms > 0 {
		return time.Duration(min(ms, float64(time.Hour.Milliseconds()))) * time.Millisecond
	}
	return 0
}

// AsRemote finds a refusal by another server in a chain of errors.
func AsRemote(err error) (*RemoteError, bool) {
	var e *RemoteError
	return e, errors.As(err, &e)
}

// maxErrorText bounds what is kept of the text of a refusal.
const maxErrorText = 300

// remoteError reads the refusal in an answer.
func remoteError(server matrix.ServerName, res *http.Response) *RemoteError {
	e := &RemoteError{Server: server, Status: res.StatusCode, Err: &matrix.Error{Status: res.StatusCode}}
	body, err := io.ReadAll(io.LimitReader(res.Body, smallAnswer))
	if err != nil {
		return e
	}
	var extra map[string]any
	if json.Unmarshal(body, &extra) != nil {
		return e
	}
	e.Err.Code, _ = extra["errcode"].(string)
	e.Err.Message, _ = extra["error"].(string)
	if len(e.Err.Message) > maxErrorText {
		e.Err.Message = e.Err.Message[:maxErrorText]
	}
	delete(extra, "errcode")
	delete(extra, "error")
	delete(extra, matrix.ReasonKey) // Why: it is how our own policy speaks
	e.Err.Extra = extra
	return e
}
