package clientapi

import (
	"context"
	"time"

	syncing "rempart/core/sync"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// syncRoutes adds /sync. Spec: client-server-api/#syncing
func syncRoutes(r *httpx.Router, s *syncing.Service) {
	httpx.Handle(r, "GET", "/_matrix/client/v3/sync", httpx.Route{Access: httpx.UserOrGuest, R0: true, Class: "sync", Spec: "sync"},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (syncing.Answer, error) {
			q, err := syncRequest(p)
			if err != nil {
				return syncing.Answer{}, err
			}
			if q.Filter, err = s.FilterOf(ctx, &c, p.Query().Get("filter")); err != nil {
				return syncing.Answer{}, err
			}
			return s.Sync(ctx, &c, q)
		})
}

// syncRequest reads the query.
func syncRequest(p httpx.Path) (q syncing.Request, err error) {
	query := p.Query()
	q.Since, q.SetPresence = query.Get("since"), query.Get("set_presence")
	ms, err := p.QueryInt("timeout", 0)
	if err != nil {
		return q, err
	}
	q.Timeout = time.Duration(min(max(ms, 0), 1<<30)) * time.Millisecond
	if q.FullState, err = p.QueryBool("full_state", false); err != nil {
		return q, err
	}
	if q.StateAfter, err = p.QueryBool("use_state_after", false); err != nil || q.StateAfter {
		return q, err
	}
	q.StateAfterUnstable, err = p.QueryBool("org.matrix.msc4222.use_state_after", false)
	q.StateAfter = q.StateAfterUnstable
	return q, err
}
