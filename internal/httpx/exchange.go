package httpx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"rempart/internal/matrix"
)

// exchange is one request and its answer while they are under way. It is the response writer that handlers see, so
// that the status is known afterwards. It belongs to one goroutine.
type exchange struct {
	http.ResponseWriter
	router   *Router
	endpoint *endpoint // nil until the route is found
	caller   matrix.Caller
	path     Path
	ctx      context.Context //nolint:containedctx // Why: the exchange is the request; it ends with it
	info     requestInfo
	start    time.Time
	id       uint64
	status   int
	lease    *lease
}

// WriteHeader notes the status and passes it on.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= http.StatusOK {
		x.status = status
	}
	x.renew()
	x.ResponseWriter.WriteHeader(status)
}

// Write answers 200 if nothing was answered yet.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.writePieces(b)
}

// ReadFrom lets the connection take a file by itself, which the kernel then sends.
func (x *exchange) ReadFrom(r io.Reader) (int64, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return io.Copy(x.ResponseWriter, r)
}

// Unwrap gives http.ResponseController the connection's own writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// fail answers with an error. What is not a matrix.Error is our own fault: the cause goes to the log, never to the
// caller.
func (x *exchange) fail(req *http.Request, err error) {
	var known *matrix.Error
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &known):
	case errors.As(err, &over):
		known = tooLarge(over.Limit)
	default:
		known = &matrix.Error{Code: "M_UNKNOWN", Status: http.StatusInternalServerError,
			Message:   "Internal error; the server's log has it as request " + x.router.ids.format(x.id) + ".",
			MessageFR: "Erreur interne ; le journal du serveur la connaît sous le numéro " + x.router.ids.format(x.id) + "."}
	}
	// Why not this one: somebody asked for a file sooner than its owner sent it, and nothing failed here.
	if known.Status >= http.StatusInternalServerError && known.Code != matrix.CodeNotYetUploaded && req.Context().Err() == nil {
		x.log(req).Error("request failed", "error", err)
	}
	if x.status == 0 {
		writeError(x, req, known)
	}
}

// finish turns a panic into a 500, tells the observer and writes the debug line.
func (x *exchange) finish(req *http.Request) {
	defer x.router.open.Add(-1)
	if p := recover(); p != nil {
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(p)
		}
		x.log(req).Error("panic in handler", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		x.fail(req, errPanicked)
	}
	if x.status == 0 {
		x.renew() // the server answers for the handler
	}
	took := time.Since(x.start)
	if observe := x.router.options.Observe; observe != nil {
		observe(req.Method, x.pattern(), x.status, took)
	}
	if x.router.options.Logger.Enabled(x.ctx, slog.LevelDebug) {
		x.log(req).Debug("request", "status", x.status, "took", took)
	}
}

// errPanicked stands for a panic that has been logged with its stack.
var errPanicked = errors.New("handler panicked")

// log is a logger with the request's fields. Why the pattern and not the URL: a URL may carry a token.
func (x *exchange) log(req *http.Request) *slog.Logger {
	return x.router.options.Logger.With("request_id", x.router.ids.format(x.id),
		"method", req.Method, "route", x.pattern(), "user", string(x.caller.User))
}

// pattern is the route's path pattern, "" when none matched.
func (x *exchange) pattern() string {
	if x.endpoint == nil {
		return ""
	}
	return x.endpoint.pattern
}
