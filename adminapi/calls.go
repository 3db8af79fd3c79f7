package adminapi

import (
	"context"
	"net/http"

	"rempart/core/calls"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// Calls are the calls under way at this node; *sfu.Service has them.
type Calls interface {
	Calls(ctx context.Context) ([]calls.Call, error)
	End(ctx context.Context, room matrix.RoomID) (int, error)
}

// CallRoutes adds what administrators of the organisation that runs the server ask about calls; no other server has them.
func CallRoutes(r *httpx.Router, s Calls, server matrix.ServerName) {
	mine := func(c matrix.Caller) error {
		if c.Server != server {
			return matrix.Forbidden("The calls of this server belong to the organisation that runs it.")
		}
		return nil
	}
	type list struct {
		Calls        []calls.Call `json:"calls"`
		Participants int          `json:"participants"`
	}
	httpx.Handle(r, http.MethodGet, "/_rempart/admin/v1/calls", httpx.Route{Access: httpx.Admin},
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (out list, err error) {
			if err := mine(c); err != nil {
				return out, err
			}
			out.Calls, err = s.Calls(ctx)
			for _, call := range out.Calls {
				out.Participants += len(call.Participants)
			}
			return out, err
		})
	type ended struct {
		Ended int `json:"ended"`
	}
	httpx.Handle(r, http.MethodPost, "/_rempart/admin/v1/calls/{roomID}/end", httpx.Route{Access: httpx.Admin},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (out ended, err error) {
			room, err := p.RoomID()
			if err == nil {
				err = mine(c)
			}
			if err != nil {
				return out, err
			}
			out.Ended, err = s.End(ctx, room)
			return out, err
		})
}
