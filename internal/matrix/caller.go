package matrix

import "net/netip"

// Caller is who makes a request, as the authenticator found it. Entrances hand it to the core unchanged.
type Caller struct {
	Tenant    int64
	User      UserID
	UserNID   int64 // interned number of User
	Device    DeviceID
	DeviceNID int64      // number of the (user, device) row; 0 without a device
	Session   int64      // number of the access-token row
	Addr      netip.Addr // where the request comes from; invalid when that is not known
	Server    ServerName // the tenant's server name that User belongs to; of a request by another server, that one
	// Destination is the server of this installation that another server addressed.
	Destination ServerName
	// Appservice is the application service that acts as User, "" for all others.
	Appservice string
	// Unlimited callers are not held to rate limits.
	Unlimited bool
	Admin     bool
	Guest     bool
	Suspended bool // may read and leave, not write
	// ShadowBanned callers are answered as all others, and reach nobody.
	ShadowBanned bool
	// PerSecond and Burst are the caller's own rate limit, in the place of those of the classes; Burst 0: he has none.
	PerSecond, Burst int64
	Scopes           []string
	DecisionID       string // policy decision that admitted the request; empty until the judge exists
}
