package adminapi

import (
	"context"
	"encoding/json"

	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type userIDAnswer struct {
	UserID matrix.UserID `json:"user_id"`
}

// userLookupRoutes adds what is asked about accounts.
func userLookupRoutes(r *httpx.Router, d Deps) {
	handle(r, "GET", "/v1/username_available", func(ctx context.Context, _ matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]bool, error) {
		return map[string]bool{"available": true}, d.Users.Available(ctx, p.Query().Get("username"), httpx.Host(ctx))
	})
	handle(r, "GET", "/v1/threepid/{medium}/users/{address}",
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (userIDAnswer, error) {
			id, err := d.Admin.ByThreepid(ctx, c, p.Var("medium"), p.Var("address"))
			return userIDAnswer{id}, err
		})
	handle(r, "GET", "/v1/auth_providers/{provider}/users/{externalID}",
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (userIDAnswer, error) {
			id, err := d.Admin.ByExternalID(ctx, c, p.Var("provider"), p.Var("externalID"))
			return userIDAnswer{id}, err
		})
	ofUser(r, "GET", "/v1/users/{userID}/memberships",
		func(ctx context.Context, _ matrix.Caller, id matrix.UserID, _ httpx.Path, _ httpx.Empty) (map[string]any, error) {
			all, err := d.Admin.Memberships(ctx, id)
			return map[string]any{"memberships": all, "total": len(all)}, err
		})
	ofUser(r, "GET", "/v1/users/{userID}/joined_rooms",
		func(ctx context.Context, _ matrix.Caller, id matrix.UserID, _ httpx.Path, _ httpx.Empty) (map[string]any, error) {
			ids, err := d.Admin.JoinedRooms(ctx, id)
			return map[string]any{"joined_rooms": ids, "total": len(ids)}, err
		})
	ofUser(r, "GET", "/v1/users/{userID}/sent_invite_count",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, p httpx.Path, _ httpx.Empty) (map[string]int64, error) {
			since, err := needed(p, "from_ts")
			if err != nil {
				return nil, err
			}
			n, err := d.Admin.SentInvites(ctx, c, id, since)
			return map[string]int64{"invite_count": n}, err
		})
	ofUser(r, "GET", "/v1/users/{userID}/cumulative_joined_room_count",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, p httpx.Path, _ httpx.Empty) (map[string]int64, error) {
			since, err := needed(p, "from_ts")
			if err != nil {
				return nil, err
			}
			n, err := d.Admin.RoomsJoined(ctx, c, id, since)
			return map[string]int64{"cumulative_joined_room_count": n}, err
		})
	ofUser(r, "GET", "/v1/users/{userID}/accountdata",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, _ httpx.Empty) (map[string]any, error) {
			data, err := d.Admin.AccountData(ctx, c, id)
			if err != nil {
				return nil, err
			}
			rooms := map[matrix.RoomID]map[string]json.RawMessage{}
			for id, list := range data.Rooms {
				rooms[id] = raw(list)
			}
			return map[string]any{"account_data": map[string]any{"global": raw(data.Global), "rooms": rooms}}, nil
		})
	whoisRoute(r, d)
}

// raw marks what is stored as JSON already.
func raw(list map[string][]byte) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage, len(list))
	for typ, content := range list {
		out[typ] = content
	}
	return out
}

type connection struct {
	IP        string `json:"ip"`
	LastSeen  int64  `json:"last_seen,omitempty"` // absent: not since it was made
	UserAgent string `json:"user_agent"`
}

// whoisRoute adds where a user's devices were last used.
func whoisRoute(r *httpx.Router, d Deps) {
	type session struct {
		Connections []connection `json:"connections"`
	}
	type device struct {
		Sessions []session `json:"sessions"`
	}
	type whois struct {
		UserID  matrix.UserID              `json:"user_id"`
		Devices map[matrix.DeviceID]device `json:"devices"`
	}
	ofUser(r, "GET", "/v1/whois/{userID}",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, _ httpx.Empty) (whois, error) {
			list, err := d.Admin.Devices(ctx, c, id)
			out := whois{id, map[matrix.DeviceID]device{}}
			for _, v := range list {
				out.Devices[v.ID] = device{[]session{{[]connection{{v.IP, v.LastSeen, v.UserAgent}}}}}
			}
			return out, err
		})
}
