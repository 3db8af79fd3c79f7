package adminapi

import (
	"context"
	"encoding/json"
	"strconv"

	"rempart/core/admin"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// statisticsRoutes adds who uses how much.
func statisticsRoutes(r *httpx.Router, d Deps) {
	type use struct {
		Name   *string       `json:"displayname"`
		Count  int64         `json:"media_count"`
		Length int64         `json:"media_length"`
		User   matrix.UserID `json:"user_id"`
	}
	handle(r, "GET", "/v1/statistics/users/media", func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]any, error) {
		pg, err := page(p, "user_id", admin.KnowsMediaUseOrder)
		if err != nil {
			return nil, err
		}
		from, err := natural(p, "from_ts", 0)
		if err != nil {
			return nil, err
		}
		until, err := natural(p, "until_ts", 0)
		if err != nil {
			return nil, err
		}
		if p.Query().Has("until_ts") && until <= from {
			return nil, matrix.InvalidParam("until_ts must be greater than from_ts.")
		}
		list, total, err := d.Admin.MediaUse(ctx, c, p.Query().Get("search_term"), from, until, pg)
		uses := make([]use, len(list))
		for i, u := range list {
			uses[i] = use{nullable(u.DisplayName), u.Count, u.Bytes, u.User}
		}
		out := map[string]any{"users": uses, "total": total}
		if n := next(pg, len(list), total); n != nil {
			out["next_token"] = *n
		}
		return out, err
	})
	type size struct {
		Room  matrix.RoomID `json:"room_id"`
		Bytes int64         `json:"estimated_size"`
	}
	handle(r, "GET", "/v1/statistics/database/rooms", func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (map[string][]size, error) {
		list, err := d.Admin.LargestRooms(ctx, c)
		out := make([]size, len(list))
		for i, s := range list {
			out[i] = size(s)
		}
		return map[string][]size{"rooms": out}, err
	})
}

type destination struct {
	Server   matrix.ServerName `json:"destination"`
	LastTS   int64             `json:"retry_last_ts"`
	Interval int64             `json:"retry_interval"`
	Failing  *int64            `json:"failure_ts"`
	Pos      *int64            `json:"last_successful_stream_ordering"`
	// What else is known: why it fails, and when it last took something.
	Reason  string `json:"reason,omitempty"`
	Success int64  `json:"last_success_ts,omitempty"`
}

// destinationOf says when a server is tried next as a time and an interval whose sum it is.
func destinationOf(d admin.Destination) destination {
	out := destination{Server: d.Server, Reason: d.Reason, Success: d.Success}
	if d.Since != 0 {
		out.LastTS, out.Interval, out.Failing = d.Since, max(d.Retry-d.Since, 0), &d.Since
	}
	if d.Pos != 0 {
		out.Pos = &d.Pos
	}
	return out
}

// federationRoutes adds the servers that are told what happens here.
func federationRoutes(r *httpx.Router, d Deps) {
	const all, one = "/v1/federation/destinations", "/v1/federation/destinations/{destination}"
	handle(r, "GET", all, func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]any, error) {
		pg, err := page(p, "destination", admin.KnowsDestinationOrder)
		if err != nil {
			return nil, err
		}
		list, total, err := d.Admin.Destinations(ctx, c, p.Query().Get("destination"), pg)
		found := make([]destination, len(list))
		for i, v := range list {
			found[i] = destinationOf(v)
		}
		return paged("destinations", found, pg, total), err
	})
	handle(r, "GET", one, func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (destination, error) {
		v, err := d.Admin.Destination(ctx, c, matrix.ServerName(p.Var("destination")))
		return destinationOf(v), err
	})
	type shared struct {
		Room matrix.RoomID `json:"room_id"`
		Pos  int64         `json:"stream_ordering"`
	}
	handle(r, "GET", one+"/rooms", func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]any, error) {
		pg, err := page(p, "", func(string) bool { return true })
		if err != nil {
			return nil, err
		}
		list, total, err := d.Admin.RoomsWith(ctx, c, matrix.ServerName(p.Var("destination")), pg)
		found := make([]shared, len(list))
		for i, v := range list {
			found[i] = shared{v.ID, v.Pos}
		}
		return paged("rooms", found, pg, total), err
	})
	handle(r, "POST", one+"/reset_connection", func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
		return httpx.Empty{}, d.Admin.RetryDestination(ctx, c, matrix.ServerName(p.Var("destination")))
	})
}

// paged is a page of a list under its name, with where the next one starts.
func paged[T any](name string, list []T, pg admin.Page, total int64) map[string]any {
	out := map[string]any{name: list, "total": total}
	if n := next(pg, len(list), total); n != nil {
		out["next_token"] = strconv.FormatInt(*n, 10)
	}
	return out
}

// noticeRoutes adds what the server says to its users.
func noticeRoutes(r *httpx.Router, d Deps) {
	type notice struct {
		User     matrix.UserID   `json:"user_id"`
		Content  json.RawMessage `json:"content"`
		Type     string          `json:"type"`
		StateKey *string         `json:"state_key"`
	}
	send := func(ctx context.Context, c matrix.Caller, p httpx.Path, in notice) (map[string]matrix.EventID, error) {
		switch {
		case in.User == "":
			return nil, matrix.MissingParam("Missing user_id")
		case len(in.Content) == 0:
			return nil, matrix.MissingParam("Missing content")
		case in.Content[0] != '{':
			return nil, matrix.BadJSON("content must be an object.")
		}
		id, err := d.Admin.Notify(ctx, c, admin.Notice{User: in.User, Type: in.Type, StateKey: in.StateKey, Content: in.Content, TxnID: p.Var("txnID")})
		return map[string]matrix.EventID{"event_id": id}, err
	}
	handle(r, "POST", "/v1/send_server_notice", send)
	handle(r, "PUT", "/v1/send_server_notice", send)
	handle(r, "PUT", "/v1/send_server_notice/{txnID}", send)
}

// taskRoutes adds the long work that is under way or was done lately.
func taskRoutes(r *httpx.Router, d Deps) {
	type task struct {
		ID       string          `json:"id"`
		Action   string          `json:"action"`
		Status   string          `json:"status"`
		TS       int64           `json:"timestamp_ms"`
		Resource *string         `json:"resource_id"`
		Result   json.RawMessage `json:"result"`
		Error    *string         `json:"error"`
	}
	handle(r, "GET", "/v1/scheduled_tasks", func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]any, error) {
		q := admin.TaskQuery{Action: p.Query().Get("action_name"), Resource: p.Query().Get("resource_id"), Status: p.Query().Get("job_status")}
		if q.Status == "" {
			q.Status = p.Query().Get("status")
		}
		var err error
		if q.Before, err = natural(p, "max_timestamp", 0); err != nil {
			return nil, err
		}
		list, err := d.Admin.Tasks(ctx, c, q)
		out := make([]task, len(list))
		for i, t := range list {
			out[i] = task{t.ID, t.Action, t.Status, t.TS, nullable(t.Resource), or(t.Result), nullable(t.Error)}
			if len(t.Result) == 0 {
				out[i].Result = or(nil)
			}
		}
		return map[string]any{"scheduled_tasks": out}, err
	})
}
