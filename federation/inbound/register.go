// Package inbound is the server-server API: routes and their handlers, one file per module of the specification.
//
// A handler decodes, calls the core and encodes; the rules are the core's. Every route but those that publish keys and names
// is signed by the server that asks, which handlers find as matrix.Caller.Server; matrix.Caller.Destination is which of
// our servers was asked.
package inbound

import (
	"rempart/core/devices"
	"rempart/core/media"
	"rempart/core/rooms"
	"rempart/core/users"
	"rempart/federation/keys"
	"rempart/internal/httpx"
)

// Deps are what the handlers call.
type Deps struct {
	Keys    *keys.Ring
	Rooms   *rooms.Service
	Users   *users.Service
	Devices *devices.Service
	Media   *media.Service
	// Inbox takes events, EDUs ephemeral messages; EDUs may be nil.
	Inbox *rooms.Inbox
	EDUs  EDUs
	// Software is the version of this server as it tells others.
	Software string
	// Address is the host and port that other servers are sent to; "": they go by the server's name.
	Address string
}

// Register adds all routes of the server-server API, those that are asked most often first.
func Register(r *httpx.Router, d Deps) {
	sendRoutes(r, d.Inbox, d.EDUs)
	versionRoutes(r, d.Software)
	wellKnownRoutes(r, d.Address)
	keyRoutes(r, d.Keys)
	historyRoutes(r, d.Rooms)
	stateRoutes(r, d.Rooms)
	eventRoutes(r, d.Rooms)
	membershipRoutes(r, d.Rooms)
	queryRoutes(r, d)
	deviceRoutes(r, d.Devices)
	directoryRoutes(r, d.Rooms)
	openIDRoutes(r, d.Users)
	thirdPartyRoutes(r, d)
	mediaRoutes(r, d.Media)
}

// signed is a route that another server has signed.
func signed(spec string) httpx.Route {
	return httpx.Route{Access: httpx.Server, Class: "federation", Spec: spec}
}

// open is a route that anybody may ask.
func open(spec string) httpx.Route { return httpx.Route{Class: "federation", Spec: spec} }
