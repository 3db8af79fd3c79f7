package rooms

import (
	"sync"

	"rempart/storage"
)

// txnCache remembers what the transaction ids used lately made. It spares most repetitions the way to the database, whose
// unique key decides. It is dropped as a whole when it is full.
type txnCache struct {
	mu   sync.Mutex
	made map[txnKey]int64
}

type txnKey struct {
	device, endpoint int64
	id               string
}

const txnLimit = 16384

func keyOf(t *storage.TransactionRow) txnKey { return txnKey{t.Device, t.Endpoint, t.TxnID} }

// find is the number of the event that a transaction id made; 0 when that is not remembered.
func (c *txnCache) find(t *storage.TransactionRow) int64 {
	if t == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made[keyOf(t)]
}

func (c *txnCache) add(t *storage.TransactionRow) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil || len(c.made) >= txnLimit {
		c.made = make(map[txnKey]int64, 64)
	}
	c.made[keyOf(t)] = t.Event
}
