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

// NewIDs takes n ≤ 4096 consecutive numbers and returns the first.
func (db *DB) NewIDs(ctx context.Context, name Counter, n int64) (int64, error) {
	b := db.ids.block(name)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next+n > b.end {
		end, err := db.takeBlock(ctx, name)
		if err != nil {
			return 0, err
		}
		b.next, b.end = end-idBlockSize, end
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

// takeBlock reserves a block through the committer: it is one more guarded write.
func (db *DB) takeBlock(ctx context.Context, name Counter) (end int64, err error) {
	c := &Change{}
	c.Guard(Guard{
		sql: `INSERT INTO counters (name, next) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET next = counters.next + $3 RETURNING next`,
		args: []any{string(name), int64(idBlockSize + 1), int64(idBlockSize)},
		want: 1,
		scan: scanInto(&end),
	})
	return end, db.Commit(ctx, c)
}
