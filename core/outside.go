// Package core holds every interface by which the core needs the outside: whatever leaves the process does so behind one
// of these, and cmd hands in what stands behind it. The core itself makes no network call.
package core

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

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

// Pages reads pages of the web. Whatever they hold is a claim of strangers. It is called concurrently.
type Pages interface {
	// Fetch reads at most limit bytes of a page, following a few redirects; it has a deadline of its own.
	Fetch(ctx context.Context, address string, limit int64) (*Page, error)
}

// Page is a page of the web.
type Page struct {
	URL  *url.URL // where it was found in the end
	Type string   // the Content-Type that its server claims
	Body []byte
	Cut  bool // there was more of it
}

// KeyPeers are other homeservers, asked about devices and keys of their users; questions and answers are the JSON of the
// server-server API, claims all of them. Every call has a deadline.
type KeyPeers interface {
	QueryKeys(ctx context.Context, from, to matrix.ServerName, body []byte) (json.RawMessage, error)
	ClaimKeys(ctx context.Context, from, to matrix.ServerName, body []byte) (json.RawMessage, error)
	DeviceList(ctx context.Context, from, to matrix.ServerName, user matrix.UserID) (json.RawMessage, error)
}

// ProfilePeers are other homeservers, asked for a profile of one of their users; field is "" for all of it. The answer is
// the JSON of the server-server API and a claim; the call has a deadline.
type ProfilePeers interface {
	Profile(ctx context.Context, from, to matrix.ServerName, user matrix.UserID, field string) (json.RawMessage, error)
}

// Entities are users and rooms that application services make when somebody asks for them. Both calls wait until the service
// has answered, with a deadline, and report whether it says that the thing exists now.
// Spec: application-service-api/#querying
type Entities interface {
	MakeUser(ctx context.Context, user matrix.UserID) (bool, error)
	MakeAlias(ctx context.Context, alias matrix.RoomAlias) (bool, error)
}

// Appservices are the application services as they are spoken to; each is named by its id. Every call has a deadline and bounds
// of its own.
type Appservices interface {
	// Push hands over a transaction; nil when the service has taken it.
	Push(ctx context.Context, service, txn string, body []byte) error
	// HasUser and HasAlias ask whether something exists, which the service makes if it wants to.
	HasUser(ctx context.Context, service string, user matrix.UserID) (bool, error)
	HasAlias(ctx context.Context, service string, alias matrix.RoomAlias) (bool, error)
	// Ping asks for a sign of life.
	Ping(ctx context.Context, service, txn string) error
	// ThirdParty looks something up: path is "protocol/irc", "user", "location/irc" …; the answer is the JSON of the operation, nil
	// when there is nothing.
	ThirdParty(ctx context.Context, service, path string, query map[string][]string) (json.RawMessage, error)
}

// Watcher hears of what is ephemeral in this process. Its methods are called under locks: they only take note.
type Watcher interface {
	Typing(room int64, typists []matrix.UserID)
	// Presence takes a whole m.presence event of a user, and the rooms that he is in.
	Presence(user matrix.UserID, event json.RawMessage, rooms []int64)
}

