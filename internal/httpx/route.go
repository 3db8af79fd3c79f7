package httpx

import (
	"net/http"
	"sort"
	"strings"
)

// Access says who may call a route.
type Access int

// The kinds of access, from the most open to the narrowest.
const (
	// Public routes never look at a token.
	Public Access = iota
	// User routes need the token of a full account.
	User
	// UserOrGuest routes need a token, a guest's will do.
	UserOrGuest
	// Optional routes take a token when there is one; a bad one is refused all the same.
	Optional
	// Admin routes need the token of a server administrator.
	Admin
	// Server routes need the signature of another server.
	Server
)

// String names the access for documents and logs.
func (a Access) String() string {
	return [...]string{"public", "user", "guest", "optional", "admin", "server"}[a]
}

// Route is what a route declares besides its method and path. The zero value is a public route of the default
// rate-limit class.
type Route struct {
	Access Access
	// Class is the rate-limit class, one of those in [DefaultRates]; unknown and empty ones share the default class.
	Class string
	// MaxBody bounds the request body in bytes; 0 takes the router's bound.
	MaxBody int64
	// Spec is the operation id or section of the specification that the route serves.
	Spec string
	// Writes says that accounts which are suspended may not call the route. Spec: client-server-api/#account-suspension
	Writes bool
	// R0 serves the route under "r0" in the place of "v3" too, for older clients.
	R0 bool
	// Unstable lists further paths that are served by the same handler. A path that ends in "/" matches just that,
	// which serves the empty state key: ".../state/{eventType}/".
	Unstable []string
}

// RouteInfo is one declared route, as documents show it.
type RouteInfo struct {
	Method, Pattern string
	Access          Access
	Class, Spec     string
	// Alias is set on the further paths of a route: its r0 and unstable forms.
	Alias bool
}

// endpoint is a route ready to serve. It is the handler that the mux hands back.
type endpoint struct {
	Route
	method, pattern string
	serve           func(w http.ResponseWriter, req *http.Request, x *exchange) error
}

// ServeHTTP makes an endpoint fit where the mux wants a handler. Nothing calls it: the router serves endpoints itself.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "endpoint served outside its router", http.StatusInternalServerError)
}

// register adds a route under all its paths.
func (r *Router) register(e *endpoint) {
	if e.MaxBody == 0 {
		e.MaxBody = r.options.MaxBody
	}
	for i, pattern := range e.paths() {
		r.index.add(e.method, pattern, e)
		r.routes = append(r.routes, RouteInfo{
			Method: e.method, Pattern: pattern, Access: e.Access, Class: e.Class, Spec: e.Spec, Alias: i > 0,
		})
	}
}

// paths lists the pattern and its further forms, each once.
func (e *endpoint) paths() []string {
	paths := []string{e.pattern}
	if e.R0 {
		if old := strings.Replace(e.pattern, "/v3/", "/r0/", 1); old != e.pattern {
			paths = append(paths, old)
		}
	}
	return append(paths, e.Unstable...)
}

// Routes lists every declared route by path and method.
func (r *Router) Routes() []RouteInfo {
	out := append([]RouteInfo(nil), r.routes...)
	sort.Slice(out, func(i, j int) bool {
		if out[i].Pattern != out[j].Pattern {
			return out[i].Pattern < out[j].Pattern
		}
		return out[i].Method < out[j].Method
	})
	return out
}
