// Package sfu is what this server has to do with calls: it gives out tokens for the media server, stands between clients and
// its signalling, and ends the connection of whoever may not be in a call any more.
//
// Media itself is the matter of sfu/media, behind [Backend]; the routes by which clients ask are in sfu/signal; who may be in
// a call is decided by core/calls. A token alone opens nothing: membership is checked when it is given, at each connection,
// and every second while the connection lasts.
package sfu

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"rempart/core/calls"
	"rempart/internal/matrix"
)

// Backend is a media server. Its methods may be called concurrently.
type Backend interface {
	// EnsureRoom makes a room unless it exists. Clients cannot make one.
	EnsureRoom(ctx context.Context, alias string) error
	// Participants lists everybody who is connected, in all rooms.
	Participants(ctx context.Context) ([]Live, error)
	// Kick ends the connection of a participant; one who is not there is no error.
	Kick(ctx context.Context, alias, identity string) error
	// Signal answers requests to the media server's signalling whose tokens have been checked; nil where clients go to the
	// media server by themselves.
	Signal() http.Handler
	// Close ends what was started.
	Close() error
}

// Live is a participant as the media server tells it.
type Live struct {
	Alias    string `json:"alias"`
	Identity string `json:"identity"`
	// Joined is when he came, in seconds.
	Joined int64 `json:"joined"`
	// From are the addresses that his media goes to.
	From []netip.Addr `json:"from,omitempty"`
	// Publishing is how many tracks he sends.
	Publishing int `json:"publishing"`
}

// Membership says who may be in calls; *calls.Service is one.
type Membership interface {
	Admit(ctx context.Context, user matrix.UserID, room matrix.RoomID) error
	Remember(ctx context.Context, p calls.Participant) error
	Find(ctx context.Context, alias, identity string) (calls.Participant, error)
}

// Event is something that happened in a call, for the record.
type Event struct {
	// Kind is one of the constants below.
	Kind string
	calls.Participant
	// From is where his media goes, once it is known.
	From netip.Addr
	// Reason says why somebody left, where this server made him.
	Reason string
	At     time.Time
}

// The kinds of events.
const (
	RoomStarted = "call_started"
	RoomEnded   = "call_ended"
	Joined      = "call_joined"
	Left        = "call_left"
	Published   = "call_published"
	Refused     = "call_refused"
	Reached     = "call_media"
)

// Audit takes the record of calls. It must be quick.
type Audit interface {
	Record(ctx context.Context, e Event)
}

// Request asks for a token.
type Request struct {
	calls.Participant
	// Publish lets its holder send media; otherwise he only receives.
	Publish bool
}

// Token is the answer to a request.
type Token struct {
	URL string `json:"url,omitempty"` // where the client connects
	JWT string `json:"jwt"`
}

// SelftestAlias is how the aliases of rooms begin that the operator's own test uses. No Matrix room has such an alias, and
// only who knows the keys can sign a token for it.
const SelftestAlias = "selftest-"
