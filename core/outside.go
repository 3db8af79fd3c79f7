// Package core holds every interface by which the core needs the outside: whatever leaves the process does so behind one
// of these, and cmd hands in what stands behind it. The core itself makes no network call.
package core

import (
	"context"
	"encoding/json"

	"rempart/internal/mail"
	"rempart/internal/matrix"
)

// Mailer takes letters to people. Send returns when a mail server has taken the letter; an error for which
// [mail.Refused] holds is for ever, any other may pass. It is called concurrently.
type Mailer interface {
	Send(ctx context.Context, l mail.Letter) error
}

// EDU is a message between servers that is no event. Spec: server-server-api/#edus
type EDU struct {
	Type    string          `json:"edu_type"`
	Content json.RawMessage `json:"content"`
}

// Messenger tells other servers what is ephemeral. Tell does not wait; a message that still waits under the same key is
// replaced, and it is lost when a server cannot be reached.
type Messenger interface {
	Tell(from matrix.ServerName, to []matrix.ServerName, key string, edu EDU)
}

// KeyPeers are other homeservers, asked about devices and keys of their users; questions and answers are the JSON of the
// server-server API, claims all of them. Every call has a deadline.
type KeyPeers interface {
	QueryKeys(ctx context.Context, from, to matrix.ServerName, body []byte) (json.RawMessage, error)
	ClaimKeys(ctx context.Context, from, to matrix.ServerName, body []byte) (json.RawMessage, error)
	DeviceList(ctx context.Context, from, to matrix.ServerName, user matrix.UserID) (json.RawMessage, error)
}

// Peers are the other homeservers. In every call "from" is the server of this installation in whose name it is made and "to"
// the one that is asked; a refusal holds a [matrix.Error]. Whatever they answer is a claim: events come as JSON and are
// checked by who asked. All calls have a deadline and bounds of their own and may be made concurrently.
type Peers interface {
	// MakeMembership asks for a template of a membership event; act is "join", "leave" or "knock", versions are the room
	// versions that we know. The room's version is "" where the peer does not say.
	MakeMembership(ctx context.Context, from, to matrix.ServerName, act string, room matrix.RoomID, user matrix.UserID,
		versions []string) (version string, event json.RawMessage, err error)
	SendJoin(ctx context.Context, from, to matrix.ServerName, e *matrix.Event) (*JoinState, error)
	SendLeave(ctx context.Context, from, to matrix.ServerName, e *matrix.Event) error
	// SendKnock gives what the room shows of itself to those outside.
	SendKnock(ctx context.Context, from, to matrix.ServerName, e *matrix.Event) (stripped []json.RawMessage, err error)
	// Invite hands an invitation to the server of who is invited and gives it back with that server's signature.
	Invite(ctx context.Context, from, to matrix.ServerName, e *matrix.Event, stripped []json.RawMessage) (json.RawMessage, error)
	// MissingEvents are at most limit events between two sets, oldest first.
	MissingEvents(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, earliest, latest []matrix.EventID,
		limit int) ([]json.RawMessage, error)
	StateIDs(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, at matrix.EventID) (state, auth []matrix.EventID, err error)
	State(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, at matrix.EventID) (state, auth []json.RawMessage, err error)
	EventAuth(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, id matrix.EventID) ([]json.RawMessage, error)
	Event(ctx context.Context, from, to matrix.ServerName, id matrix.EventID) (json.RawMessage, error)
	Backfill(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, before []matrix.EventID, limit int) ([]json.RawMessage, error)
	// Alias asks an alias' own server for the room and the servers in it.
	Alias(ctx context.Context, from matrix.ServerName, alias matrix.RoomAlias) (matrix.RoomID, []matrix.ServerName, error)
	// VerifyEvents checks that each event bears valid signatures of all servers that must have signed it; one error for each event.
	VerifyEvents(ctx context.Context, events []*matrix.Event) []error
}

// JoinState is what a resident server answers to a join.
type JoinState struct {
	// State is the room's state before the join, AuthChain what it rests on.
	State, AuthChain []json.RawMessage
	// Event is the join as the resident server signed it; nil where it did not.
	Event json.RawMessage
	// Servers are those in the room, as far as they were told.
	Servers []matrix.ServerName
}
