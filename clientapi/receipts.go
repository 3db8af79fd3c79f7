package clientapi

import (
	"context"
	"encoding/json"

	syncing "rempart/core/sync"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// receiptBody is what a client sends beside a receipt.
type receiptBody struct {
	Thread json.RawMessage `json:"thread_id"`
}

// thread is the thread that is named, "" for none.
func (b *receiptBody) thread() (string, error) {
	if b.Thread == nil {
		return "", nil
	}
	var id string
	if err := matrix.Decode(b.Thread, &id); err != nil || id == "" || len(id) > matrix.MaxIDLength {
		return "", matrix.InvalidParam("thread_id must be a non-empty string.")
	}
	if id != "main" {
		if _, err := matrix.ParseEventID(id); err != nil {
			return "", matrix.InvalidParam("thread_id must be main or an event's id.")
		}
	}
	return id, nil
}

// receiptRoutes adds receipts and read markers. Spec: client-server-api/#receipts
func receiptRoutes(r *httpx.Router, s *syncing.Service) {
	route := func(spec string) httpx.Route {
		return httpx.Route{Access: httpx.UserOrGuest, R0: true, Class: "receipt", Spec: spec}
	}
	httpx.Handle(r, "POST", "/_matrix/client/v3/rooms/{roomID}/receipt/{receiptType}/{eventID}", route("postReceipt"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in receiptBody) (httpx.Empty, error) {
			room, err := p.RoomID()
			if err != nil {
				return httpx.Empty{}, err
			}
			event, err := p.EventID()
			if err != nil {
				return httpx.Empty{}, err
			}
			thread, err := in.thread()
			if err != nil {
				return httpx.Empty{}, err
			}
			return httpx.Empty{}, s.SetReceipts(ctx, &c, syncing.Receipt{Room: room, Type: p.Var("receiptType"), Event: event, Thread: thread})
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/rooms/{roomID}/read_markers", route("setReadMarker"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in map[string]json.RawMessage) (httpx.Empty, error) {
			room, err := p.RoomID()
			if err != nil {
				return httpx.Empty{}, err
			}
			var list []syncing.Receipt
			for _, typ := range [...]string{"m.fully_read", "m.read", "m.read.private"} {
				raw, ok := in[typ]
				if !ok || string(raw) == "null" {
					continue
				}
				var event matrix.EventID
				if err := matrix.Decode(raw, &event); err != nil {
					return httpx.Empty{}, matrix.BadJSON("The field " + typ + " must be an event's id.")
				}
				list = append(list, syncing.Receipt{Room: room, Type: typ, Event: event})
			}
			return httpx.Empty{}, s.SetReceipts(ctx, &c, list...)
		})
}
