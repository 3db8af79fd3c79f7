package rooms

import (
	"context"
	"time"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/storage"
)

// redactTime bounds a second look at a redaction.
const redactTime = 20 * time.Second

// redact lets an accepted redaction take effect on its target, or wait for it.
func (b *builder) redact(ctx context.Context, e *Stored) error {
	if e.Type != "m.room.redaction" || e.Redacts == "" || e.IsState() {
		return nil
	}
	// Why: the target's row must be written before it can be changed.
	if err := b.drained(); err != nil {
		return err
	}
	target, err := b.s.findEvent(ctx, b.r, e.Redacts)
	if err != nil {
		return err
	}
	if target == nil || target.Has(storage.FlagOutlier) {
		b.change.Add(&storage.PendingRedactionRow{Room: b.r.nid, Target: e.Redacts, Redaction: e.Row.NID})
		b.change.Live(storage.Live{Kind: storage.KindRedaction, Room: b.r.nid, Value: e.Redacts}) // for other nodes: see redactAgain
		b.unredacted = append(b.unredacted, e.Redacts)
		return nil
	}
	return b.redactTarget(ctx, e, target)
}

// redactTarget gives the target its redacted form if the redaction may do so.
func (b *builder) redactTarget(ctx context.Context, e, target *Stored) error {
	if target.RedactedBy != nil || target.Has(storage.FlagRejected) {
		return nil
	}
	allowed, err := b.mayRedact(ctx, e, target)
	if err != nil || !allowed {
		return err
	}
	done := &Stored{Row: target.Row, RedactedBy: e.Event, full: target.Event, txn: target.txn}
	if done.Event, err = target.Redacted(); err != nil {
		return err
	}
	done.Row.Flags |= storage.FlagRedacted
	b.change.Guard(storage.DropRelation(target.Row.NID))
	b.change.Guard(storage.RedactEvent(target.Row.NID, done.JSON, e.Row.NID)...)
	b.change.Live(storage.Live{Kind: storage.KindRedaction, Room: b.r.nid, Value: target.ID})
	b.redacted = append(b.redacted, done)
	return nil
}

// mayRedact judges what the authorisation rules leave open from room version 3 on.
// Spec: rooms/v3/#handling-redactions
func (b *builder) mayRedact(ctx context.Context, e, target *Stored) (bool, error) {
	if b.r.version.RedactionAuth || e.Sender.Server() == target.Sender.Server() {
		return true, nil
	}
	state, err := b.authAt(ctx, e.Before(), []matrix.StateTuple{{Type: "m.room.power_levels"},
		{Type: "m.room.create"}, {Type: "m.room.member", Key: string(e.Sender)}})
	if err != nil {
		return false, err
	}
	return authrules.PowerLevelOf(state, e.Sender) >= authrules.RedactPower(state), nil
}

// redactLate applies the redactions that came before their target, which is being placed.
func (b *builder) redactLate(ctx context.Context, target *Stored) error {
	waiting, err := b.s.db.ListPendingRedactions(ctx, b.r.nid, target.ID)
	if err != nil || len(waiting) == 0 {
		return err
	}
	events, err := b.s.Events(ctx, waiting)
	if err != nil {
		return err
	}
	for _, e := range events {
		allowed, err := b.mayRedact(ctx, e, target)
		if err != nil {
			return err
		}
		if !allowed {
			continue
		}
		redacted, err := target.Redacted()
		if err != nil {
			return err
		}
		target.RedactedBy, target.full, target.by = e.Event, target.Event, e.Row.NID
		target.Event = redacted
		target.Row.Flags |= storage.FlagRedacted
		return nil
	}
	return nil
}

// redactAgain looks again at redactions and their targets, of which one node wrote one while another node wrote the other: neither found what the
// other was writing. Who wrote a redaction for which there was no target looks for it once more; who wrote a target does where the stream told of
// such a redaction in between. Since the stream is in order, whoever writes last sees what the other wrote.
func (c *commitment) redactAgain(ctx context.Context) {
	look := c.unredacted
	if c.room.redactions.Load() != c.heard {
		for _, e := range c.stored {
			look = append(look, e.ID)
		}
	}
	for _, target := range look {
		if err := c.room.s.redactWaiting(ctx, c.room, target); err != nil {
			c.room.s.log.Error("redact an event whose redaction came at the same time", "room", c.room.id, "event", target, "error", err)
		}
	}
}

// redactWaiting lets a redaction take effect that waits for an event which has its place already.
func (s *Service) redactWaiting(ctx context.Context, r *Room, id matrix.EventID) error {
	ctx, cancel := context.WithTimeout(ctx, redactTime)
	defer cancel()
	waiting, err := s.db.ListPendingRedactions(ctx, r.nid, id)
	if err != nil || len(waiting) == 0 {
		return err
	}
	return s.retried(ctx, r, &needs{}, func(ctx context.Context, b *builder) error {
		if err := b.drained(); err != nil {
			return err
		}
		target, err := s.findEvent(ctx, r, id)
		if err != nil || target == nil || target.Has(storage.FlagOutlier) {
			return err
		}
		redactions, err := s.Events(ctx, waiting)
		for _, e := range redactions {
			if err == nil && len(b.redacted) == 0 {
				err = b.redactTarget(ctx, e, target)
			}
		}
		return err
	})
}
