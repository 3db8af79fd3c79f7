package clientapi

import (
	"context"
	"encoding/json"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// roomSending adds the routes by which clients write into rooms. Spec: client-server-api/#sending-events-to-a-room
func roomSending(r *httpx.Router, d Deps) {
	s := d.Rooms
	write := httpx.Route{Access: httpx.UserOrGuest, R0: true, Class: "message", Writes: true}
	roomRoute(r, s, "PUT", "/_matrix/client/v3/rooms/{roomID}/send/{eventType}/{txnID}", named(write, "sendMessage"),
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, in httpx.MaybeObject) (sentAnswer, error) {
			q := rooms.SendRequest{Room: room, Sender: c.User, Type: p.Var("eventType"), Content: json.RawMessage(in),
				Txn: transaction(c, room, "send/"+p.Var("eventType"), p.Var("txnID"))}
			return d.send(ctx, c, p, q)
		})
	state := func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, in httpx.MaybeObject) (sentAnswer, error) {
		key := p.Var("stateKey")
		a, err := d.send(ctx, c, p, rooms.SendRequest{Room: room, Sender: c.User, Type: p.Var("eventType"), StateKey: &key,
			Content: json.RawMessage(in)})
		if err == nil && a.DelayID == "" && p.Var("eventType") == "m.room.guest_access" {
			err = s.ExpelGuests(ctx, room)
		}
		return a, err
	}
	roomRoute(r, s, "PUT", "/_matrix/client/v3/rooms/{roomID}/state/{eventType}/{stateKey}", named(write, "setRoomStateWithKey"), state)
	short := named(write, "setRoomStateWithKey")
	short.Unstable = []string{"/_matrix/client/v3/rooms/{roomID}/state/{eventType}/", "/_matrix/client/r0/rooms/{roomID}/state/{eventType}/"}
	roomRoute(r, s, "PUT", "/_matrix/client/v3/rooms/{roomID}/state/{eventType}", short, state)
	redact := named(write, "redactEvent")
	redact.Writes = false // his own words he may take back
	roomRoute(r, s, "PUT", "/_matrix/client/v3/rooms/{roomID}/redact/{eventID}/{txnID}", redact,
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, in struct {
			Reason string `json:"reason"`
		},
		) (eventIDAnswer, error) {
			target, err := p.EventID()
			if err != nil {
				return eventIDAnswer{}, err
			}
			if err := mayRedact(ctx, s, c, room, target); err != nil {
				return eventIDAnswer{}, err
			}
			q := rooms.SendRequest{Room: room, Sender: c.User, Txn: transaction(c, room, "redact/"+string(target), p.Var("txnID"))}
			id, err := s.Redact(ctx, q, target, in.Reason)
			return eventIDAnswer{id}, err
		})
}

// mayRedact keeps those who are suspended from redacting what others wrote.
func mayRedact(ctx context.Context, s *rooms.Service, c matrix.Caller, room *rooms.Room, target matrix.EventID) error {
	if !c.Suspended {
		return nil
	}
	if e, err := s.EventByID(ctx, room, target); err != nil || e.Sender != c.User {
		return matrix.UserSuspended()
	}
	return nil
}

// transaction names what a client's transaction id is scoped to: the device and the path.
// Spec: client-server-api/#transaction-identifiers
func transaction(c matrix.Caller, room *rooms.Room, path, id string) *rooms.Transaction {
	device := c.DeviceNID
	if device == 0 {
		device = -c.UserNID // Why: who speaks without a device, as application services do, has transactions of his own
	}
	return rooms.NewTransaction(device, room.ID(), path, id)
}
