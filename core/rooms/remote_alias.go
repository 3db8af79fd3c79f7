package rooms

import (
	"context"

	"rempart/core/border"
	"rempart/internal/matrix"
)

// FindAlias is the room behind an alias of any server, with servers that are in it. from is our server that asks.
// Spec: client-server-api/#get_matrixclientv3directoryroomroomalias
func (s *Service) FindAlias(ctx context.Context, from matrix.ServerName, alias matrix.RoomAlias) (matrix.RoomID, []matrix.ServerName, error) {
	if s.isOurs(alias.Server()) || s.opts.Peers == nil {
		if err := s.opts.Border.Ask(ctx, from, alias.Server(), border.Directory, "query directory"); err != nil {
			return "", nil, err
		}
		r, err := s.ResolveAlias(ctx, alias)
		if err != nil {
			return "", nil, err
		}
		return r.id, append([]matrix.ServerName{alias.Server()}, s.serversIn(ctx, r, maxCandidates)...), nil
	}
	id, servers, err := s.opts.Peers.Alias(ctx, from, alias)
	if err != nil {
		return "", nil, remoteRefusal(err)
	}
	if _, err := matrix.ParseRoomID(string(id)); err != nil {
		return "", nil, matrix.NotFound("The alias names no room.")
	}
	if len(servers) > 2*maxCandidates {
		servers = servers[:2*maxCandidates]
	}
	return id, append(servers, alias.Server()), nil
}
