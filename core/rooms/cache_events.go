package rooms

import (
	"container/list"
	"sync"
	"sync/atomic"

	"rempart/internal/matrix"
)

// eventCache keeps events that were read or written lately, in shards, each bounded in bytes.
type eventCache struct {
	shards [16]eventShard
	// removals counts calls of removeRoom.
	removals atomic.Int64
}

type eventShard struct {
	mu     sync.Mutex
	byNID  map[int64]*list.Element
	byID   map[eventKey]*list.Element
	order  list.List // of *Stored, newest first
	budget int64
	used   int64
}

// eventKey names an event within its room.
// Why with the room: in room versions 1 and 2 two rooms may hold events of the same id.
type eventKey struct {
	room int64
	id   matrix.EventID
}

func newEventCache(budget int64) *eventCache {
	c := &eventCache{}
	for i := range c.shards {
		c.shards[i].byNID = map[int64]*list.Element{}
		c.shards[i].byID = map[eventKey]*list.Element{}
		c.shards[i].budget = budget / int64(len(c.shards))
	}
	return c
}

func (c *eventCache) shard(nid int64) *eventShard {
	return &c.shards[uint64(nid)%uint64(len(c.shards))]
}

func (c *eventCache) get(nid int64) *Stored {
	s := c.shard(nid)
	s.mu.Lock()
	defer s.mu.Unlock()
	el := s.byNID[nid]
	if el == nil {
		return nil
	}
	s.order.MoveToFront(el)
	return el.Value.(*Stored)
}

func (c *eventCache) find(room int64, id matrix.EventID) *Stored {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		el := s.byID[eventKey{room, id}]
		s.mu.Unlock()
		if el != nil {
			return el.Value.(*Stored)
		}
	}
	return nil
}

// put adds an event of which the stream tells, unless the cache holds it in its redacted form.
func (c *eventCache) put(e *Stored) {
	c.store(e, func(old *Stored) bool { return old.RedactedBy == nil && old.Row.Flags != e.Row.Flags })
}

// keep adds an event that was read after so many removals. Why not after more: another node may have redacted it since. Why not in the place of
// what is there: that came while it was read, and may be newer, as an event that has got its place.
func (c *eventCache) keep(e *Stored, removals int64) {
	c.storeIf(e, func() bool { return c.removals.Load() == removals }, func(*Stored) bool { return false })
}

// replace puts the event in whatever stands there.
func (c *eventCache) replace(e *Stored) { c.store(e, func(*Stored) bool { return true }) }

func (c *eventCache) store(e *Stored, over func(old *Stored) bool) {
	c.storeIf(e, func() bool { return true }, over)
}

// storeIf adds an event if it may, in the place of an older form of it where over says so.
func (c *eventCache) storeIf(e *Stored, may func() bool, over func(old *Stored) bool) {
	s := c.shard(e.Row.NID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !may() {
		return
	}
	if el := s.byNID[e.Row.NID]; el != nil {
		if !over(el.Value.(*Stored)) {
			return
		}
		s.drop(el)
	}
	el := s.order.PushFront(e)
	s.byNID[e.Row.NID] = el
	s.byID[eventKey{e.Row.Room, e.ID}] = el
	s.used += e.bytes()
	for s.used > s.budget && s.order.Len() > 1 {
		s.drop(s.order.Back())
	}
}

func (s *eventShard) drop(el *list.Element) {
	e := s.order.Remove(el).(*Stored)
	delete(s.byNID, e.Row.NID)
	delete(s.byID, eventKey{e.Row.Room, e.ID})
	s.used -= e.bytes()
}

// removeRoom forgets all events of a room: another node changed some of them.
func (c *eventCache) removeRoom(room int64) {
	c.removals.Add(1) // first: what is kept from now on was read before, and what was kept is found below
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for el := s.order.Front(); el != nil; {
			next := el.Next()
			if el.Value.(*Stored).Row.Room == room {
				s.drop(el)
			}
			el = next
		}
		s.mu.Unlock()
	}
}

// remove forgets an event whose row was deleted.
func (c *eventCache) remove(nid int64) {
	s := c.shard(nid)
	s.mu.Lock()
	defer s.mu.Unlock()
	if el := s.byNID[nid]; el != nil {
		s.drop(el)
	}
}
