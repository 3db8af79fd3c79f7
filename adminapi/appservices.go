package adminapi

import (
	"context"
	"net/http"

	"rempart/core/appservice/courier"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// serviceRoutes adds how application services stand: they belong to the organisation that runs the server, and no other server has
// these routes.
func serviceRoutes(r *httpx.Router, d Deps) {
	const all, one = "/_rempart/admin/v1/appservices", "/_rempart/admin/v1/appservices/{service}"
	standings := func(ctx context.Context, c matrix.Caller) ([]courier.Standing, error) {
		list, err := d.Services.Standings(ctx)
		if err == nil && len(list) > 0 && list[0].Sender.Server() != c.Server {
			return nil, matrix.Forbidden("The application services of this server belong to the organisation that runs it.").
				French("Les services applicatifs de ce serveur appartiennent à l'organisation qui l'exploite.")
		}
		return list, err
	}
	type listed struct {
		Services []courier.Standing `json:"appservices"`
	}
	httpx.Handle(r, http.MethodGet, all, httpx.Route{Access: httpx.Admin},
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (out listed, err error) {
			out.Services, err = standings(ctx, c)
			return out, err
		})
	httpx.Handle(r, http.MethodGet, one, httpx.Route{Access: httpx.Admin},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (courier.Standing, error) {
			list, err := standings(ctx, c)
			for _, s := range list {
				if s.ID == p.Var("service") {
					return s, nil
				}
			}
			if err == nil {
				err = matrix.NotFound("No application service with an address has this id.").French("Aucun service applicatif joignable ne porte cet identifiant.")
			}
			return courier.Standing{}, err
		})
}
