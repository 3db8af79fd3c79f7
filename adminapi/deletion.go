package adminapi

import (
	"context"
	"encoding/json"

	"rempart/core/admin"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type deletionRequest struct {
	NewRoomUser matrix.UserID `json:"new_room_user_id"`
	RoomName    string        `json:"room_name"`
	Message     string        `json:"message"`
	Block       bool          `json:"block"`
	Purge       *bool         `json:"purge"`
	Force       bool          `json:"force_purge"`
}

func (q *deletionRequest) of(id matrix.RoomID) admin.Deletion {
	return admin.Deletion{Room: id, NewRoomUser: q.NewRoomUser, RoomName: q.RoomName, Message: q.Message, Block: q.Block,
		Purge: q.Purge == nil || *q.Purge, Force: q.Force}
}

type deletionStatus struct {
	Status  string          `json:"status"`
	ID      string          `json:"delete_id"`
	Room    string          `json:"room_id"`
	Outcome json.RawMessage `json:"shutdown_room"`
	Error   string          `json:"error,omitempty"`
}

// nothingYet is the outcome of a deletion that has not begun.
const nothingYet = `{"kicked_users":[],"failed_to_kick_users":[],"local_aliases":[],"new_room_id":null}`

func deletionOf(t admin.Task) deletionStatus {
	out := deletionStatus{t.Status, t.ID, t.Resource, json.RawMessage(nothingYet), t.Error}
	if len(t.Result) > 0 {
		out.Outcome = t.Result
	}
	return out
}

// deletionRoutes adds the deletion of rooms: at once, or as work that can be asked about.
func deletionRoutes(r *httpx.Router, d Deps) {
	ofRoom(r, "DELETE", "/v1/rooms/{roomID}",
		func(ctx context.Context, c matrix.Caller, id matrix.RoomID, _ httpx.Path, in deletionRequest) (json.RawMessage, error) {
			task, err := d.Admin.DeleteRoom(ctx, c, in.of(id))
			if err != nil {
				return nil, err
			}
			t, err := d.Admin.Await(ctx, c, admin.ActionDelete, task)
			if err == nil && t.Error != "" {
				err = matrix.Unknown(t.Error)
			}
			return deletionOf(t).Outcome, err
		})
	ofRoom(r, "DELETE", "/v2/rooms/{roomID}",
		func(ctx context.Context, c matrix.Caller, id matrix.RoomID, _ httpx.Path, in deletionRequest) (map[string]string, error) {
			task, err := d.Admin.DeleteRoom(ctx, c, in.of(id))
			return map[string]string{"delete_id": task}, err
		})
	ofRoom(r, "GET", "/v2/rooms/{roomID}/delete_status",
		func(ctx context.Context, c matrix.Caller, id matrix.RoomID, _ httpx.Path, _ httpx.Empty) (map[string]any, error) {
			list, err := d.Admin.Tasks(ctx, c, admin.TaskQuery{Action: admin.ActionDelete, Resource: string(id)})
			if err == nil && len(list) == 0 {
				err = matrix.NotFound("No delete task for room_id '" + string(id) + "' found")
			}
			out := make([]deletionStatus, len(list))
			for i, t := range list {
				out[i] = deletionOf(t)
			}
			return map[string]any{"results": out}, err
		})
	handle(r, "GET", "/v2/rooms/delete_status/{deleteID}", func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (deletionStatus, error) {
		t, err := d.Admin.Task(ctx, c, admin.ActionDelete, p.Var("deleteID"))
		return deletionOf(t), err
	})
	purgeRoutes(r, d)
}

// purgeRoutes adds the deletion of a room's old messages.
func purgeRoutes(r *httpx.Router, d Deps) {
	type request struct {
		Local bool           `json:"delete_local_events"`
		Event matrix.EventID `json:"purge_up_to_event_id"`
		TS    *int64         `json:"purge_up_to_ts"`
	}
	begin := func(ctx context.Context, c matrix.Caller, id matrix.RoomID, p httpx.Path, in request) (map[string]string, error) {
		h := admin.History{Room: id, Event: in.Event, Local: in.Local}
		if p.Var("eventID") != "" {
			h.Event = matrix.EventID(p.Var("eventID"))
		}
		switch {
		case h.Event != "":
		case in.TS != nil:
			h.TS = *in.TS
		default:
			return nil, matrix.BadJSON("must specify purge_up_to_event_id or purge_up_to_ts")
		}
		task, err := d.Admin.PurgeHistory(ctx, c, h)
		return map[string]string{"purge_id": task}, err
	}
	ofRoom(r, "POST", "/v1/purge_history/{roomID}", begin)
	ofRoom(r, "POST", "/v1/purge_history/{roomID}/{eventID}", begin)
	handle(r, "GET", "/v1/purge_history_status/{purgeID}", func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]string, error) {
		t, err := d.Admin.Task(ctx, c, admin.ActionPurge, p.Var("purgeID"))
		out := map[string]string{"status": t.Status}
		if t.Error != "" {
			out["error"] = t.Error
		}
		return out, err
	})
}

// redactionRoutes adds the redaction of what a user wrote.
func redactionRoutes(r *httpx.Router, d Deps) {
	type request struct {
		Rooms    *[]matrix.RoomID `json:"rooms"`
		Reason   string           `json:"reason"`
		Limit    int              `json:"limit"`
		UseAdmin bool             `json:"use_admin"`
		Since    int64            `json:"after_ts"`
		Until    int64            `json:"before_ts"`
	}
	ofUser(r, "POST", "/v1/user/{userID}/redact",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, in request) (map[string]string, error) {
			if in.Rooms == nil {
				return nil, matrix.MissingParam("Missing rooms: a list of them, or an empty one for all.")
			}
			task, err := d.Admin.RedactUser(ctx, c, admin.Redaction{User: id, Rooms: *in.Rooms, Reason: in.Reason, Limit: in.Limit,
				UseAdmin: in.UseAdmin, Since: in.Since, Until: in.Until})
			return map[string]string{"redact_id": task}, err
		})
	handle(r, "GET", "/v1/user/redact_status/{redactID}", func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]any, error) {
		t, err := d.Admin.Task(ctx, c, admin.ActionRedact, p.Var("redactID"))
		if err != nil {
			return nil, err
		}
		out := map[string]any{"failed_redactions": map[string]string{}}
		if len(t.Result) > 0 {
			if err := matrix.Decode(t.Result, &out); err != nil {
				return nil, err
			}
		}
		if out["status"] = t.Status; t.Error != "" {
			out["error"] = t.Error
		}
		return out, nil
	})
}
