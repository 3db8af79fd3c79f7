package rooms

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of what is done for sticky events besides. MSC4354
const (
	maxJudgedAnew = 100  // events of one user whose membership changed
	maxGreeted    = 5000 // events that a server is given when it comes
)

// waitingRooms are the rooms in which sticky events wait that were soft-failed, until when. It may be used concurrently.
type waitingRooms struct {
	mu    sync.Mutex
	known bool
	until map[int64]int64
}

// note says that events wait in a room until an instant.
func (w *waitingRooms) note(room, until int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.until == nil {
		w.until = map[int64]int64{}
	}
	w.until[room] = max(w.until[room], until)
}

// may reports whether events may wait in a room.
func (w *waitingRooms) may(ctx context.Context, s *Service, room int64) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := s.nowMS()
	if !w.known {
		found := map[int64]int64{}
		if err := s.db.EachStickyWaitingRoom(ctx, now, func(room, until int64) { found[room] = until }); err != nil {
			return false, err
		}
		for room, until := range w.until {
			found[room] = max(found[room], until)
		}
		w.until, w.known = found, true
	}
	until, waits := w.until[room]
	if waits && until <= now {
		delete(w.until, room)
	}
	return until > now, nil
}

// await remembers a soft-failed event that sticks: it is judged again when its sender's membership changes.
func (b *builder) await(e *Stored) {
	if e.Sticky == 0 || e.IsState() {
		return
	}
	now := b.s.nowMS()
	expires := StickyUntil(e.Event, now)
	if expires <= now {
		return
	}
	b.change.Add(&storage.StickyWaitingRow{Event: &e.Row, Expires: expires})
	b.change.Live(storage.Live{Kind: storage.KindSticky, Room: b.r.nid}) // for other nodes
	b.s.waiting.note(b.r.nid, expires)
}

// memberMoved notes whose events are to be judged again.
func (b *builder) memberMoved(ctx context.Context, user int64) error {
	may, err := b.s.waiting.may(ctx, b.s, b.r.nid)
	if may && !slices.Contains(b.anew, user) {
		b.anew = append(b.anew, user)
	}
	return err
}

// judgeAnew judges the waiting events of those whose membership changed, and lets those that may be now enter the timeline. They
// become no heads: others may have built on them long ago.
func (b *builder) judgeAnew(ctx context.Context) error {
	users := b.anew
	b.anew = nil
	for _, user := range users {
		list, err := b.s.db.ListStickyWaiting(ctx, b.r.nid, user, b.s.nowMS(), maxJudgedAnew)
		if err != nil {
			return err
		}
		for _, k := range list {
			if err := b.judgeWaiting(ctx, k); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *builder) judgeWaiting(ctx context.Context, k storage.Sticky) error {
	if slices.ContainsFunc(b.stored, func(e *Stored) bool { return e.Row.NID == k.Event }) {
		return nil // by another change of the same write
	}
	old, err := b.event(ctx, k.Event)
	if err != nil || !old.Has(storage.FlagSoftFailed) || old.RedactedBy != nil {
		return err
	}
	if refused, err := b.refusedAt(ctx, old, b.snap.current()); err != nil || refused != nil {
		return err
	}
	e := &Stored{Event: old.Event, Row: old.Row}
	e.Row.At, e.Row.Flags = storage.At{}, e.Row.Flags&^storage.FlagSoftFailed
	b.change.Guard(storage.ReplaceSoftFailed(k.Event)...)
	// Why: on other nodes the event may be in memory as it was.
	b.change.Live(storage.Live{Kind: storage.KindRedaction, Room: b.r.nid, Value: e.ID})
	replaces := b.replaces
	b.replaces, b.sticksUntil = k.Event, k.Expires
	err = b.enterTimeline(ctx, e)
	b.replaces, b.sticksUntil = replaces, 0
	return err
}

// greet gives servers that have come into the room by an event the heads beside it, and the events of ours that stick. MSC4354
func (b *builder) greet(ctx context.Context, before *servers, own *Stored) error {
	now := b.snap.servers
	if !b.s.opts.Federated || now == nil || before != nil && now.set == before.set {
		return nil
	}
	var fresh []matrix.ServerName
	for _, name := range now.set.Names() {
		if before == nil || before.members[name] <= 0 {
			fresh = append(fresh, name)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	targets := storage.NewServerSet(fresh)
	if err := b.showHeads(ctx, targets, own); err != nil {
		return err
	}
	list, err := b.ownSticky(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	at := 1 + b.change.Live(storage.Live{Kind: storage.KindOutbox, Room: b.r.nid})
	for i, e := range list {
		b.change.Post(&storage.OutboxRow{At: storage.At{Live: at}, Part: int64(i), Event: e.Row.NID, Room: b.r.nid,
			Origin: e.Sender.Server(), Targets: targets})
	}
	return nil
}

// ownSticky lists the events of ours that stick in the room, oldest first, those under way included.
func (b *builder) ownSticky(ctx context.Context) (out []*Stored, err error) {
	now := b.s.nowMS()
	rows, err := b.s.db.ListSticky(ctx, b.r.nid, 0, 1<<62, now, maxGreeted)
	if err != nil {
		return nil, err
	}
	nids := make([]int64, len(rows))
	for i, k := range rows {
		nids[i] = k.Event
	}
	list, err := b.s.Events(ctx, nids)
	for _, c := range b.r.pending {
		list = append(list, c.stored...)
	}
	for _, e := range list {
		if e.Has(storage.FlagSticky) && e.Has(storage.FlagLocal) && e.RedactedBy == nil && StickyUntil(e.Event, now) > now {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b *Stored) int { return cmp.Compare(a.Row.NID, b.Row.NID) })
	return slices.CompactFunc(out, func(a, b *Stored) bool { return a.Row.NID == b.Row.NID }), err
}
