package rooms

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"rempart/internal/matrix"
)

// Bounds of a directory, ours and another server's.
const (
	directoryTime  = 20 * time.Second
	directoryPage  = 1000    // rooms
	directoryPages = 5       // of another server that are asked for before one has a room that was looked for
	directoryBytes = 1 << 20 // of what ours says of them
)

// directoryElsewhere asks another server for a page of its published rooms. What was not looked for is left out, and pages of which nothing is
// left are passed over: Dendrite 0.15.2 reads no term, and older servers know no types.
// Spec: server-server-api/#published-room-directory
func (s *Service) directoryElsewhere(ctx context.Context, q DirectoryRequest) (*DirectoryPage, error) {
	to, err := matrix.ParseServerName(string(q.Server))
	if err != nil {
		return nil, matrix.InvalidParam("server must be the name of a server.")
	}
	if s.opts.Peers == nil {
		return nil, matrix.NotFound("The rooms of other servers cannot be listed.")
	}
	ctx, cancel := context.WithTimeout(ctx, directoryTime)
	defer cancel()
	for n := 1; ; n++ {
		page, err := s.directoryPageOf(ctx, to, &q)
		if err != nil {
			return nil, err
		}
		if len(page.Chunk) > 0 || page.NextBatch == "" || n == directoryPages {
			return page, nil
		}
		q.Since = page.NextBatch
	}
}

// directoryPageOf asks another server for one page, and keeps of it what was looked for.
func (s *Service) directoryPageOf(ctx context.Context, to matrix.ServerName, q *DirectoryRequest) (*DirectoryPage, error) {
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
		if _, err := matrix.ParseRoomID(string(r.RoomID)); err == nil && r.mayMatch(q) {
			page.Chunk = append(page.Chunk, r)
		}
	}
	return page, nil
}

// mayMatch reports whether a room that another server found may be what was looked for: it is of one of the types, and some word of the term
// is in what is shown of it. Why not all words: how others search is theirs to say.
func (p *PublicRoom) mayMatch(q *DirectoryRequest) bool {
	words := strings.Fields(q.Filter.Term)
	if len(words) == 0 {
		words = []string{""}
	}
	one := *q
	return slices.ContainsFunc(words, func(word string) bool {
		one.Filter.Term = word
		return p.matches(&one)
	})
}

// asking is in which of our servers' name others are asked for somebody, who may be nobody.
func (s *Service) asking(server matrix.ServerName) matrix.ServerName {
	if s.isOurs(server) {
		return server
	}
	return s.opts.Server
}
