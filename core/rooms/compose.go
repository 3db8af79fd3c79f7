package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Draft is an event that a local user wants to send.
type Draft struct {
	Sender   matrix.UserID
	Type     string
	StateKey *string
	Content  json.RawMessage
	Redacts  matrix.EventID
	OriginTS int64 // milliseconds; 0: now
	Sticky   int64 // milliseconds for which it sticks; 0: not at all
	// Txn is the client's transaction id; Event and TS are filled in. A repetition is answered with the first event.
	Txn *storage.TransactionRow
	// Rows and Guards are written with the event, or not at all.
	Rows   []storage.Row
	Guards []storage.Guard
	// After, if set, is told the finished event before it is queued and may add rows that need its number.
	After func(e *Stored) ([]storage.Row, error)
}

// maxRebuilds bounds how often a request is built again because the room moved on.
const maxRebuilds = 32

// errUnderWay asks for the outcome of a write of the same transaction id.
type errUnderWay struct{ c *commitment }

func (errUnderWay) Error() string { return "this transaction is under way" }

// errMade says which event a transaction id made before.
type errMade struct{ event int64 }

func (errMade) Error() string { return "this transaction was made before" }

// Compose appends local events to a room. It calls fn with the newest state, builds the drafts that fn returns one on
// the other, authorises them (M_FORBIDDEN with the rule broken), hashes, signs and writes them as one Change, and returns
// when they are committed. fn runs under the room's mutex, perhaps several times: it must not write, wait or enter a room.
//
//nolint:gocyclo // one case for each way in which a write may end
func (s *Service) Compose(ctx context.Context, r *Room, fn func(v *View) ([]Draft, error)) ([]*Stored, error) {
	need := needs{events: 1}
	banned, err := s.loadShadows(ctx)
	if err != nil {
		return nil, err
	}
	race := contender{s: s}
	defer race.end() //nolint:contextcheck // the others hear that the turn is over, whatever became of the request
	for {
		if err := need.satisfy(ctx, s); err != nil {
			return nil, err
		}
		race.build()
		c, err := s.enqueue(ctx, r, &need, func(ctx context.Context, b *builder) error {
			drafts, err := fn(b.view())
			if err != nil {
				return err
			}
			var pretended bool
			if len(banned) > 0 {
				if pretended, err = pretends(ctx, b.view(), banned, drafts); err != nil {
					return err
				}
			}
			if err := b.drafts(ctx, drafts); err != nil || !pretended {
				return err
			}
			return errPretended{b.stored}
		})
		var way errUnderWay
		var made errMade
		var pretended errPretended
		switch {
		case errors.As(err, &pretended):
			return pretended.stored, nil
		case errors.As(err, &made):
			e, err := s.event(ctx, made.event)
			return []*Stored{e}, err
		case errors.Is(err, errNeeds):
			continue
		case errors.As(err, &way):
			<-way.c.done
			if way.c.err == nil {
				return way.c.stored, nil
			}
			err = way.c.err
		case errors.Is(err, storage.ErrStale):
			// what the build rested on failed under it
		case err != nil && race.refused(ctx, r, err):
			continue
		case err != nil:
			return nil, err
		case c == nil:
			return nil, nil
		default:
			err = c.finish(ctx)
		}
		if err == nil {
			return c.stored, nil
		}
		if first, e := s.firstOf(ctx, c, err); first != nil || e != nil {
			return first, e
		}
		if !errors.Is(err, storage.ErrStale) || !race.lost(r) { //nolint:contextcheck // as race.end
			return nil, refused(err)
		}
	}
}

// refused is what a client is told of a write that failed: a guard's own protocol error, or that he may try again.
func refused(err error) error {
	var e *matrix.Error
	if errors.As(err, &e) {
		return err
	}
	if errors.Is(err, storage.ErrGuard) || errors.Is(err, storage.ErrNotFound) {
		return err
	}
	busy := matrix.NewError(503, matrix.CodeUnknown, "The room is busy. Try again in a moment.").
		French("Le salon est occupé. Réessayez dans un instant.")
	if !errors.Is(err, storage.ErrStale) { // the database does not answer, its disk is full: the log says which
		busy = matrix.NewError(503, matrix.CodeUnknown, "The server cannot store messages just now. Try again in a moment.").
			French("Le serveur ne peut rien enregistrer pour le moment. Réessayez dans un instant.")
	}
	return busy.With("retry_after_ms", time.Second.Milliseconds()).Wrap(fmt.Errorf("append event: %w", err))
}

// firstOf finds the event that a transaction id made before, when that is why the write failed.
func (s *Service) firstOf(ctx context.Context, c *commitment, err error) ([]*Stored, error) {
	if c == nil || len(c.txns) == 0 || !s.db.IsDuplicate(err) {
		return nil, nil
	}
	nid, err := s.db.FindTransaction(ctx, c.txns[0])
	if err != nil {
		return nil, err
	}
	t := *c.txns[0]
	t.Event = nid
	s.txns.add(&t)
	e, err := s.event(ctx, nid)
	if err != nil {
		return nil, err
	}
	return []*Stored{e}, nil
}

// enqueue builds under the room's mutex and queues the result. A builder that made nothing yields nil.
func (s *Service) enqueue(ctx context.Context, r *Room, need *needs, build func(context.Context, *builder) error) (*commitment, error) {
	slot, err := s.db.Reserve(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.ready(ctx); err != nil {
		slot.Release()
		return nil, err
	}
	b := newBuilder(r, need)
	if err := build(ctx, b); err != nil || len(b.stored)+len(b.redacted) == 0 {
		slot.Release()
		return nil, err
	}
	c := b.commitment()
	slot.Submit(c.change)
	r.pending = append(r.pending, c)
	r.tip, r.resolvedOf = b.snap, b.resolvedOf
	return c, nil
}
