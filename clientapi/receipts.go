package clientapi

import (
	"context"
	"encoding/json"
	"time"

	"rempart/core/sync"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// receiptRoutes adds what clients tell of their reading and typing.
// Spec: client-server-api/#receipts, #read-and-unread-markers, #typing-notifications
func receiptRoutes(r *httpx.Router, s *sync.Service) {
	own := httpx.Route{Access: httpx.User, R0: true}
	httpx.Handle(r, "POST", "/_matrix/client/v3/rooms/{roomID}/receipt/{receiptType}/{eventID}", named(own, "postReceipt"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in struct {
			Thread *json.RawMessage `json:"thread_id"`
		},
		) (httpx.Empty, error) {
			receipt, err := receiptOf(p, in.Thread)
			if err != nil {
				return httpx.Empty{}, err
			}
			return httpx.Empty{}, s.SetReceipts(ctx, &c, receipt)
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/rooms/{roomID}/read_markers", named(own, "setReadMarker"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in map[string]matrix.EventID) (httpx.Empty, error) {
			room, err := p.RoomID()
			if err != nil {
				return httpx.Empty{}, err
			}
			var list []sync.Receipt
			for _, typ := range []string{"m.fully_read", "m.read", "m.read.private"} {
				if event, ok := in[typ]; ok {
					list = append(list, sync.Receipt{Room: room, Type: typ, Event: event})
				}
			}
			return httpx.Empty{}, s.SetReceipts(ctx, &c, list...)
		})
	httpx.Handle(r, "PUT", "/_matrix/client/v3/rooms/{roomID}/typing/{userID}", named(own, "setTyping"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in struct {
			Typing  *bool `json:"typing"`
			Timeout int64 `json:"timeout"`
		},
		) (httpx.Empty, error) {
			room, err := p.RoomID()
			if err != nil {
				return httpx.Empty{}, err
			}
			if p.Var("userID") != string(c.User) {
				return httpx.Empty{}, matrix.Forbidden("You can only tell of your own typing.")
			}
			if in.Typing == nil {
				return httpx.Empty{}, matrix.MissingParam("typing says whether you type: true or false.")
			}
			return httpx.Empty{}, s.SetTyping(ctx, &c, room, *in.Typing, time.Duration(in.Timeout)*time.Millisecond)
		})
}

// receiptOf reads a receipt from its path and body. Spec: client-server-api/#threaded-read-receipts
func receiptOf(p httpx.Path, thread *json.RawMessage) (q sync.Receipt, err error) {
	if q.Room, err = p.RoomID(); err != nil {
		return q, err
	}
	if q.Event, err = p.EventID(); err != nil {
		return q, err
	}
	q.Type = p.Var("receiptType")
	if thread == nil {
		return q, nil
	}
	if json.Unmarshal(*thread, &q.Thread) != nil || q.Thread == "" {
		return q, matrix.InvalidParam("thread_id must be \"main\" or the id of a thread's first event.")
	}
	if q.Type == "m.fully_read" {
		return q, matrix.InvalidParam("The fully-read marker knows no threads.")
	}
	return q, nil
}
