package httpx

import (
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/gorilla/mux"
)

// index finds the few routes that a path may belong to before the mux is asked, which tries its routes one by one
// with a regular expression each. It is a tree over path segments; routes whose literal segments are the same share a
// small mux, which checks the method and takes the variables. Why: as one mux, the last of 200 routes costs 100 µs.
//
// Routes are added before serving starts; after that an index is read-only to its users and may be shared.
type index struct {
	literal  map[string]*index
	variable *index
	varied   *varied              // routes with variables that end here; nil: none
	fixed    map[string]*endpoint // routes without variables that end here, by method
}

// varied are routes with variables whose literal segments are the same.
type varied struct {
	routes []variedRoute
	made   sync.Once
	mux    *mux.Router
}

type variedRoute struct {
	method, pattern string
	endpoint        *endpoint
}

// router is their mux. Why only when one of them is asked for: to compile the expressions of all routes takes a sixth of a start.
func (v *varied) router() *mux.Router {
	v.made.Do(func() {
		// Why: without these two, "%2F" in a variable ends in 404 and "//" in a redirect.
		v.mux = mux.NewRouter().SkipClean(true).UseEncodedPath()
		for _, r := range v.routes {
			v.mux.Handle(r.pattern, r.endpoint).Methods(r.method)
		}
	})
	return v.mux
}

// methods are those of the routes that take a path.
func (v *varied) methods(req *http.Request) (list []string) {
	for _, r := range v.routes {
		as := *req
		as.Method = r.method
		if v.mux.Match(&as, &mux.RouteMatch{}) {
			list = append(list, r.method)
		}
	}
	return list
}

// add puts a route at the leaf of its pattern.
func (x *index) add(method, pattern string, e *endpoint) {
	leaf := x
	for _, segment := range strings.Split(strings.TrimPrefix(pattern, "/"), "/") {
		leaf = leaf.child(segment)
	}
	if !strings.Contains(pattern, "{") { // the way through the tree has compared it whole
		if leaf.fixed == nil {
			leaf.fixed = make(map[string]*endpoint)
		}
		leaf.fixed[method] = e
		return
	}
	if leaf.varied == nil {
		leaf.varied = &varied{}
	}
	leaf.varied.routes = append(leaf.varied.routes, variedRoute{method, pattern, e})
}

// child returns the node for a segment of a pattern, made if it is new.
func (x *index) child(segment string) *index {
	if strings.HasPrefix(segment, "{") {
		if x.variable == nil {
			x.variable = &index{}
		}
		return x.variable
	}
	if x.literal == nil {
		x.literal = make(map[string]*index)
	}
	if x.literal[segment] == nil {
		x.literal[segment] = &index{}
	}
	return x.literal[segment]
}

// match is the outcome of a look-up.
type match struct {
	endpoint *endpoint
	vars     map[string]string // still percent-encoded
	// allowed are the methods that the path has, when it has none for this request; nil: there is no such path.
	allowed []string
}

// find looks a request up. path is the rest of its encoded path, without the leading slash. A literal segment wins
// over a variable, unless no route below it takes the method.
func (x *index) find(req *http.Request, path string, m *match) bool {
	segment, rest, more := strings.Cut(path, "/")
	if next := x.literal[segment]; next != nil && next.down(req, rest, more, m) {
		return true
	}
	return segment != "" && x.variable != nil && x.variable.down(req, rest, more, m)
}

// down goes on with the rest of the path, or asks the routes that end here.
func (x *index) down(req *http.Request, rest string, more bool, m *match) bool {
	if more {
		return x.find(req, rest, m)
	}
	if e := x.fixed[req.Method]; e != nil {
		m.endpoint = e
		return true
	}
	for method := range x.fixed {
		m.allowed = append(m.allowed, method)
	}
	if x.varied == nil {
		return false
	}
	var found mux.RouteMatch
	if !x.varied.router().Match(req, &found) {
		if errors.Is(found.MatchErr, mux.ErrMethodMismatch) {
			m.allowed = append(m.allowed, x.varied.methods(req)...)
		}
		return false
	}
	e, ok := found.Handler.(*endpoint)
	if ok {
		m.endpoint, m.vars = e, found.Vars
	}
	return ok
}
