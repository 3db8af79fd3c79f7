package sync

import (
	"slices"
	"sort"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// maxLooked bounds how many events a filter may pass over before the timeline counts as limited.
const maxLooked = 1000

// timeline is a room's events in (after, upto] as the user sees them, newest first.
type timeline struct {
	after, upto int64
	lines       []*tailEvent
	limited     bool // there are more behind after
	skipped     bool // some were left out by a filter, an ignore, history visibility or their age
	tailed      bool // all of it stood in the room's tail
}

// start is the position right before the first event; the end of the stretch when there is none.
func (t *timeline) start() int64 {
	if n := len(t.lines); n > 0 {
		return t.lines[n-1].pos - 1
	}
	return t.upto
}

// timelineOf gathers the newest events of a room in (after, upto].
func (b *build) timelineOf(v *roomView, after, upto int64) (*timeline, error) {
	t := &timeline{after: after, upto: upto}
	limit := b.f.Room.limit()
	if v.tailFrom <= after || len(v.tail) > limit {
		news := v.tail[sort.Search(len(v.tail), func(i int) bool { return v.tail[i].pos > after }):]
		page := make([]*tailEvent, 0, len(news))
		for _, e := range slices.Backward(news) {
			if e.pos <= upto {
				page = append(page, e)
			}
		}
		t.tailed = v.tailFrom <= after
		if err := b.gather(v, t, page, limit); err != nil || t.limited || t.tailed {
			return t, err
		}
		*t = timeline{after: after, upto: upto}
	}
	return t, b.gatherStored(v, t, limit)
}

// gatherStored reads events from storage, page by page.
func (b *build) gatherStored(v *roomView, t *timeline, limit int) error {
	at := t.upto
	for looked := 0; ; {
		entries, err := b.entries(v.room, t.after, at, limit+1)
		if err != nil {
			return err
		}
		page, err := b.read(entries)
		if err != nil {
			return err
		}
		if err := b.gather(v, t, page, limit); err != nil || t.limited || len(entries) <= limit {
			return err
		}
		at = entries[len(entries)-1].Pos - 1
		if looked += len(entries); looked >= maxLooked {
			t.limited = true
			return nil
		}
	}
}

func (b *build) read(entries []storage.TimelineEntry) ([]*tailEvent, error) {
	nids := make([]int64, len(entries))
	for i, e := range entries {
		nids[i] = e.NID
	}
	events, err := b.s.rooms.Events(b.ctx, nids)
	page := make([]*tailEvent, len(events))
	for i, e := range events {
		page[i] = &tailEvent{pos: e.Row.Pos, stored: e}
	}
	return page, err
}

// gather adds what the user may and wants to see, until the limit is passed.
func (b *build) gather(v *roomView, t *timeline, page []*tailEvent, limit int) error {
	hidden, err := b.hidden(v, page)
	if err != nil {
		return err
	}
	oldest, err := b.s.rooms.Oldest(b.ctx, v.r)
	if err != nil {
		return err
	}
	for _, e := range page {
		if e.stored.Past(oldest) || hidden[e.stored] || !b.wants(v, e.stored) {
			t.skipped = true
			continue
		}
		if len(t.lines) == limit {
			t.limited = true
			return nil
		}
		t.lines = append(t.lines, e)
		if e.stored.Has(storage.FlagGap) { // what comes before it did not come right before it
			t.limited = true
			return nil
		}
	}
	return nil
}

// unseen are the flags of events that no client sees.
const unseen = storage.FlagRejected | storage.FlagSoftFailed | storage.FlagOutlier | storage.FlagNoState

// wants applies the filter and the user's ignores. Spec: client-server-api/#ignoring-users
func (b *build) wants(v *roomView, e *rooms.Stored) bool {
	if e.Row.Flags&unseen != 0 {
		return false
	}
	if b.ignored[e.Sender] && !e.IsState() {
		return false
	}
	f := b.f.Room.Timeline
	return f == nil || f.Match(e.Event) && f.MatchRoom(v.r.ID())
}

// hidden are the events of a page that history visibility keeps from the user. Since a member sees all that comes while
// he is one, only events from before his membership are looked at; of a room he left, all.
// Spec: client-server-api/#room-history-visibility
func (b *build) hidden(v *roomView, page []*tailEvent) (map[*rooms.Stored]bool, error) {
	var older []*rooms.Stored
	for _, e := range page {
		if !v.joinedAt(e.pos) && !b.ownMember(e.stored) {
			older = append(older, e.stored)
		}
	}
	if len(older) == 0 {
		return nil, nil
	}
	seen, err := b.s.rooms.Visible(b.ctx, v.r, b.c.User, older)
	if err != nil {
		return nil, err
	}
	hidden := make(map[*rooms.Stored]bool, len(older))
	for _, e := range older {
		hidden[e] = true
	}
	for _, e := range seen {
		delete(hidden, e)
	}
	return hidden, nil
}

// ownMember reports whether an event is about the user's own membership: he may always know of it.
func (b *build) ownMember(e *rooms.Stored) bool {
	return e.Type == "m.room.member" && e.StateKeyEquals(string(b.c.User))
}

// joinedAt reports whether the user is known to have been a member at a position, and ever since.
func (v *roomView) joinedAt(pos int64) bool { return !v.left && pos >= v.pos }

// show notes that the caller is shown a timeline.
func (b *build) show(v *roomView, t *timeline) {
	if n := len(t.lines); n > 0 && b.s.meter != nil {
		b.s.meter(b.c, v.r.ID(), t.lines[n-1].pos, t.lines[0].pos, int64(n))
	}
}

// writeTimeline writes the timeline, oldest event first.
func (b *build) writeTimeline(v *roomView, t *timeline) error {
	b.show(v, t)
	b.out = append(b.out, `"timeline":{"events":[`...)
	own, err := b.ownNames(t)
	if err != nil {
		return err
	}
	for i := len(t.lines) - 1; i >= 0; i-- {
		if err := b.writeLine(v, t.lines[i], own); err != nil {
			return err
		}
	}
	b.endList()
	b.out = append(b.out, `,"limited":`...)
	if t.limited {
		b.out = append(b.out, `true`...)
	} else {
		b.out = append(b.out, `false`...)
	}
	b.out = append(append(append(b.out, `,"prev_batch":"`...), matrix.LivePage(t.start()).String()...), `"},`...)
	return nil
}

// endList takes back the comma behind the last element and closes the list.
func (b *build) endList() {
	if b.out[len(b.out)-1] == ',' {
		b.out = b.out[:len(b.out)-1]
	}
	b.out = append(b.out, ']')
}

// ownNames are the names by which the recipient himself knows events that he sent.
type ownNames struct {
	txns   map[int64]string // of this device
	delays map[int64]string
}

// ownNames finds the transaction ids of events that this device sent, and by which delayed events the user scheduled.
func (b *build) ownNames(t *timeline) (n ownNames, err error) {
	var own, later []*rooms.Stored
	for _, e := range t.lines {
		if e.stored.Sender == b.c.User {
			own = append(own, e.stored)
		}
		if e.stored.Has(storage.FlagDelayed) {
			later = append(later, e.stored)
		}
	}
	if len(own) > 0 {
		if n.txns, err = b.s.rooms.TransactionIDs(b.ctx, *b.c, own); err != nil {
			return n, err
		}
	}
	if len(later) > 0 {
		n.delays, err = b.s.rooms.DelayIDs(b.ctx, b.c.User, later)
	}
	return n, err
}

// writeLine writes an event with what is the recipient's own, and a comma.
func (b *build) writeLine(v *roomView, t *tailEvent, own ownNames) error {
	e := t.stored
	u := rooms.Unsigned{Age: b.now.UnixMilli() - e.OriginServerTS, TxnID: own.txns[e.Row.NID], DelayID: own.delays[e.Row.NID]}
	if e.Sticky > 0 {
		u.StickyTTL = rooms.StickyUntil(e.Event, b.now.UnixMilli()) - b.now.UnixMilli()
	}
	var err error
	if u.Membership, err = b.membershipAt(v, e); err != nil {
		return err
	}
	if e.IsState() && e.Row.Branch >= 0 {
		if u.Prev, err = b.s.rooms.KeyAt(b.ctx, v.r, e.Before(), e.Tuple()); err != nil {
			return err
		}
		if u.Prev != nil {
			if u.ShowPrev, err = b.sees(v, u.Prev); err != nil {
				return err
			}
		}
	}
	if b.f.EventFormat == "federation" {
		b.out = append(b.out, e.JSON[:len(e.JSON)-1]...)
	} else {
		b.out = t.json(b.out)
	}
	b.out = append(rooms.AppendUnsigned(b.out, e, u), ',')
	if e.Type == "m.room.member" && b.f.Room.lazy() {
		b.sent = append(b.sent, lazyKey{v.room, e.Row.StateKey})
	}
	return nil
}

func (b *build) sees(v *roomView, e *rooms.Stored) (bool, error) {
	if v.joinedAt(e.Row.Pos) {
		return true, nil
	}
	seen, err := b.s.rooms.Visible(b.ctx, v.r, b.c.User, []*rooms.Stored{e})
	return len(seen) == 1, err
}

// membershipAt is the user's own membership right after an event. Spec: client-server-api/#room-event-format (MSC4115)
func (b *build) membershipAt(v *roomView, e *rooms.Stored) (string, error) {
	if b.ownMember(e) {
		return e.Membership(), nil
	}
	if v.joinedAt(e.Row.Pos) {
		return "join", nil
	}
	if e.Row.Branch < 0 {
		return "", nil
	}
	m, err := b.s.rooms.KeyAt(b.ctx, v.r, e.Before(), memberTuple(b.c.User))
	if m == nil || err != nil {
		return "leave", err
	}
	return m.Membership(), nil
}

func memberTuple(u matrix.UserID) matrix.StateTuple {
	return matrix.StateTuple{Type: "m.room.member", Key: string(u)}
}
