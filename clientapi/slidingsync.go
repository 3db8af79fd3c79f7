package clientapi

import (
	"errors"
	"io"
	"net/http"

	syncing "rempart/core/sync"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// slidingRoutes adds sliding sync in its two dialects: the one of MSC4186, and the one that clients spoke before it was
// accepted. MSC4186
func slidingRoutes(r *httpx.Router, s *syncing.Service) {
	for _, dialect := range [...]struct {
		path   string
		stable bool
	}{
		{"/_matrix/client/v4/sync", true},
		{"/_matrix/client/unstable/org.matrix.simplified_msc3575/sync", false},
	} {
		httpx.HandleRaw(r, "POST", dialect.path, httpx.Route{Access: httpx.User, Class: "sync", Spec: "MSC4186"},
			func(w http.ResponseWriter, req *http.Request, c matrix.Caller, p httpx.Path) error {
				q, err := slidingRequest(req, c, p, dialect.stable)
				if err != nil {
					return err
				}
				answer, err := s.Slide(req.Context(), &c, q)
				if err != nil {
					return err
				}
				defer answer.Release()
				httpx.WriteJSON(w, http.StatusOK, answer.Bytes())
				return nil
			})
	}
}

// slidingRequest reads the body and, in the older dialect, the query.
func slidingRequest(req *http.Request, c matrix.Caller, p httpx.Path, stable bool) (*syncing.SlidingRequest, error) {
	body, err := io.ReadAll(req.Body)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, matrix.TooLarge("The request is too large.")
	}
	if err != nil {
		return nil, matrix.NotJSON("The body could not be read.").Wrap(err)
	}
	q, err := syncing.ParseSliding(body, c.User, stable)
	if err != nil || stable {
		return q, err
	}
	query := p.Query()
	q.Pos, q.SetPresence = query.Get("pos"), query.Get("set_presence")
	ms, err := p.QueryInt("timeout", 0)
	q.Timeout = syncing.SlidingTimeout(int64(ms))
	return q, err
}
