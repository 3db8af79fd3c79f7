// Package clientapi is the client-server API: routes and their handlers, one file per module of the specification.
//
// A handler decodes, calls the core and encodes; the rules are the core's. The package reaches neither storage nor the
// other entrances.
//
// # Where things are
//
// clientapi lists all routes; auth is what a route asks of its caller, misc what the client must find and the core does elsewhere (user directory, TURN).
//
// Getting in: versions, wellknown, capabilities, home, register, login, account, threepids, shorttokens, devices; pages, loginpage and authpages are read by people, pages.html and its like beside them;
// admin_register is the one operation of Synapse's administrators that tools of clients use.
//
// Rooms: rooms_create, rooms_inherit, rooms_membership, rooms_send, rooms_read, rooms_relations, rooms_upgrade, delayed, threads, search, reports, moderation, mutual.
//
// What is heard: sync, slidingsync, filter, legacy (initialSync and events), typing, receipts, presence_min, todevice, notifications, pushers, pushrules, accountdata, profile.
//
// Keys: keys, keybackup, dehydrated. Bridges: appservice.
package clientapi

import (
	"rempart/core"
	"rempart/core/delayed"
	"rempart/core/devices"
	"rempart/core/push"
	"rempart/core/pushers"
	"rempart/core/reports"
	"rempart/core/rooms"
	"rempart/core/search"
	"rempart/core/sync"
	subscriptions "rempart/core/threads"
	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// Deps are the parts of the core that the handlers call, and the few facts that they tell clients.
type Deps struct {
	Users   *users.Service
	Devices *devices.Service
	Rooms   *rooms.Service
	Push    *push.Service
	Pushers *pushers.Service
	Sync    *sync.Service
	Search  *search.Service
	Reports *reports.Service
	Delayed *delayed.Service
	Threads *subscriptions.Service
	// Limits bounds attempts to log in by account; nil turns that off.
	Limits      *httpx.Limiter
	Appservices Appservices
	// BaseURL is the address that clients are told to use; "" tells them the one they came by.
	BaseURL string
	// DefaultRoomVersion is the version that new rooms get.
	DefaultRoomVersion string
	// Identity is the identity server by which people are invited by address, nil without one; IdentityURL is its address.
	Identity    core.IdentityServer
	IdentityURL string
	// Mail says that this server sends letters, so that addresses can be proven.
	Mail bool
	// Support is what is told about help with this server; empty when nothing is.
	Support Support
	// Calls is where clients ask for tokens of the media server, "" without one; Relay tells a user of relays for calls between
	// two, nil without any.
	Calls string
	Relay func(matrix.UserID) map[string]any
}

// Register adds all routes of the client-server API, those that are asked most often first.
func Register(r *httpx.Router, d Deps) {
	syncRoutes(r, d.Sync)
	slidingRoutes(r, d.Sync)
	roomSending(r, d)
	receiptRoutes(r, d.Sync)
	typingRoutes(r, d.Sync)
	presenceRoutes(r, d.Sync)
	pushRuleRoutes(r, d.Push)
	pusherRoutes(r, d.Pushers)
	roomReading(r, d.Rooms)
	roomMembership(r, d)
	roomCreation(r, d)
	roomDirectory(r, d.Rooms)
	roomRelations(r, d.Rooms)
	roomUpgrades(r, d)
	roomSpaces(r, d.Rooms)
	searchRoutes(r, d)
	reportRoutes(r, d.Reports)
	mutualRoutes(r, d)
	delayedRoutes(r, d)
	threadRoutes(r, d)
	legacyRoutes(r, d)
	notificationRoutes(r, d.Sync)
	toDeviceRoutes(r, d.Devices)
	keysRoutes(r, d.Devices)
	accountDataRoutes(r, d)
	profileRoutes(r, d.Users)
	filterRoutes(r, d.Users)
	versionsRoutes(r, d.Calls != "")
	wellKnownRoutes(r, d)
	supportRoutes(r, d.Support)
	policyWellKnown(r, d)
	capabilitiesRoutes(r, d)
	registerRoutes(r, d.Users)
	adminRegisterRoutes(r, d.Users)
	loginRoutes(r, d)
	accountRoutes(r, d.Users)
	threepidRoutes(r, d.Users)
	shortTokenRoutes(r, d.Users)
	moderationRoutes(r, d.Users)
	accountPages(r, d.Users)
	authPages(r, d.Users)
	loginPages(r)
	homePage(r, d)
	deviceRoutes(r, d)
	dehydratedRoutes(r, d.Devices)
	crossSigningRoutes(r, d)
	keyBackupRoutes(r, d.Devices)
	miscRoutes(r, d.Users)
	relayRoutes(r, d.Relay)
	appserviceRoutes(r, d)
}
