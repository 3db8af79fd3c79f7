package appservice

import (
	"slices"

	"rempart/internal/matrix"
)

// Reserved reports whether a user id is for another service than one alone. by may be nil for everybody else.
// Spec: application-service-api/#server-admin-style-permissions
func (r *Registry) Reserved(user matrix.UserID, by *Service) bool {
	return slices.ContainsFunc(r.All(), func(s *Service) bool {
		return s != by && user.Server() == r.server && (user == s.Sender || exclusively(s.Users, string(user)))
	})
}

// ReservedAlias is Reserved for aliases.
func (r *Registry) ReservedAlias(alias matrix.RoomAlias, by *Service) bool {
	return slices.ContainsFunc(r.All(), func(s *Service) bool { return s != by && exclusively(s.Aliases, string(alias)) })
}

// OfUser are the services with traffic that follow a user.
func (r *Registry) OfUser(user matrix.UserID) []*Service {
	if r == nil || user.Server() != r.server {
		return nil
	}
	return r.those(func(s *Service) bool { return s.Owns(user) })
}

// OfRoom are the services with traffic that follow a room by its id or its aliases, whoever is in it.
func (r *Registry) OfRoom(id matrix.RoomID, aliases []matrix.RoomAlias) []*Service {
	return r.those(func(s *Service) bool {
		return matches(s.Rooms, string(id)) || slices.ContainsFunc(aliases, s.OwnsAlias)
	})
}

// FollowsAlias reports whether a service with traffic follows rooms of an alias.
func (r *Registry) FollowsAlias(alias matrix.RoomAlias) bool {
	return r.FollowsAliases() && len(r.those(func(s *Service) bool { return s.OwnsAlias(alias) })) > 0
}

// FollowsAliases reports whether a service with traffic follows rooms by aliases at all.
func (r *Registry) FollowsAliases() bool { return r != nil && r.aliases }

// those are the services with traffic for which something holds.
func (r *Registry) those(holds func(*Service) bool) []*Service {
	var out []*Service
	for _, s := range r.All() {
		if s.URL != "" && holds(s) {
			out = append(out, s)
		}
	}
	return out
}
