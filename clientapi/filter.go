package clientapi

import (
	"context"
	"encoding/json"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// filterRoutes adds stored filters. Spec: client-server-api/#filtering
func filterRoutes(r *httpx.Router, s *users.Service) {
	const path = "/_matrix/client/v3/user/{userID}/filter"
	httpx.Handle(r, "POST", path, ofUser("defineFilter"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in json.RawMessage) (map[string]string, error) {
			if err := ownPath(c, p); err != nil {
				return nil, err
			}
			id, err := s.StoreFilter(ctx, c, in)
			return map[string]string{"filter_id": id}, err
		})
	httpx.Handle(r, "GET", path+"/{filterID}", ofUser("getFilter"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (json.RawMessage, error) {
			if err := ownPath(c, p); err != nil {
				return nil, err
			}
			return s.GetFilter(ctx, c, p.Var("filterID"))
		})
}
