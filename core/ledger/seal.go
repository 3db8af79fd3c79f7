package ledger

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"rempart/storage"
)

// maxSealed bounds how many blocks one Change seals away: 1,024 records, so that nobody waits long behind it.
const maxSealed = 4

// Seal takes the contents of the records away that are older than an instant, in whole blocks. What stays proves that they were there:
// the hash of each block, the checkpoints, and a record of the sealing.
func (s *Service) Seal(ctx context.Context, before time.Time) error {
	for sealed := int64(0); ; {
		from, upto, err := s.sealable(ctx, before.UnixMilli())
		if err == nil && from >= upto && sealed > 0 {
			// Why last: the index is walked as a whole. What it says of blocks that are sealed leads nowhere.
			return s.db.PruneLedgerIndex(ctx, sealed/blockSize)
		}
		if err != nil || from >= upto {
			return err
		}
		g, err := s.sealing(ctx, from, upto)
		if err != nil {
			return err
		}
		if err := s.append(ctx, g); err != nil {
			return err
		}
		sealed = upto
	}
}

// sealable finds the oldest blocks that are still there and older than an instant.
func (s *Service) sealable(ctx context.Context, before int64) (from, upto int64, err error) {
	head, err := s.db.GetLedgerHead(ctx)
	if err != nil {
		return 0, 0, err
	}
	upto, err = s.db.FindLedgerTime(ctx, before)
	if errors.Is(err, storage.ErrNotFound) {
		upto, err = head.Size, nil
	}
	if err != nil {
		return 0, 0, err
	}
	from, err = s.db.FindLedgerUnsealed(ctx)
	if errors.Is(err, storage.ErrNotFound) {
		return 0, 0, nil
	}
	return from, min(upto/blockSize*blockSize, from+maxSealed*blockSize), err
}

// sealing makes what seals some blocks away.
func (s *Service) sealing(ctx context.Context, from, upto int64) (*group, error) {
	e := &entry{rec: Record{Kind: Sealed, From: from, To: upto}}
	g := &group{entries: []*entry{e}, seal: []storage.Guard{storage.DeleteLedgerRecords(from, upto)}}
	err := s.db.EachLedgerRecord(ctx, from, upto, func(l storage.LedgerRecord) error {
		if e.rec.Count = l.TS; l.N%blockSize != blockSize-1 {
			return nil
		}
		h, ok := hashAt(l.Hashes, l.N, blockLevel)
		if !ok {
			return errors.New("a block to be sealed has no hash")
		}
		e.items = append(e.items, h[:]...)
		g.keep = append(g.keep, &storage.LedgerRecordRow{LedgerRecord: storage.LedgerRecord{
			N: l.N, TS: l.TS, Body: []byte{}, Hashes: append([]byte(nil), l.Hashes[blockLevel*tlog.HashSize:]...),
		}})
		return nil
	})
	return g, err
}

// Proof is the proof that a record stands in the log of a checkpoint.
type Proof struct {
	N          int64       `json:"n"`
	Record     string      `json:"record"` // base64 of the leaf's bytes
	Checkpoint string      `json:"checkpoint"`
	Path       []tlog.Hash `json:"path"`
}

// Prove proves that a record stands in the log of the newest checkpoint.
func (s *Service) Prove(ctx context.Context, n int64) (Proof, error) {
	o, err := s.Offer(ctx, 0)
	if err != nil {
		return Proof{}, err
	}
	c, err := ReadStatement([]byte(o.Checkpoint), s.Key.Public)
	if err != nil {
		return Proof{}, err
	}
	p := Proof{N: n, Checkpoint: o.Checkpoint}
	if err := s.db.EachLedgerRecord(ctx, n, n+1, func(l storage.LedgerRecord) error {
		p.Record = base64.StdEncoding.EncodeToString(l.Body)
		return nil
	}); err != nil {
		return p, err
	}
	p.Path, err = tlog.ProveRecord(c.Size, n, stored{ctx, s.db})
	return p, err
}

// Check checks a proof by the log's public key and gives the record.
func (p Proof) Check(logKey string) (Record, error) {
	c, err := ReadStatement([]byte(p.Checkpoint), logKey)
	if err != nil {
		return Record{}, err
	}
	body, err := base64.StdEncoding.DecodeString(p.Record)
	if err != nil {
		return Record{}, err
	}
	if err := tlog.CheckRecord(p.Path, c.Size, c.Root, p.N, tlog.RecordHash(body)); err != nil {
		return Record{}, err
	}
	return parse(body)
}
