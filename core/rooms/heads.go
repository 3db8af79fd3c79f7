package rooms

import (
	"cmp"
	"context"
	"slices"

	"rempart/storage"
)

// maxHeads is the number of heads beyond which a room is collapsed; maxPrev that of events that one may name as previous.
const (
	maxHeads = 10
	maxPrev  = 20
)

func compareVersions(a, b Version) int {
	return cmp.Or(cmp.Compare(a.Branch, b.Branch), cmp.Compare(a.Seq, b.Seq))
}

// fork places an accepted event that does not simply follow all heads.
func (b *builder) fork(ctx context.Context, e *Stored, auth authEvents, prev []*Stored, a Arrival, softFailed bool) error {
	b.exact = true
	if softFailed {
		e.Row.Flags |= storage.FlagSoftFailed
	}
	if a.Backfill {
		e.Row.Flags |= storage.FlagBackfill
	}
	if e.IsState() {
		if err := b.chain(ctx, e, auth); err != nil {
			return err
		}
		if err := b.forkState(ctx, e); err != nil {
			return err
		}
	}
	if softFailed || a.Backfill {
		b.add(e)
		if softFailed {
			b.await(e)
			return nil
		}
		b.index(e)
		return b.redact(ctx, e) // Why: its target may be in our timeline, though the redaction comes as history
	}
	if err := b.enterTimeline(ctx, e); err != nil {
		return err
	}
	heads, err := b.headsWithout(ctx, prev)
	if err != nil {
		return err
	}
	next := *b.snap
	next.heads = append(heads, headOf(e))
	next.depth = max(next.depth, e.Row.Depth)
	b.snap = &next
	if err := b.settle(ctx, e); err != nil {
		return err
	}
	return b.judgeAnew(ctx)
}

// settle makes the current state the resolution of the states after all heads.
func (b *builder) settle(ctx context.Context, e *Stored) error {
	versions := versionsAfter(b.snap.heads)
	if slices.Equal(versions, b.resolvedOf) {
		return nil
	}
	m, err := b.merge(ctx, versions, b.snap.current())
	if err != nil {
		return err
	}
	changes := m.changesFrom(len(versions))
	b.resolvedOf = versions
	if len(changes) == 0 {
		return nil
	}
	for i := range changes {
		c := &changes[i]
		if c.tuple, err = b.s.db.GetStateTuple(ctx, c.key); err != nil {
			return err
		}
	}
	if err := b.changeCurrent(ctx, changes, e); err != nil {
		return err
	}
	b.watchResets(ctx, changes, e)
	return nil
}

// headsWithout are the heads that stay when some events get a child: those named, and those that only events which are no
// heads themselves (rejected and soft-failed ones) lie between.
func (b *builder) headsWithout(ctx context.Context, prev []*Stored) ([]head, error) {
	heads := slices.Clone(b.snap.heads)
	lowest := int64(1) << 62
	for _, h := range heads {
		lowest = min(lowest, h.depth)
	}
	seen := map[int64]bool{}
	for todo := slices.Clone(prev); len(todo) > 0; {
		e := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[e.Row.NID] {
			continue
		}
		seen[e.Row.NID] = true
		heads = slices.DeleteFunc(heads, func(h head) bool { return h.nid == e.Row.NID })
		// Why: an accepted event took its own ancestors from the heads when it came.
		hidden := e.Row.Flags&(storage.FlagRejected|storage.FlagSoftFailed) != 0
		if !hidden || e.Row.Depth <= lowest || len(heads) == 0 {
			continue
		}
		parents, err := b.s.Events(ctx, e.Row.Prev)
		if err != nil {
			return nil, err
		}
		todo = append(todo, parents...)
	}
	return heads, nil
}
