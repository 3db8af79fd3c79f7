package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// DestinationOrders are the orders of a list of destinations.
func DestinationOrders() map[string]func(a, b *storage.Destination) int {
	return map[string]func(a, b *storage.Destination) int{
		"destination":                     func(a, b *storage.Destination) int { return strings.Compare(string(a.Server), string(b.Server)) },
		"retry_last_ts":                   func(a, b *storage.Destination) int { return cmp.Compare(a.Since, b.Since) },
		"retry_interval":                  func(a, b *storage.Destination) int { return cmp.Compare(a.Retry-a.Since, b.Retry-b.Since) },
		"failure_ts":                      func(a, b *storage.Destination) int { return cmp.Compare(a.Since, b.Since) },
		"last_successful_stream_ordering": func(a, b *storage.Destination) int { return cmp.Compare(a.Pos, b.Pos) },
	}
}

// Destinations lists the other servers that the administrator's own tells things, whose names have a text, and counts them.
func (s *Service) Destinations(ctx context.Context, admin matrix.Caller, term string, p Page) ([]storage.Destination, int64, error) {
	all, err := s.DB.ListDestinations(ctx)
	if err != nil {
		return nil, 0, err
	}
	all = slices.DeleteFunc(all, func(d storage.Destination) bool {
		return d.Origin != admin.Server || !strings.Contains(strings.ToLower(string(d.Server)), strings.ToLower(term))
	})
	compare := DestinationOrders()[p.Order]
	slices.SortStableFunc(all, func(a, b storage.Destination) int {
		n := compare(&a, &b)
		if p.Backward {
			n = -n
		}
		return n
	})
	total := int64(len(all))
	from := min(p.From, total)
	return all[from:min(from+p.Limit, total)], total, nil
}

// Destination reads one destination; M_NOT_FOUND when that server was never told anything.
func (s *Service) Destination(ctx context.Context, admin matrix.Caller, server matrix.ServerName) (storage.Destination, error) {
	all, err := s.DB.ListDestinations(ctx)
	for _, d := range all {
		if d.Origin == admin.Server && d.Server == server {
			return d, err
		}
	}
	if err == nil {
		err = matrix.NotFound("Unknown destination")
	}
	return storage.Destination{}, err
}

// RoomsWith lists the rooms that a destination is in.
func (s *Service) RoomsWith(ctx context.Context, admin matrix.Caller, server matrix.ServerName, p Page) ([]storage.DestinationRoom, int64, error) {
	if _, err := s.Destination(ctx, admin, server); err != nil {
		return nil, 0, err
	}
	all, err := s.DB.ListRoomsWith(ctx, server)
	if err != nil {
		return nil, 0, err
	}
	if p.Backward {
		slices.Reverse(all)
	}
	total := int64(len(all))
	from := min(p.From, total)
	return all[from:min(from+p.Limit, total)], total, nil
}

// RetryDestination lets a server that failed be tried at once.
func (s *Service) RetryDestination(ctx context.Context, admin matrix.Caller, server matrix.ServerName) error {
	d, err := s.Destination(ctx, admin, server)
	if err != nil {
		return err
	}
	if d.Since == 0 {
		return matrix.NewError(400, matrix.CodeUnknown, "The retry timing does not need to be reset for this destination.")
	}
	c := &storage.Change{}
	c.Guard(storage.RetryDestination(server).OrElse(matrix.NotFound("Unknown destination")))
	if err := s.act(ctx, c, admin, "federation.retry", string(server), nil); err != nil {
		return err
	}
	if s.Retry != nil {
		s.Retry(server)
	}
	return nil
}
