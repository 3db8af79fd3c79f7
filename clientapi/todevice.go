package clientapi

import (
	"context"

	"rempart/core/devices"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type toDeviceRequest struct {
	Messages devices.Messages `json:"messages"`
}

// toDeviceBody bounds a request with messages for many devices.
const toDeviceBody = 4 << 20

// toDeviceRoutes adds messages from device to device. Spec: client-server-api/#send-to-device-messaging
func toDeviceRoutes(r *httpx.Router, s *devices.Service) {
	httpx.Handle(r, "PUT", "/_matrix/client/v3/sendToDevice/{eventType}/{txnID}",
		httpx.Route{Access: httpx.UserOrGuest, R0: true, Class: "keys", MaxBody: toDeviceBody, Spec: "sendToDevice"},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in toDeviceRequest) (httpx.Empty, error) {
			if in.Messages == nil {
				return httpx.Empty{}, matrix.MissingParam("The request lacks \"messages\".")
			}
			return httpx.Empty{}, s.SendToDevice(ctx, c, p.Var("eventType"), p.Var("txnID"), in.Messages)
		})
}
