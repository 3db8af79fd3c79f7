package clientapi

import (
	"context"
	"net/http"
	"strings"

	"rempart/core/appservice"
	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// Authenticator tells the router whose an access token is.
type Authenticator struct {
	Users *users.Service
	// Services are the application services, Heard is told when one of them spoke to us; both may be nil.
	Services *appservice.Registry
	Heard    func(*appservice.Service)
}

var _ httpx.Authenticator = Authenticator{}

// Authenticate asks the accounts. Why it looks at the path: a locked account may still log out.
// Spec: client-server-api/#account-locking
func (a Authenticator) Authenticate(ctx context.Context, token string, r *http.Request) (matrix.Caller, error) {
	if by := a.Services.ByToken(token); by != nil {
		return a.masquerade(ctx, by, r)
	}
	loggingOut := strings.HasSuffix(r.URL.Path, "/logout") || strings.HasSuffix(r.URL.Path, "/logout/all")
	c, err := a.Users.Authenticate(ctx, token, seen(ctx), loggingOut)
	c.Addr = httpx.ClientAddr(ctx)
	return c, err
}

// masquerade lets an application service act as one of its users. Spec: application-service-api/#identity-assertion
func (a Authenticator) masquerade(ctx context.Context, by *appservice.Service, r *http.Request) (matrix.Caller, error) {
	if a.Heard != nil {
		a.Heard(by)
	}
	q := r.URL.Query()
	device := q.Get("device_id")
	if device == "" {
		device = q.Get("org.matrix.msc3202.device_id")
	}
	c, err := a.Users.Masquerade(ctx, by, matrix.UserID(q.Get("user_id")), matrix.DeviceID(device))
	c.Addr = httpx.ClientAddr(ctx)
	return c, err
}

// seen says from where a request comes.
func seen(ctx context.Context) users.Seen {
	out := users.Seen{UserAgent: httpx.UserAgent(ctx)}
	if addr := httpx.ClientAddr(ctx); addr.IsValid() {
		out.IP = addr.String()
	}
	return out
}

// Routes of the usual kinds of access.
func public(spec string) httpx.Route { return httpx.Route{R0: true, Spec: spec} }

func ofUser(spec string) httpx.Route {
	return httpx.Route{Access: httpx.User, R0: true, Spec: spec}
}

// limited gives a route a rate-limit class.
func limited(r httpx.Route, class string) httpx.Route {
	r.Class = class
	return r
}

// writing marks a route as one that suspended accounts may not call.
func writing(r httpx.Route) httpx.Route {
	r.Writes = true
	return r
}

// ofGuest opens a route to guests too.
func ofGuest(r httpx.Route) httpx.Route {
	r.Access = httpx.UserOrGuest
	return r
}

// also serves a route under further paths.
func also(r httpx.Route, paths ...string) httpx.Route {
	r.Unstable = append(r.Unstable, paths...)
	return r
}

// ownPath refuses a path that names another user than the caller.
func ownPath(c matrix.Caller, p httpx.Path) error {
	id, err := p.UserID()
	if err != nil {
		return err
	}
	if id != c.User {
		return matrix.Forbidden("You can do this only for yourself.")
	}
	return nil
}
