package httpx

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rempart/internal/matrix"
)

// DefaultMaxBody bounds a request body where neither the router nor the route says otherwise.
const DefaultMaxBody = 1 << 20

// Authenticator tells who holds an access token. It answers an unknown one with M_UNKNOWN_TOKEN.
type Authenticator interface {
	Authenticate(ctx context.Context, token string, r *http.Request) (matrix.Caller, error)
}

// ServerAuthenticator tells which other server has signed a request. body is the whole body, nil when there is none. It
// answers a request without a good signature with M_UNAUTHORIZED.
type ServerAuthenticator interface {
	AuthenticateServer(ctx context.Context, r *http.Request, body []byte) (matrix.Caller, error)
}

// Options is what a router is made of.
type Options struct {
	// Auth may be nil when every route is public.
	Auth Authenticator
	// ServerAuth may be nil when no route is for servers.
	ServerAuth ServerAuthenticator
	// Limits bounds how often each caller may call; nil turns rate limits off.
	Limits *Limiter
	// Exempt reports whether a token that comes with a request to a public route lifts the limit of its address: that of an
	// application service, which makes accounts by the hundred. It may be nil.
	Exempt func(token string) bool
	// MaxBody bounds request bodies in bytes; 0 means [DefaultMaxBody].
	MaxBody int64
	// TokenInQuery accepts "?access_token=", which older clients still send.
	TokenInQuery bool
	// Logger takes failures (error), and every request at debug level.
	Logger *slog.Logger
	// TrustedProxies are the peers whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// Observe is told each answer: the route's pattern ("" when none matched), its status and how long it took.
	Observe func(method, pattern string, status int, took time.Duration)
}

// Router serves the declared routes. Routes are declared before the first request; from then on it is read-only and
// may be used by any number of goroutines.
type Router struct {
	options Options
	index   index
	routes  []RouteInfo
	buffers sync.Pool // of *bytes.Buffer, for answers
	ids     requestIDs
	open    atomic.Int64 // requests under way
	held    atomic.Int64 // refusals that are held back
}

// New makes a router without routes.
func New(o Options) *Router {
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Router{options: o, ids: newRequestIDs()}
	r.buffers.New = func() any { return new(bytes.Buffer) }
	return r
}

// Open is the number of requests under way, waiting syncs included.
func (r *Router) Open() int64 { return r.open.Load() }

// ServeHTTP answers one request.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	x := &exchange{router: r, ResponseWriter: w, start: time.Now(), id: r.ids.next(), lease: leaseOf(req)}
	x.info = requestInfo{addr: r.clientAddr(req), host: req.Host, agent: req.UserAgent(), language: req.Header.Get("Accept-Language")}
	x.ctx = context.WithValue(req.Context(), infoKey{}, &x.info)
	r.open.Add(1)
	defer x.finish(req)
	if req.Header.Get("Expect") != "" {
		x.renew() // the server says "continue" by itself when the body is read
	}
	allowAnyOrigin(w.Header())
	if req.Method == http.MethodOptions {
		x.WriteHeader(http.StatusNoContent)
		return
	}
	if err := r.dispatch(x, req); err != nil {
		r.holdBack(req.Context(), err)
		x.fail(req, err)
		if broken := (*brokenError)(nil); errors.As(err, &broken) {
			panic(http.ErrAbortHandler) // the server cuts the connection
		}
	}
}

// dispatch finds the route, checks who asks and how often, and runs the handler.
func (r *Router) dispatch(x *exchange, req *http.Request) error {
	var m match
	if !r.index.find(req, strings.TrimPrefix(req.URL.EscapedPath(), "/"), &m) {
		return unrecognized(x, m.allowed)
	}
	x.endpoint = m.endpoint
	if err := x.path.fill(req, m.vars); err != nil {
		return err
	}
	if err := r.admit(x, req); err != nil {
		return err
	}
	return m.endpoint.serve(x, req, x)
}

// admit authenticates the caller and takes one request from his rate limit. Without a token the address is limited.
func (r *Router) admit(x *exchange, req *http.Request) error {
	if x.endpoint.Access == Server {
		return r.admitServer(x, req)
	}
	if err := r.authenticate(x, req); err != nil {
		return err
	}
	if r.options.Limits == nil || x.caller.Admin || x.caller.Unlimited {
		return nil
	}
	if x.info.token != "" && r.options.Exempt != nil && r.options.Exempt(x.info.token) {
		return nil
	}
	if x.caller.Burst > 0 {
		own := Rate{PerSecond: float64(x.caller.PerSecond), Burst: float64(x.caller.Burst)}
		return r.options.Limits.TakeUserAt(x.endpoint.Class, x.caller.User, own)
	}
	if x.caller.User != "" {
		return r.options.Limits.TakeUser(x.endpoint.Class, x.caller.User)
	}
	return r.options.Limits.TakeAddr(x.endpoint.Class, x.info.addr)
}

// allowAnyOrigin lets web clients from anywhere read the answer, errors too. Spec: client-server-api/#web-browser-clients
func allowAnyOrigin(h http.Header) {
	h["Access-Control-Allow-Origin"] = corsOrigin
	h["Access-Control-Allow-Methods"] = corsMethods
	h["Access-Control-Allow-Headers"] = corsHeaders
	h["Access-Control-Expose-Headers"] = corsExpose
}

// Header values that never change, kept as the slices that a header holds: assigning them costs nothing.
var (
	corsOrigin      = []string{"*"}
	corsMethods     = []string{"GET, POST, PUT, DELETE, PATCH, OPTIONS"}
	corsHeaders     = []string{"X-Requested-With, Content-Type, Authorization, Date"}
	corsExpose      = []string{"Retry-After, ETag, Location"}
	jsonContentType = []string{"application/json"}
)
