package adminapi

import (
	"context"
	"strconv"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// missionRoutes adds who may be abroad, when and where. Administrators see and give the missions of their own organisation's people.
func missionRoutes(r *httpx.Router, s *users.Service) {
	route := httpx.Route{Access: httpx.Admin}
	httpx.Handle(r, "GET", ownPrefix+"/missions", route,
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string][]users.Mission, error) {
			list, err := s.Missions(ctx, c.Server, matrix.UserID(p.Query().Get("user_id")))
			return map[string][]users.Mission{"missions": list}, err
		})
	httpx.Handle(r, "POST", ownPrefix+"/missions", route,
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, in users.Mission) (users.Mission, error) {
			return s.GrantMission(ctx, c, in)
		})
	httpx.Handle(r, "POST", ownPrefix+"/missions/{id}/end", route,
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (users.Mission, error) {
			id, err := strconv.ParseInt(p.Var("id"), 10, 64)
			if err != nil {
				return users.Mission{}, matrix.NotFound("There is no such mission.")
			}
			return s.EndMission(ctx, c, id)
		})
}
