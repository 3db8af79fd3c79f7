package sync

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"rempart/internal/matrix"
	"rempart/storage"
)

// FilterOf finds the filter that a sync names: a stored one by its number, or JSON that stands in the request. It must
// not be changed.
func (s *Service) FilterOf(ctx context.Context, c *matrix.Caller, text string) (*Filter, error) {
	if text == "" {
		return &Filter{}, nil
	}
	if text[0] == '{' {
		return ParseFilter([]byte(text))
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, noFilter()
	}
	key := filterKey{c.UserNID, id}
	if f := s.filters.get(key); f != nil {
		return f, nil
	}
	body, err := s.db.FindFilter(ctx, c.UserNID, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, noFilter()
	}
	if err != nil {
		return nil, err
	}
	f, err := ParseFilter(body)
	if err == nil {
		s.filters.put(key, f)
	}
	return f, err
}

func noFilter() error { return matrix.InvalidParam("There is no such filter.") }

// filterKey names a stored filter: a user's number and the filter's.
type filterKey struct{ user, id int64 }

// filterCache keeps stored filters ready. A stored filter never changes, so nothing makes it stale; it is dropped as a
// whole when it is full.
type filterCache struct {
	mu    sync.RWMutex
	ready map[filterKey]*Filter
}

const filterCacheLimit = 20_000

func (c *filterCache) get(k filterKey) *Filter {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.ready[k]
}

func (c *filterCache) put(k filterKey, f *Filter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready == nil || len(c.ready) >= filterCacheLimit {
		c.ready = map[filterKey]*Filter{}
	}
	c.ready[k] = f
}
