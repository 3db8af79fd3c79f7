package search

import (
	"context"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// maxContext bounds how many events may stand on either side of a result.
const maxContext = 20

// Context is what stands around a result.
type Context struct {
	Before, After []*rooms.Stored
	Start, End    matrix.PageToken
	// Profiles are the senders' membership events of then.
	Profiles []*rooms.Stored
}

// Context reads what stands around a result.
func (s *Service) Context(ctx context.Context, c matrix.Caller, f Found, before, after int, profiles bool) (*Context, error) {
	row := &f.Event.Row
	here := matrix.HistoryPage(row.Depth, row.NID)
	start := matrix.HistoryPage(row.Depth, row.NID-1)
	if row.Pos > 0 {
		here, start = matrix.LivePage(row.Pos), matrix.LivePage(row.Pos-1)
	}
	out := &Context{Start: start, End: here}
	read := func(from matrix.PageToken, backward bool, n int) (*rooms.Page, error) {
		return s.rooms.Messages(ctx, f.Room, c.User, rooms.MessagesRequest{From: &from, Backward: backward, Limit: min(n, maxContext)})
	}
	if before > 0 {
		page, err := read(start, true, before)
		if err != nil {
			return nil, err
		}
		out.Before, out.Start = page.Events, page.Reached
	}
	if after > 0 {
		page, err := read(here, false, after)
		if err != nil {
			return nil, err
		}
		out.After, out.End = page.Events, page.Reached
	}
	if !profiles {
		return out, nil
	}
	seen := map[matrix.UserID]bool{}
	for _, e := range append(append([]*rooms.Stored{f.Event}, out.Before...), out.After...) {
		if seen[e.Sender] {
			continue
		}
		seen[e.Sender] = true
		m, err := s.rooms.KeyAt(ctx, f.Room, e.Before(), matrix.StateTuple{Type: "m.room.member", Key: string(e.Sender)})
		if err != nil {
			return nil, err
		}
		if m != nil {
			out.Profiles = append(out.Profiles, m)
		}
	}
	return out, nil
}
