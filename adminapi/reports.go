package adminapi

import (
	"context"
	"encoding/json"
	"strconv"

	"rempart/core/admin"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type report struct {
	ID       int64           `json:"id"`
	Received int64           `json:"received_ts"`
	User     matrix.UserID   `json:"user_id"`
	Reason   string          `json:"reason"`
	Target   matrix.UserID   `json:"target_user_id,omitempty"`
	Event    matrix.EventID  `json:"event_id,omitempty"`
	Score    *int64          `json:"score,omitempty"`
	Room     matrix.RoomID   `json:"room_id,omitempty"`
	Name     *string         `json:"name,omitempty"`
	Alias    *string         `json:"canonical_alias,omitempty"`
	Sender   matrix.UserID   `json:"sender,omitempty"`
	JSON     json.RawMessage `json:"event_json,omitempty"`
}

func reportOf(r admin.Report) report {
	out := report{ID: r.NID, Received: r.TS, User: r.Reporter, Reason: r.Reason, JSON: r.JSON}
	if r.Event == "" {
		out.Target = r.Target
		return out
	}
	out.Event, out.Score, out.Sender, out.Room = r.Event, &r.Score, r.Target, r.RoomID
	if r.Room != nil {
		out.Name, out.Alias = nullable(r.Room.Name), nullable(r.Room.Alias)
	}
	return out
}

// reportRoutes adds what users reported: events, and other users.
func reportRoutes(r *httpx.Router, d Deps) {
	reportsOf(r, d, "event_reports", false)
	reportsOf(r, d, "user_reports", true)
}

func reportsOf(r *httpx.Router, d Deps, name string, users bool) {
	handle(r, "GET", "/v1/"+name, func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]any, error) {
		pg, err := page(p, "", func(string) bool { return true })
		if err != nil {
			return nil, err
		}
		pg.Backward = p.Query().Get("dir") != "f"
		f := admin.ReportFilter{Users: users, Reporter: matrix.UserID(p.Query().Get("user_id")), Room: matrix.RoomID(p.Query().Get("room_id")),
			Target: matrix.UserID(p.Query().Get("event_sender_user_id"))}
		if users {
			f.Target = matrix.UserID(p.Query().Get("target_user_id"))
		}
		list, total, err := d.Admin.Reports(ctx, c, f, pg)
		if err != nil {
			return nil, err
		}
		reports := make([]report, len(list))
		for i, r := range list {
			reports[i] = reportOf(r)
		}
		out := map[string]any{name: reports, "total": total}
		if n := next(pg, len(list), total); n != nil {
			out["next_token"] = *n
		}
		return out, nil
	})
	one := "/v1/" + name + "/{reportID}"
	handle(r, "GET", one, func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (*report, error) {
		id, err := reportID(p)
		if err != nil {
			return nil, err
		}
		v, err := d.Admin.ReportByID(ctx, c, users, id)
		out := reportOf(v)
		return &out, err
	})
	handle(r, "DELETE", one, func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
		id, err := reportID(p)
		if err != nil {
			return httpx.Empty{}, err
		}
		return httpx.Empty{}, d.Admin.CloseReport(ctx, c, users, id)
	})
}

func reportID(p httpx.Path) (int64, error) {
	id, err := strconv.ParseInt(p.Var("reportID"), 10, 64)
	if err != nil || id < 0 {
		return 0, matrix.InvalidParam("The report_id must be a whole number, not below 0.")
	}
	return id, nil
}
