package storage

import (
	"context"
	"sync"
)

// Counter names a sequence of interned numbers.
type Counter string

// The sequences of interned numbers.
const (
	EventNIDs    Counter = "events"
	RoomNIDs     Counter = "rooms"
	UserNIDs     Counter = "users"
	StateKeyNIDs Counter = "state_keys"
	DeviceNIDs   Counter = "devices"
	SessionNIDs  Counter = "sessions"
	FilterNIDs   Counter = "filters"
	PusherNIDs   Counter = "pushers"
	OtherNIDs    Counter = "other"
)

// idBlocks hands out numbers from blocks taken from the counters table, so that nodes never share one. Numbers of a
// block that a stopped process did not use are lost, which harms nobody.
type idBlocks struct {
	mu     sync.Mutex
	blocks map[Counter]*idBlock
}

type idBlock struct {
	mu        sync.Mutex
	next, end int64
}

const idBlockSize = 4096

// NewID takes the next number of a sequence. Numbers grow within a process, not across nodes.
func (db *DB) NewID(ctx context.Context, name Counter) (int64, error) {
	return db.NewIDs(ctx, name, 1)
}

// NewIDs takes n consecutive numbers and returns the first. It may be called while a room is held.
func (db *DB) NewIDs(ctx context.Context, name Counter, n int64) (int64, error) {
	b := db.ids.block(name)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next+n > b.end {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		size := max(n, idBlockSize)
		end, err := db.takeBlock(name, size)
		if err != nil {
			return 0, err
		}
		b.next, b.end = end-size, end
	}
	first := b.next
	b.next += n
	return first, nil
}

func (i *idBlocks) block(name Counter) *idBlock {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.blocks == nil {
		i.blocks = map[Counter]*idBlock{}
	}
	b := i.blocks[name]
	if b == nil {
		b = &idBlock{}
		i.blocks[name] = b
	}
	return b
}

// takeBlock reserves the numbers from end-size to end-1 through the committer: it is one more guarded write.
func (db *DB) takeBlock(name Counter, size int64) (end int64, err error) {
	c := &Change{}
	c.Guard(Guard{
		sql: `INSERT INTO counters (name, next) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET next = counters.next + $3 RETURNING next`,
		args: []any{string(name), size + 1, size},
		want: 1,
		scan: scanInto(&end),
	})
	err = db.commitDirect(c)
	return end, err
}
