// Package clientapi is the client-server API: it decodes requests, calls the core and encodes answers. It knows no
// protocol rules and no SQL. One file holds the routes of one module of the specification.
package clientapi

import (
	"rempart/core/devices"
	"rempart/core/push"
	"rempart/core/rooms"
	"rempart/core/users"
	"rempart/internal/httpx"
)

// Deps is the part of the core that the routes call.
type Deps struct {
	Users   *users.Service
	Devices *devices.Service
	Rooms   *rooms.Service
	Push    *push.Service
}

// Register adds every route of the client-server API, those that are asked most often first.
func Register(r *httpx.Router, d Deps) {
	roomSending(r, d.Rooms)
	roomReading(r, d.Rooms)
	roomMembership(r, d.Rooms)
	roomCreation(r, d.Rooms)
	roomDirectory(r, d.Rooms)
}
