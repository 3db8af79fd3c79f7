package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"

	"rempart/storage"
)

// blockSize is how many records are indexed, and sealed away, together. blockLevel is the level of a block's hash.
const (
	blockLevel = 8
	blockSize  = 1 << blockLevel
)

// indexKey is what a block is found by.
type indexKey string

// aliasKey is the key of an alias as it stands in records.
func aliasKey(alias string) indexKey {
	raw, err := base64.RawURLEncoding.DecodeString(alias)
	if err != nil {
		return ""
	}
	return indexKey(raw)
}

// destKey is the key of a server or host. kindKey is that of a kind of records.
func destKey(dest string) indexKey {
	sum := sha256.Sum256([]byte("dest " + dest))
	return indexKey(sum[:aliasSize])
}

func kindKey(k Kind) indexKey { return indexKey("kind " + k) }

// outcomeKey is the key of the blocks that hold outcomes of the records of a block.
func outcomeKey(block int64) indexKey {
	return indexKey(binary.BigEndian.AppendUint64([]byte("of"), uint64(block))) //nolint:gosec // not negative
}

// keys adds all keys of a record to a set.
func (r *Record) keys(into map[indexKey]struct{}) {
	for _, alias := range r.Objects {
		into[aliasKey(alias)] = struct{}{}
	}
	if r.Session != "" {
		into[aliasKey(r.Session)] = struct{}{}
	}
	if r.Dest != "" {
		into[destKey(r.Dest)] = struct{}{}
	}
	for _, dest := range r.Dests {
		into[destKey(dest)] = struct{}{}
	}
	for _, o := range r.Of {
		into[outcomeKey(o.N/blockSize)] = struct{}{}
	}
	into[kindKey(r.Kind)] = struct{}{}
}

// search reads the records of all blocks in which one of some keys occurs, and of the last one, in order.
func (s *Service) search(ctx context.Context, keys []indexKey, fn func(*Record) error) error {
	head, err := s.db.GetLedgerHead(ctx)
	if err != nil {
		return err
	}
	last := head.Size / blockSize
	blocks := []int64{last}
	for _, k := range keys {
		found, err := s.db.ListLedgerBlocks(ctx, []byte(k))
		if err != nil {
			return err
		}
		blocks = append(blocks, found...)
	}
	slices.Sort(blocks)
	for _, b := range slices.Compact(blocks) {
		if err := s.scan(ctx, b*blockSize, min((b+1)*blockSize, head.Size), fn); err != nil {
			return err
		}
	}
	return nil
}

// scan reads records in order, leaving out those that are sealed away.
func (s *Service) scan(ctx context.Context, from, upto int64, fn func(*Record) error) error {
	return s.db.EachLedgerRecord(ctx, from, upto, func(l storage.LedgerRecord) error {
		if len(l.Body) == 0 {
			return nil
		}
		r, err := parse(l.Body)
		if err != nil {
			return err
		}
		return fn(&r)
	})
}
