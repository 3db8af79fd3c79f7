package rooms

import (
	"container/list"
	"runtime"
	"sync"
	"weak"

	"rempart/internal/matrix"
)

// roomCache gives every room one value in the process. It holds the rooms used last, as far as its budget goes; one
// that fell out but is still in somebody's hands is found again by its weak pointer.
type roomCache struct {
	mu     sync.Mutex
	nids   map[int64]weak.Pointer[Room]
	ids    map[matrix.RoomID]int64
	held   map[int64]*list.Element
	order  list.List // of *heldRoom, newest first
	budget int64
	used   int64
}

type heldRoom struct {
	room  *Room
	bytes int64
}

func newRoomCache(budget int64) *roomCache {
	return &roomCache{nids: map[int64]weak.Pointer[Room]{}, ids: map[matrix.RoomID]int64{}, held: map[int64]*list.Element{}, budget: budget}
}

func (c *roomCache) byNID(nid int64) *Room {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lookup(nid)
}

func (c *roomCache) byID(id matrix.RoomID) *Room {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lookup(c.ids[id])
}

func (c *roomCache) lookup(nid int64) *Room {
	if el := c.held[nid]; el != nil {
		c.order.MoveToFront(el)
		return el.Value.(*heldRoom).room
	}
	if p, ok := c.nids[nid]; ok {
		return p.Value()
	}
	return nil
}

// add makes the room known and returns the value that stands for it: the given one, or one that was there before.
func (c *roomCache) add(r *Room) *Room {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.lookup(r.nid); old != nil {
		return old
	}
	c.nids[r.nid], c.ids[r.id] = weak.Make(r), r.nid
	runtime.AddCleanup(r, c.gone, goneRoom{r.nid, r.id})
	c.hold(r, 512)
	return r
}

type goneRoom struct {
	nid int64
	id  matrix.RoomID
}

// gone forgets a room that nobody holds, unless it came back as a new value.
func (c *roomCache) gone(g goneRoom) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.nids[g.nid]; ok && p.Value() == nil {
		delete(c.nids, g.nid)
		delete(c.ids, g.id)
	}
}

// touch notes the size of a room that was loaded.
func (c *roomCache) touch(r *Room, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold(r, bytes)
}

func (c *roomCache) hold(r *Room, bytes int64) {
	if el := c.held[r.nid]; el != nil {
		h := el.Value.(*heldRoom)
		c.used += bytes - h.bytes
		h.bytes = bytes
		c.order.MoveToFront(el)
	} else {
		c.held[r.nid] = c.order.PushFront(&heldRoom{r, bytes})
		c.used += bytes
	}
	for c.used > c.budget && c.order.Len() > 1 {
		h := c.order.Remove(c.order.Back()).(*heldRoom)
		delete(c.held, h.room.nid)
		c.used -= h.bytes
	}
}

// recent are the rooms in memory, those used last first.
func (c *roomCache) recent() []*Room {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]*Room, 0, c.order.Len())
	for el := c.order.Front(); el != nil; el = el.Next() {
		out = append(out, el.Value.(*heldRoom).room)
	}
	return out
}
