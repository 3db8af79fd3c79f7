package sfu

import (
	"net/http"
	"net/url"
	"strings"

	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// Base is where the routes of calls are, for clients and for the addresses that they are told.
const Base = "/_rempart/calls"

// Routes adds the media server's signalling to a router. What a client may ask of it is to connect and to see whether he
// could; its administration is not reachable.
func (s *Service) Routes(r *httpx.Router) {
	if s.Backend.Signal() == nil {
		return
	}
	for _, path := range []string{"/rtc", "/rtc/validate", "/rtc/v1", "/rtc/v1/validate"} {
		httpx.HandleRaw(r, http.MethodGet, Base+path, httpx.Route{Class: "calls", Spec: "MSC4195"},
			func(w http.ResponseWriter, req *http.Request, _ matrix.Caller, _ httpx.Path) error {
				return s.signal(w, req, path)
			})
	}
}

// signal checks the token of a request and hands it on, with the token in a header: it is in no URL that goes further.
func (s *Service) signal(w http.ResponseWriter, req *http.Request, path string) error {
	query := req.URL.Query()
	token := query.Get("access_token")
	if bearer, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok {
		token = bearer
	}
	c, err := s.admit(req.Context(), token)
	if err != nil {
		return refusal(err)
	}
	// Why again: a room that everybody has left, or that the media process lost, is gone.
	if err := s.Backend.EnsureRoom(req.Context(), c.Video.Room); err != nil {
		return err
	}
	// Why: with it a participant would have the server send packets to addresses of his choosing.
	for _, name := range []string{"access_token", "disable_ice_lite"} {
		query.Del(name)
	}
	on := req.Clone(req.Context())
	on.URL = &url.URL{Path: path, RawQuery: query.Encode()}
	on.Header.Set("Authorization", "Bearer "+token)
	s.Backend.Signal().ServeHTTP(w, on)
	return nil
}

// refusal is what is answered to a bad token: always the same, so that nothing is learned from it.
func refusal(err error) error {
	if final(err) {
		return matrix.Forbidden("This token does not open the call any more: ask for a new one.")
	}
	if err == errToken { //nolint:errorlint // Why: it is never wrapped
		return matrix.NewError(http.StatusUnauthorized, matrix.CodeUnknownToken, "The token is not valid.")
	}
	return err
}
