package ledger

import (
	"context"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"rempart/storage"
)

// edge is the right-hand edge of the tree: the hashes of its complete subtrees, the largest first. It is all that
// appending needs, and gives the root.
type edge struct {
	size   int64
	hashes []tlog.Hash
}

// parseEdge reads the edge of a log of some size.
func parseEdge(size int64, raw []byte) (edge, error) {
	e := edge{size: size}
	if len(raw) != bits.OnesCount64(uint64(size))*tlog.HashSize {
		return e, fmt.Errorf("the ledger's head does not fit its %d records", size)
	}
	for ; len(raw) > 0; raw = raw[tlog.HashSize:] {
		e.hashes = append(e.hashes, tlog.Hash(raw[:tlog.HashSize]))
	}
	return e, nil
}

// bytes is the edge as it is stored.
func (e *edge) bytes() []byte {
	out := make([]byte, 0, len(e.hashes)*tlog.HashSize)
	for _, h := range e.hashes {
		out = append(out, h[:]...)
	}
	return out
}

// clone gives a copy that can grow by itself.
func (e *edge) clone() edge { return edge{e.size, append([]tlog.Hash(nil), e.hashes...)} }

// add appends a record's hash and gives it with those of the subtrees that it completes, from below.
func (e *edge) add(dst []byte, h tlog.Hash) []byte {
	dst = append(dst, h[:]...)
	for size := e.size; size&1 == 1; size >>= 1 {
		last := len(e.hashes) - 1
		h = tlog.NodeHash(e.hashes[last], h)
		e.hashes = e.hashes[:last]
		dst = append(dst, h[:]...)
	}
	e.hashes = append(e.hashes, h)
	e.size++
	return dst
}

// root is the root of the whole tree.
func (e *edge) root() tlog.Hash {
	if e.size == 0 {
		h, _ := tlog.TreeHash(0, nil) // needs no reader
		return h
	}
	last := len(e.hashes) - 1
	h := e.hashes[last]
	for i := last - 1; i >= 0; i-- {
		h = tlog.NodeHash(e.hashes[i], h)
	}
	return h
}

// rootOf is the root of a tree of hashes that stand one behind the other.
func rootOf(hashes []byte) tlog.Hash {
	var e edge
	var scratch []byte
	for ; len(hashes) >= tlog.HashSize; hashes = hashes[tlog.HashSize:] {
		scratch = e.add(scratch[:0], tlog.Hash(hashes[:tlog.HashSize]))
	}
	return e.root()
}

// stored reads the tree's hashes from the database; it serves proofs. The hash of the subtree number i of a level stands with the
// last record of it.
type stored struct {
	ctx context.Context //nolint:containedctx // tlog's readers know no context
	db  *storage.DB
}

// ReadHashes implements [tlog.HashReader].
func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	numbers := make([]int64, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		numbers[i] = (n+1)<<level - 1
	}
	rows, err := s.db.ListLedgerHashes(s.ctx, numbers)
	if err != nil {
		return nil, err
	}
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, _ := tlog.SplitStoredHashIndex(index)
		h, ok := hashAt(rows[numbers[i]], numbers[i], level)
		if !ok {
			return nil, fmt.Errorf("record %d has no hash of level %d: it is missing or sealed", numbers[i], level)
		}
		out[i] = h
	}
	return out, nil
}

// hashAt finds the hash of a level among those of a record; those of a sealed one begin higher.
func hashAt(hashes []byte, n int64, level int) (tlog.Hash, bool) {
	lowest := levels(n) - len(hashes)/tlog.HashSize
	i := (level - lowest) * tlog.HashSize
	if i < 0 || i+tlog.HashSize > len(hashes) {
		return tlog.Hash{}, false
	}
	return tlog.Hash(hashes[i : i+tlog.HashSize]), true
}

// levels is how many hashes a record completes.
func levels(n int64) int { return bits.TrailingZeros64(^uint64(n)) + 1 }
