package httpx

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"rempart/internal/matrix"
)

// authenticate finds the caller of a route that wants one. Spec: client-server-api/#client-authentication
func (r *Router) authenticate(x *exchange, req *http.Request) error {
	access := x.endpoint.Access
	if access == Public {
		x.info.token = r.token(x, req)
		return nil
	}
	token := r.token(x, req)
	if token == "" {
		if access == Optional {
			return nil
		}
		return matrix.MissingToken()
	}
	if r.options.Auth == nil {
		return errors.New("route needs a token but no authenticator was handed in")
	}
	caller, err := r.options.Auth.Authenticate(x.ctx, token, req)
	if err != nil {
		return err
	}
	x.caller = caller
	switch {
	case caller.Guest && (access == User || access == Admin):
		return matrix.GuestForbidden()
	case caller.Suspended && x.endpoint.Writes:
		return matrix.UserSuspended()
	case access == Admin && !caller.Admin:
		return matrix.Forbidden("This needs an administrator's account.")
	}
	return nil
}

// token takes the access token from the Authorization header, or from the query where that is allowed.
func (r *Router) token(x *exchange, req *http.Request) string {
	if h := req.Header["Authorization"]; len(h) > 0 {
		if scheme, token, ok := strings.Cut(h[0], " "); ok && strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(token)
		}
		return ""
	}
	if !r.options.TokenInQuery || !strings.Contains(req.URL.RawQuery, "access_token=") {
		return ""
	}
	return x.path.Query().Get("access_token")
}

// parseQuery reads a query as far as it is well-formed.
func parseQuery(raw string) url.Values {
	if raw == "" {
		return url.Values{}
	}
	values, _ := url.ParseQuery(raw) // Why no error: what could be read is returned, as net/http does
	return values
}