// Peers are the other homeservers. In every call "from" is the server of this installation in whose name it is made and "to"
// the one that is asked; a refusal holds a [matrix.Error]. Whatever they answer is a claim: events come as JSON and are
// checked by who asked. All calls have a deadline and bounds of their own and may be made concurrently.
type Peers interface {
	// MakeMembership asks for a template of a membership event; act is "join", "leave" or "knock", versions are the room
	// versions that we know. The room's version is "" where the peer does not say.
	MakeMembership(ctx context.Context, from, to matrix.ServerName, act string, room matrix.RoomID, user matrix.UserID,
		versions []string) (version string, event json.RawMessage, err error)
	// SendJoin hands on each event of the room's state before the join, and of what that rests on, as it comes and in the order in which the peer
	// tells them; it ends with the first error that take returns.
	SendJoin(ctx context.Context, from, to matrix.ServerName, e *matrix.Event, take func(state bool, event json.RawMessage) error) (*JoinState, error)
	SendLeave(ctx context.Context, from, to matrix.ServerName, e *matrix.Event) error
	// SendKnock gives what the room shows of itself to those outside.
	SendKnock(ctx context.Context, from, to matrix.ServerName, e *matrix.Event) (stripped []json.RawMessage, err error)
	// Invite hands an invitation to the server of who is invited and gives it back with that server's signature.
	Invite(ctx context.Context, from, to matrix.ServerName, e *matrix.Event, stripped []json.RawMessage) (json.RawMessage, error)
	// MissingEvents are at most limit events between two sets, oldest first.
	MissingEvents(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, earliest, latest []matrix.EventID,
		limit int) ([]json.RawMessage, error)
	StateIDs(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, at matrix.EventID) (state, auth []matrix.EventID, err error)
	// State and EventAuth hand on each event as it comes, and end with the first error that take returns.
	State(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, at matrix.EventID, take func(json.RawMessage) error) error
	EventAuth(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, id matrix.EventID, take func(json.RawMessage) error) error
	Event(ctx context.Context, from, to matrix.ServerName, id matrix.EventID) (json.RawMessage, error)
	Backfill(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, before []matrix.EventID, limit int) ([]json.RawMessage, error)
	// Alias asks an alias' own server for the room and the servers in it.
	Alias(ctx context.Context, from matrix.ServerName, alias matrix.RoomAlias) (matrix.RoomID, []matrix.ServerName, error)
	// PublicRooms asks for a page of a server's published rooms; query and answer are the JSON of the operation.
	PublicRooms(ctx context.Context, from, to matrix.ServerName, query []byte) (json.RawMessage, error)
	// Hierarchy asks for a space's room and its children; the answer is the JSON of the operation.
	Hierarchy(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, suggestedOnly bool) (json.RawMessage, error)
	// EventNear asks which event is closest to a time, at or before it when backward.
	EventNear(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, ts int64, backward bool) (matrix.EventID, int64, error)
	// VerifyEvents checks that each event bears valid signatures of all servers that must have signed it; one error for each event. It is
	// [ErrUnreached] where the keys could not be asked for, so that another time it may be found good.
	VerifyEvents(ctx context.Context, events []*matrix.Event) []error
}

// ErrUnreached says that a server could not be asked for something: that is another thing than that nobody has it.
var ErrUnreached = errors.New("the other server could not be asked")

// answered is an error that another server gave as its answer, with the status of that.
type answered interface{ Answered() int }

// AnswerStatus is the HTTP status of the answer of which an error tells; 0 where another server gave none.
func AnswerStatus(err error) int {
	var answer answered
	if errors.As(err, &answer) {
		return answer.Answered()
	}
	return 0
}

// Unreached reports whether an error says that another server was not reached, or failed.
func Unreached(err error) bool {
	status := AnswerStatus(err)
	switch {
	case err == nil:
		return false
	case errors.Is(err, ErrUnreached):
		return true
	case status != 0:
		return status >= http.StatusInternalServerError || status == http.StatusTooManyRequests
	}
	var refused *matrix.Error
	return !errors.As(err, &refused) || refused.Status >= http.StatusInternalServerError
}

// JoinState is what a resident server answers to a join, beside the room's state.
type JoinState struct {
	// Event is the join as the resident server signed it; nil where it did not.
	Event json.RawMessage
	// Servers are those in the room, as far as they were told.
	Servers []matrix.ServerName
}

// PushGateway hands notifications to push gateways. It is called concurrently; every call has a deadline.
type PushGateway interface {
	// Admit says whether a gateway may be spoken to at all; a refusal is a [matrix.Error].
	Admit(ctx context.Context, url string) error
	// Notify hands over one notification and gives the push keys that are not valid any more. A gateway that answered with
	// another status than 200 is a [GatewayError].
	Notify(ctx context.Context, url string, body []byte) (rejected []string, err error)
}

