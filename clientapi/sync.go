package clientapi

import (
	"net/http"
	"time"

	"rempart/core/sync"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// syncRoutes adds /sync. Spec: client-server-api/#syncing
func syncRoutes(r *httpx.Router, s *sync.Service) {
	httpx.HandleRaw(r, "GET", "/_matrix/client/v3/sync", httpx.Route{Access: httpx.UserOrGuest, R0: true, Class: "sync", Spec: "sync"},
		func(w http.ResponseWriter, req *http.Request, c matrix.Caller, p httpx.Path) error {
			q, err := syncRequest(req, s, &c, p)
			if err != nil {
				return err
			}
			answer, err := s.Sync(req.Context(), &c, q)
			if err != nil {
				return err
			}
			defer answer.Release()
			httpx.WriteJSON(w, http.StatusOK, answer.Bytes())
			return nil
		})
}

func syncRequest(req *http.Request, s *sync.Service, c *matrix.Caller, p httpx.Path) (q sync.Request, err error) {
	query := p.Query()
	q.Since, q.SetPresence = query.Get("since"), query.Get("set_presence")
	wait, err := p.QueryInt("timeout", 0)
	if err != nil {
		return q, err
	}
	if wait < 0 {
		return q, matrix.InvalidParam("timeout must not be negative.")
	}
	q.Timeout = time.Duration(min(wait, int(time.Hour/time.Millisecond))) * time.Millisecond
	if q.FullState, err = p.QueryBool("full_state", false); err != nil {
		return q, err
	}
	if q.StateAfter, err = p.QueryBool("use_state_after", false); err != nil {
		return q, err
	}
	if !q.StateAfter { // MSC4222, as clients still ask for it
		if q.StateAfter, err = p.QueryBool("org.matrix.msc4222.use_state_after", false); err != nil {
			return q, err
		}
	}
	q.Filter, err = s.FilterOf(req.Context(), c, query.Get("filter"))
	return q, err
}
