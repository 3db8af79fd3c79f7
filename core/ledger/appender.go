package ledger

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"rempart/storage"
)

// Bounds of the appender.
const (
	maxWaiting = 4096 // groups that wait
	maxBatch   = 512  // records of one Change
	maxTries   = 50   // while other nodes append
)

// entry is a record on its way into the log.
type entry struct {
	rec   Record
	names []Name
	reads []glance
	items []byte
	n     atomic.Int64 // 1 + its number, once it is written
}

// group is what is appended together or not at all.
type group struct {
	entries []*entry
	erase   Name
	seal    []storage.Guard // what a sealing deletes
	keep    []storage.Row   // and what it leaves
	done    chan error
}

// append hands a group to the appender and waits until it is durable. The wait ends with the context, the writing does not.
func (s *Service) append(ctx context.Context, g *group) error {
	g.done = make(chan error, 1)
	select {
	case s.queue <- g:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
		return errClosed
	}
	select {
	case err := <-g.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ended: // Why besides stopped: the queue has room for a group that nobody takes any more
		select {
		case err := <-g.done:
			return err
		default:
			return errClosed
		}
	}
}

var errClosed = errors.New("ledger: closed")

// appender owns the edge of the tree. Only its own goroutine touches it.
type appender struct {
	s      *Service
	head   edge
	ts     int64
	loaded bool
	// keys are those of the last, unfinished block.
	keys map[indexKey]struct{}
}

// run appends until the queue is closed to new groups and empty.
func (a *appender) run() {
	for {
		select {
		case g := <-a.s.queue:
			a.take(g)
		case <-a.s.stopped:
			for {
				select {
				case g := <-a.s.queue:
					a.take(g)
				default:
					return
				}
			}
		}
	}
}

// take appends a group with all others that wait.
func (a *appender) take(g *group) {
	batch, n := []*group{g}, len(g.entries)
	for more := true; more && n < maxBatch; {
		select {
		case g := <-a.s.queue:
			batch, n = append(batch, g), n+len(g.entries)
		default:
			more = false
		}
	}
	err := a.write(batch)
	for _, g := range batch {
		g.done <- err
	}
	if err == nil {
		a.s.grown(a.head.size)
	} else {
		a.s.log.Error("the ledger cannot be written", "records", n, "error", err)
	}
}

// write appends a batch, again from the new head when another node was quicker.
func (a *appender) write(batch []*group) (err error) {
	ctx := context.Background() // Why: what was begun is ended; the database bounds how long that takes
	for try := range maxTries {
		if !a.loaded {
			if err := a.load(ctx); err != nil {
				return err
			}
		}
		var next appender
		if next, err = a.attempt(ctx, batch); err == nil {
			a.head, a.ts, a.keys = next.head, next.ts, next.keys
			return nil
		}
		a.loaded = false
		a.s.names.forget() // what was new in the attempt is not written, and another node may have named it meanwhile
		if !errors.Is(err, storage.ErrLedgerMoved) {
			break
		}
		time.Sleep(rand.N(time.Duration(try+1) * time.Millisecond)) //nolint:forbidigo // Why: whoever is always a little slower would never get his turn
	}
	return fmt.Errorf("append to the ledger: %w", err)
}

// load reads the head, and the keys of the unfinished block.
func (a *appender) load(ctx context.Context) error {
	h, err := a.s.db.GetLedgerHead(ctx)
	if err != nil {
		return err
	}
	known, block := a.head.size, h.Size/blockSize*blockSize
	if a.head, err = parseEdge(h.Size, h.Edge); err != nil {
		return err
	}
	a.ts, a.keys = h.TS, map[indexKey]struct{}{}
	from := block
	if known > 0 {
		from = min(known, block)
	}
	err = a.s.scan(ctx, from, h.Size, func(r *Record) error {
		if r.N >= block {
			r.keys(a.keys)
		}
		if r.Kind == Erased && r.N >= known {
			a.s.names.forget() // another node did it: what this one calls him still is not known any more
		}
		return nil
	})
	a.loaded = err == nil
	return err
}

// attempt makes the Change of a batch and commits it.
func (a *appender) attempt(ctx context.Context, batch []*group) (next appender, err error) {
	next = appender{s: a.s, head: a.head.clone(), ts: max(a.ts, a.s.clock().UnixMilli()), keys: map[indexKey]struct{}{}}
	for k := range a.keys {
		next.keys[k] = struct{}{}
	}
	c := &storage.Change{}
	first := next.head.size
	for _, g := range batch {
		if g.erase != "" {
			c.Guard(storage.EraseLedgerName(string(g.erase)))
			a.s.names.forget()
		}
		c.Guard(g.seal...)
		c.Add(g.keep...)
		for _, e := range g.entries {
			if err := next.add(ctx, c, e); err != nil {
				return next, err
			}
		}
	}
	head := storage.LedgerHead{Size: next.head.size, TS: next.ts, Edge: next.head.bytes()}
	c.Guards = append([]storage.Guard{storage.MoveLedger(first, head)}, c.Guards...)
	if err := a.s.db.Commit(ctx, c); err != nil {
		return next, err
	}
	n := first
	for _, g := range batch {
		for _, e := range g.entries {
			n++
			e.n.Store(n)
		}
	}
	return next, nil
}

// add makes the rows of one record.
func (a *appender) add(ctx context.Context, c *storage.Change, e *entry) error {
	rec := e.rec
	rec.N, rec.TS = a.head.size, a.ts
	period := month(a.ts)
	alias := func(name Name) (string, error) {
		alias, row, err := a.s.names.of(ctx, name, period)
		if row != nil {
			c.Add(row)
		}
		return alias, err
	}
	for _, name := range e.names {
		text, err := alias(name)
		if err != nil {
			return err
		}
		rec.Objects = append(rec.Objects, text)
	}
	for i := range e.reads {
		x := &e.reads[i]
		user, err := alias(User(x.user))
		if err != nil {
			return err
		}
		session, err := alias(sessionName(strconv.FormatInt(x.session, 10)))
		if err != nil {
			return err
		}
		rec.By = append(rec.By, a.s.look(x, len(rec.Objects), session))
		rec.Objects = append(rec.Objects, user)
	}
	if len(e.items) > 0 {
		root := rootOf(e.items)
		rec.Items, rec.Root = int64(len(e.items)/tlog.HashSize), base64.RawURLEncoding.EncodeToString(root[:])
	}
	body := rec.append(make([]byte, 0, 320+128*len(rec.By)))
	c.Add(&storage.LedgerRecordRow{LedgerRecord: storage.LedgerRecord{
		N: rec.N, TS: rec.TS, Body: body, Hashes: a.head.add(nil, tlog.RecordHash(body)), Items: e.items,
	}})
	rec.keys(a.keys)
	if a.head.size%blockSize == 0 {
		for k := range a.keys {
			c.Add(&storage.LedgerIndexRow{Key: []byte(k), Block: rec.N / blockSize})
		}
		clear(a.keys)
	}
	return nil
}