// IdentityServer knows whose addresses of e-mail are, as far as people told it. It is asked as the user whose token it is given;
// what it refuses is a [matrix.Error]. It is called concurrently; every call has a deadline.
type IdentityServer interface {
	// Is reports whether a name that a client gives is this server's.
	Is(name string) bool
	// Lookup finds whose an address is; "" when it is nobody's.
	Lookup(ctx context.Context, token, medium, address string) (matrix.UserID, error)
	// StoreInvite leaves an invitation for whoever will have an address; its fields are those of the operation.
	StoreInvite(ctx context.Context, token string, invite map[string]string) (*StoredInvite, error)
}

// StoredInvite is an invitation that waits at an identity server for whoever proves to have the address.
type StoredInvite struct {
	Token string        `json:"token"`
	Name  string        `json:"display_name"` // of the address, without telling it
	Keys  []IdentityKey `json:"public_keys"`  // with which the proof will be signed; the first is the server's own
}

// IdentityKey is a key of an identity server.
type IdentityKey struct {
	Key      string `json:"public_key"`
	Validity string `json:"key_validity_url"`
}

// GatewayError is an answer of a push gateway that is no success.
type GatewayError struct {
	Status int
	// RetryAfter is how long the gateway wants to be left alone.
	RetryAfter time.Duration
}

// Error tells the status.
func (e *GatewayError) Error() string {
	return "the push gateway answered with status " + strconv.Itoa(e.Status)
}

// RoomAct is what the policy is asked about another server in a room; the words are its decision points.
type RoomAct string

// The acts.
const (
	ActJoin    RoomAct = "room.join"    // enter a room in which the server takes part, or let it in
	ActInvite  RoomAct = "room.invite"  // a user of it is invited, or asks to be let in
	ActClosure RoomAct = "room.closure" // write into a room in which it has members
)

// Refusal is a decision of the policy against something, as it is told to people.
type Refusal struct {
	Rule, Decision string
	EN, FR         string
}

// Error is the refusal as users get it. Further says more about it.
func (r *Refusal) Error(further map[string]any) *matrix.Error {
	e := matrix.Forbidden(r.EN).French(r.FR)
	reason := map[string]any{"code": r.Rule, "text_en": r.EN, "text_fr": r.FR, "decision_id": r.Decision}
	for key, value := range further {
		reason[key] = value
	}
	return e.With("fr.rempart.reason", reason)
}

// RoomPolicy decides which other servers may be in rooms with users of ours. It is asked under locks, must be quick, and may be
// called concurrently.
type RoomPolicy interface {
	// Generation changes whenever a decision may come out otherwise.
	Generation() uint64
	// Enforced reports whether any server at all could be refused.
	Enforced() bool
	// Judge decides about another server for one of ours; nil admits it.
	Judge(act RoomAct, ours, other matrix.ServerName) *Refusal
	// Shown records that a user's id is about to be shown to a server by his membership event; nothing leaves when it cannot be recorded.
	Shown(ctx context.Context, to matrix.ServerName, act string, room matrix.RoomID, user matrix.UserID) error
	// Alarm records what was found in a room, and tells those who watch over this server.
	Alarm(ctx context.Context, a RoomAlarm)
}

// RoomAlarm is something about a room that the policy does not admit.
type RoomAlarm struct {
	// What is "frozen", "thawed", "invite", "knock" or "left".
	What string
	Room matrix.RoomID
	// Server is the one that is refused, User one of its users or, for "left", the user of ours whose id was shown.
	Server matrix.ServerName
	User   matrix.UserID
	Rule   string
	// Answer is what was done: "kick", "ban", "leave", or "" for nothing.
	Answer string
}
