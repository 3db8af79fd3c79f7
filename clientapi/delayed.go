package clientapi

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"rempart/core/delayed"
	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// The names of parameters that change how an event is sent.
const (
	delayParam  = "org.matrix.msc4140.delay"
	stickyParam = "org.matrix.msc4354.sticky_duration_ms"
)

// sentAnswer names an event that was sent, or one that will be.
type sentAnswer struct {
	EventID matrix.EventID `json:"event_id,omitempty"`
	DelayID string         `json:"delay_id,omitempty"`
}

// send sends an event now or, when the query says so, later. MSC4140, MSC4354
func (d Deps) send(ctx context.Context, c matrix.Caller, p httpx.Path, q rooms.SendRequest) (sentAnswer, error) {
	if text := p.Param(stickyParam); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil || ms < 0 || ms > matrix.MaxSticky {
			return sentAnswer{}, matrix.InvalidParam(stickyParam + " must be a number from 0 to 3600000.")
		}
		q.Sticky = ms
	}
	if text := p.Param(delayParam); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return sentAnswer{}, matrix.InvalidParam(delayParam + " must be a positive number of milliseconds.")
		}
		return d.delay(ctx, c, q, ms)
	}
	if len(q.Content) == 0 {
		return sentAnswer{}, matrix.NotJSON("The request needs a body: the content of the event.")
	}
	var err error
	if q.OriginTS, err = massaged(c, p); err != nil {
		return sentAnswer{}, err
	}
	id, err := d.Rooms.Send(ctx, q)
	return sentAnswer{EventID: id}, err
}

func (d Deps) delay(ctx context.Context, c matrix.Caller, q rooms.SendRequest, ms int64) (sentAnswer, error) {
	if len(q.Content) == 0 {
		q.Content = json.RawMessage("{}")
	}
	if limit := delayed.MaxDelay.Milliseconds(); ms > limit {
		ms = limit + 1 // too long whatever it is, and no overflow
	}
	id, err := d.Delayed.Schedule(ctx, c, delayed.Request{Room: q.Room, Type: q.Type, StateKey: q.StateKey, Content: q.Content,
		Delay: time.Duration(ms) * time.Millisecond, Sticky: q.Sticky, Txn: q.Txn})
	return sentAnswer{DelayID: id}, err
}

// delayedRequest is the newer form of scheduling.
type delayedRequest struct {
	Delay    *int64          `json:"delay_ms"`
	StateKey *string         `json:"state_key"`
	Content  json.RawMessage `json:"content"`
}

// delayedRoutes adds what concerns events that are to be sent later. MSC4140
func delayedRoutes(r *httpx.Router, d Deps) {
	const base = "/_matrix/client/unstable/org.matrix.msc4140"
	own := httpx.Route{Access: httpx.UserOrGuest, Class: "delayed", Spec: "MSC4140"}
	writes := own
	writes.Writes = true
	roomRoute(r, d.Rooms, "PUT", base+"/rooms/{roomID}/delayed_event/{eventType}/{txnID}", writes,
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, in delayedRequest) (sentAnswer, error) {
			if in.Delay == nil || len(in.Content) == 0 || in.Content[0] != '{' {
				return sentAnswer{}, matrix.BadJSON("delay_ms and content, an object, are needed.")
			}
			return d.delay(ctx, c, rooms.SendRequest{Room: room, Type: p.Var("eventType"), StateKey: in.StateKey, Content: in.Content,
				Txn: transaction(c, room, "delayed_event/"+p.Var("eventType"), p.Var("txnID"))}, *in.Delay)
		})
	httpx.Handle(r, "GET", base+"/delayed_events", own,
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (map[string][]delayed.View, error) {
			list, err := d.Delayed.List(ctx, c.UserNID)
			return map[string][]delayed.View{"delayed_events": list}, err
		})
	httpx.Handle(r, "GET", base+"/delayed_events/{delayID}", own,
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (delayed.View, error) {
			return d.Delayed.Get(ctx, c.UserNID, p.Var("delayID"))
		})
	d.delayedManagement(r, base+"/delayed_events/{delayID}")
}

// delayedManagement needs no token: a client hands the id to a service that watches its connection to a call. The older
// form says the action in the body.
func (d Deps) delayedManagement(r *httpx.Router, path string) {
	open := httpx.Route{Access: httpx.Public, Spec: "MSC4140"}
	manage := func(ctx context.Context, id string, act delayed.Act) (httpx.Empty, error) {
		// Why by id: a whole office manages its events from one address.
		if d.Limits != nil {
			if err := d.Limits.TakeName("delayed", id); err != nil {
				return httpx.Empty{}, err
			}
		}
		return httpx.Empty{}, d.Delayed.Manage(ctx, id, act)
	}
	for _, act := range []delayed.Act{delayed.Cancel, delayed.Restart, delayed.Send} {
		httpx.Handle(r, "POST", path+"/"+string(act), open,
			func(ctx context.Context, _ matrix.Caller, p httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
				return manage(ctx, p.Var("delayID"), act)
			})
	}
	httpx.Handle(r, "POST", path, open,
		func(ctx context.Context, _ matrix.Caller, p httpx.Path, in struct {
			Action delayed.Act `json:"action"`
		},
		) (httpx.Empty, error) {
			if in.Action == "" {
				return httpx.Empty{}, matrix.MissingParam("action must be cancel, restart or send.")
			}
			return manage(ctx, p.Var("delayID"), in.Action)
		})
}
