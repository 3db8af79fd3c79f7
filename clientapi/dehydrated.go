package clientapi

import (
	"context"

	"rempart/core/devices"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type deviceIDAnswer struct {
	ID matrix.DeviceID `json:"device_id"`
}

type eventsRequest struct {
	From string `json:"next_batch"`
}

// eventsAnswer is that of POST, whose token is there to the end.
type eventsAnswer struct {
	Events []devices.DeviceEvent `json:"events"`
	Next   string                `json:"next_batch"`
}

// dehydratedBody bounds a device with the public and private halves of its keys.
const dehydratedBody = 2 << 20

// dehydratedRoutes adds devices that stay while their user has none. MSC3814.
func dehydratedRoutes(r *httpx.Router, s *devices.Service) {
	const path = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"
	const events = path + "/{deviceID}/events"
	route := httpx.Route{Access: httpx.User, Class: "keys", MaxBody: dehydratedBody, Spec: "MSC3814"}
	httpx.Handle(r, "PUT", path, route,
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, in devices.Dehydration) (deviceIDAnswer, error) {
			return deviceIDAnswer{in.ID}, s.Dehydrate(ctx, c, in)
		})
	httpx.Handle(r, "GET", path, route,
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (devices.Dehydrated, error) {
			return s.FindDehydrated(ctx, c)
		})
	httpx.Handle(r, "DELETE", path, route,
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (deviceIDAnswer, error) {
			id, err := s.DeleteDehydrated(ctx, c)
			return deviceIDAnswer{id}, err
		})
	httpx.Handle(r, "GET", events, route,
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (devices.DeviceEvents, error) {
			return s.DehydratedEvents(ctx, c, matrix.DeviceID(p.Var("deviceID")), p.Query().Get("from"))
		})
	// Why a second form: matrix-rust-sdk still asks as the proposal once said, and goes on until no events come.
	httpx.Handle(r, "POST", events, route,
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in eventsRequest) (eventsAnswer, error) {
			got, err := s.DehydratedEvents(ctx, c, matrix.DeviceID(p.Var("deviceID")), in.From)
			if got.Next == "" {
				got.Next = in.From
			}
			return eventsAnswer{got.Events, got.Next}, err
		})
}
