// Package adminapi is the administration API that existing interfaces call: routes under /_synapse/admin, with the names
// and shapes that those interfaces know. A handler decodes, calls the core and encodes.
//
// Every route needs the token of an administrator's account, who acts within his own organisation. docs/operate/admin.md says
// what each does and where it differs. The administration that the specification itself names is clientapi's.
package adminapi

import (
	"rempart/core/admin"
	"rempart/core/appservice/courier"
	"rempart/core/ledger"
	"rempart/core/rooms"
	"rempart/core/users"
	"rempart/internal/httpx"
)

// prefix is where all routes are.
const prefix = "/_synapse/admin"

// Deps are the parts of the core that the handlers call.
type Deps struct {
	Admin *admin.Service
	Users *users.Service
	Rooms *rooms.Service
	// Ledger is the record of what left; nil: its routes are not there.
	Ledger *ledger.Service
	// Policy decides where data may go; nil: its routes are not there.
	Policy Policy
	// Services tells application services; nil: there are none.
	Services *courier.Courier
	// Version is what the server says of itself.
	Version string
}

// Register adds all routes.
func Register(r *httpx.Router, d Deps) {
	serverRoutes(r, d)
	userRoutes(r, d)
	userActRoutes(r, d)
	userLookupRoutes(r, d)
	limitRoutes(r, d)
	deviceRoutes(r, d)
	pusherRoutes(r, d)
	roomRoutes(r, d)
	roomActRoutes(r, d)
	roomReadRoutes(r, d)
	roomGraphRoutes(r, d)
	deletionRoutes(r, d)
	redactionRoutes(r, d)
	mediaRoutes(r, d)
	quarantineRoutes(r, d)
	reportRoutes(r, d)
	tokenRoutes(r, d)
	statisticsRoutes(r, d)
	federationRoutes(r, d)
	noticeRoutes(r, d)
	taskRoutes(r, d)
	serviceRoutes(r, d)
	if d.Policy != nil {
		policyRoutes(r, d)
		closureRoutes(r, d)
	}
	if d.Ledger != nil {
		missionRoutes(r, d.Users)
		ledgerRoutes(r, d.Ledger)
	}
}
