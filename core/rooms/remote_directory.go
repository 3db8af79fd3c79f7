package rooms

import (
	"context"
	"encoding/json"
	"time"

	"rempart/internal/matrix"
)

// Bounds of a directory, ours and another server's.
const (
	directoryTime  = 20 * time.Second
	directoryPage  = 1000    // rooms
	directoryBytes = 1 << 20 // of what ours says of them
)

// directoryElsewhere asks another server for a page of its published rooms.
// Spec: server-server-api/#published-room-directory
func (s *Service) directoryElsewhere(ctx context.Context, q DirectoryRequest) (*DirectoryPage, error) {
	to, err := matrix.ParseServerName(string(q.Server))
	if err != nil {
		return nil, matrix.InvalidParam("server must be the name of a server.")
	}
	if s.opts.Peers == nil {
		return nil, matrix.NotFound("The rooms of other servers cannot be listed.")
	}
	query := map[string]any{}
	if q.Limit > 0 {
		query["limit"] = min(q.Limit, directoryPage)
	}
	if q.Since != "" {
		query["since"] = q.Since
	}
	filter := map[string]any{}
	if q.Filter.Term != "" {
		filter["generic_search_term"] = q.Filter.Term
	}
	if q.Filter.Types != nil {
		filter["room_types"] = q.Filter.Types
	}
	if len(filter) > 0 {
		query["filter"] = filter
	}
	body, err := json.Marshal(query)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, directoryTime)
	defer cancel()
	raw, err := s.opts.Peers.PublicRooms(ctx, s.asking(q.Asker), to, body)
	if err != nil {
		return nil, remoteRefusal(err)
	}
	page := &DirectoryPage{}
	if err := matrix.Decode(raw, page); err != nil {
		return nil, remoteRefusal(err)
	}
	rooms := page.Chunk
	page.Chunk = make([]PublicRoom, 0, len(rooms))
	for _, r := range rooms[:min(len(rooms), directoryPage)] {
		if _, err := matrix.ParseRoomID(string(r.RoomID)); err == nil {
			page.Chunk = append(page.Chunk, r)
		}
	}
	return page, nil
}

// asking is in which of our servers' name others are asked for somebody, who may be nobody.
func (s *Service) asking(server matrix.ServerName) matrix.ServerName {
	if s.isOurs(server) {
		return server
	}
	return s.opts.Server
}
