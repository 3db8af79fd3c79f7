package appservice

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"

	"rempart/internal/matrix"
)

// Namespace is a set of names; an exclusive one is for its service alone.
type Namespace struct {
	Exclusive bool
	Regex     *regexp.Regexp // anchored at the beginning: see [Pattern]
}

// Pattern compiles an expression of a registration. Why anchored at the beginning only: registrations are written for
// servers that match so, "@_irc_.*" and "@_irc_" alike.
func Pattern(text string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(text); err != nil {
		return nil, err // Why first alone: an unbalanced parenthesis must not be closed by ours
	}
	return regexp.Compile(`^(?:` + text + `)`)
}

// Registration is what a service asked for. Spec: application-service-api/#registration
type Registration struct {
	ID               string
	URL              string // "" wants no traffic
	ASToken, HSToken string
	SenderLocalpart  string
	Users            []Namespace
	Aliases          []Namespace
	Rooms            []Namespace
	Protocols        []string
	// RateLimited says that its users (not its sender) are limited as others are.
	RateLimited bool
	// Ephemeral asks for typing, receipts and presence; OldEphemeral that they go by their older name too (MSC2409).
	Ephemeral, OldEphemeral bool
	// Encryption asks for to-device messages, device lists and counts of keys. MSC3202, MSC4203
	Encryption bool
}

// Service is one application service.
type Service struct {
	Registration
	// Number names it in storage and never changes: a hash of its id.
	Number int64
	// Sender is its own user.
	Sender matrix.UserID
}

// Registry holds all services. It may be used concurrently.
type Registry struct {
	list    []*Service
	byToken map[[sha256.Size]byte]*Service
	server  matrix.ServerName
	aliases bool // one of them follows aliases
}

// New makes the registry of the services of a server; their ids and tokens must differ.
func New(server matrix.ServerName, list []Registration) (*Registry, error) {
	if len(list) == 0 {
		return nil, nil
	}
	r := &Registry{server: server, byToken: map[[sha256.Size]byte]*Service{}}
	ids := map[int64]bool{}
	for _, reg := range list {
		s := &Service{Registration: reg, Number: matrix.Hash64(reg.ID)}
		s.Sender = matrix.UserID("@" + reg.SenderLocalpart + ":" + string(server))
		hash := sha256.Sum256([]byte(reg.ASToken))
		if ids[s.Number] || r.byToken[hash] != nil {
			return nil, fmt.Errorf("the application service %q has the id or the token of another", reg.ID)
		}
		ids[s.Number], r.byToken[hash] = true, s
		r.list = append(r.list, s)
		r.aliases = r.aliases || s.URL != "" && len(reg.Aliases) > 0
	}
	return r, nil
}

// Any reports whether there is a service.
func (r *Registry) Any() bool { return r != nil }

// All are the services; the list must not be changed.
func (r *Registry) All() []*Service {
	if r == nil {
		return nil
	}
	return r.list
}

// ByToken finds the service that an as_token is of; nil when there is none. Why by hash: comparing takes the same time
// whatever was guessed.
func (r *Registry) ByToken(token string) *Service {
	if r == nil {
		return nil
	}
	return r.byToken[sha256.Sum256([]byte(token))]
}

// ByID finds a service; nil when there is none.
func (r *Registry) ByID(id string) *Service {
	for _, s := range r.All() {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// ByNumber finds a service; nil when there is none.
func (r *Registry) ByNumber(n int64) *Service {
	for _, s := range r.All() {
		if s.Number == n {
			return s
		}
	}
	return nil
}

// Owns reports whether a user of this server is the service's sender or in its namespace.
func (s *Service) Owns(user matrix.UserID) bool {
	return user.Server() == s.Sender.Server() && (user == s.Sender || matches(s.Users, string(user)))
}

// OwnsAlias reports whether an alias is in the service's namespace.
func (s *Service) OwnsAlias(alias matrix.RoomAlias) bool { return matches(s.Aliases, string(alias)) }

// matches reports whether a name is in one of some namespaces.
func matches(list []Namespace, name string) bool {
	return slices.ContainsFunc(list, func(n Namespace) bool { return n.Regex.MatchString(name) })
}

// exclusively is matches for the exclusive ones.
func exclusively(list []Namespace, name string) bool {
	return slices.ContainsFunc(list, func(n Namespace) bool { return n.Exclusive && n.Regex.MatchString(name) })
}
