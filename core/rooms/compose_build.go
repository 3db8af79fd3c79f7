package rooms

import (
	"cmp"
	"context"
	"slices"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/storage"
)

// builder makes one Change of a room, event by event. It lives under the room's mutex.
type builder struct {
	s    *Service
	r    *Room
	need *needs
	used int // numbers taken from the stock

	change   *storage.Change
	snap     *snapshot // the room after what has been built
	stored   []*Stored
	redacted []*Stored
	txns     []*storage.TransactionRow
	rows     []*storage.EventRow // those that enter the timeline
	exact    bool
	newRoom  *storage.RoomRow
	// notBefore is the time of the create event in a new room: what follows it is not older.
	notBefore int64
	posted    *storage.ServerSet        // who was told last
	moved     map[matrix.ServerName]int // members of other servers who came, less those who went
	ourMoved  map[matrix.ServerName]int // the same of our servers, where there are several
	relay     bool                      // the other servers in the room hear of events from us, though a remote user made them
	tips      map[int64]int64
	links     []*storage.ChainLinkRow
	// opened is the branch that this Change starts, branchRows are rows on branches other than the main one.
	opened *storage.BranchRow
	// arrived are users of ours who join by this change of state.
	arrived    []int64
	branchRows []*storage.StateRow
	// replaces is the number of an outlier that gets its place now.
	replaces int64
	// sticksUntil is until when an event that is placed late sticks; 0: as from its arrival now.
	sticksUntil int64
	// anew are users whose sticky events that were soft-failed are to be judged again.
	anew []int64
	// fresh are events that the database did not have a moment ago; the commit fails should it have them by then.
	fresh map[matrix.EventID]bool
	// resolvedOf are the versions after the heads whose resolution the state is.
	resolvedOf []Version
	// resets are pieces of state that the resolution put back without reason.
	resets []Reset
	// unredacted are targets that redactions wait for, heard is how many redactions of other nodes had been heard of when the build began.
	unredacted []matrix.EventID
	heard      int64
}

func newBuilder(r *Room, need *needs) *builder {
	return &builder{s: r.s, r: r, need: need, change: &storage.Change{}, snap: r.tip, resolvedOf: r.resolvedOf, heard: r.redactions.Load()}
}

// view is the state as built so far.
func (b *builder) view() *View { return &View{s: b.s, room: b.r, snap: b.snap, b: b} }

// drafts builds local events one on the other.
func (b *builder) drafts(ctx context.Context, drafts []Draft) error {
	b.need.events = max(b.need.events, int64(b.used+len(drafts)))
	if err := b.need.names(ctx, b.s, drafts); err != nil {
		return err
	}
	for i := range drafts {
		if err := b.draft(ctx, &drafts[i]); err != nil {
			return err
		}
	}
	return nil
}

// draft builds, authorises, hashes and signs one local event on all heads.
func (b *builder) draft(ctx context.Context, d *Draft) error {
	if c := b.r.sameTransaction(d.Txn); c != nil {
		return errUnderWay{c}
	}
	if nid := b.s.txns.find(d.Txn); nid != 0 {
		return errMade{nid}
	}
	key, ok := b.s.opts.Keys.SigningKey(d.Sender.Server())
	if !ok {
		return matrix.Forbidden("The sender is not a user of this server.")
	}
	if err := b.overBorder(ctx, d); err != nil {
		return err
	}
	if err := b.passClosure(d); err != nil {
		return err
	}
	e := &Stored{}
	prev, err := b.parents(ctx, e)
	if err != nil {
		return err
	}
	auth, err := b.authFor(ctx, d, e.Before())
	if err != nil {
		return err
	}
	if e.Event, err = b.build(ctx, d, key, auth, prev); err != nil {
		return err
	}
	if e.Event, err = b.countersigned(e.Event); err != nil {
		return err
	}
	if err := authrules.Check(e.Event, auth); err != nil {
		return err
	}
	if err := b.row(ctx, e, auth.numbers(b.r.version)); err != nil {
		return err
	}
	e.Row.Flags |= storage.FlagLocal
	for _, h := range prev {
		e.Row.Prev = append(e.Row.Prev, h.nid)
	}
	if err := b.place(ctx, e, auth, len(prev) == len(b.snap.heads)); err != nil {
		return err
	}
	return b.attach(d, e)
}

// parents are the heads that a local event names, with the version of state behind them: all heads, or the newest of too many.
func (b *builder) parents(ctx context.Context, e *Stored) ([]head, error) {
	heads := b.snap.heads
	if len(heads) <= maxPrev {
		e.Row.Branch, e.Row.Seq = 0, b.snap.seq
		return heads, nil
	}
	if b.opened != nil {
		return nil, storage.ErrStale // the next attempt finds fewer heads
	}
	heads = slices.Clone(heads)
	slices.SortFunc(heads, func(x, y head) int { return cmp.Compare(y.depth, x.depth) })
	heads = heads[:maxPrev]
	if err := b.drained(); err != nil {
		return nil, err
	}
	e.Row.NID = b.need.stock[b.used]
	b.used++
	before, err := b.mergeBefore(ctx, e, versionsAfter(heads))
	e.Row.Branch, e.Row.Seq = before.Branch, before.Seq
	return heads, err
}

// drained waits until nothing is under way; ErrStale when something failed that this build rests on.
func (b *builder) drained() error {
	b.r.drain()
	if b.r.stale.Load() && b.newRoom == nil {
		return storage.ErrStale
	}
	return nil
}

// authFor reads what authorises a draft in the state before it.
func (b *builder) authFor(ctx context.Context, d *Draft, before Version) (authEvents, error) {
	needed := authrules.NeededAuthTypes(d.Sender, d.Type, d.StateKey, d.Content, b.r.version)
	if before == b.snap.current() {
		return b.view().authState(ctx, needed)
	}
	if b.r.version.RoomIDIsCreateHash {
		needed = append(needed, matrix.StateTuple{Type: "m.room.create"})
	}
	return b.authAt(ctx, before, needed)
}

// place puts a local event into the graph.
func (b *builder) place(ctx context.Context, e *Stored, auth authEvents, linear bool) error {
	if linear {
		return b.linear(ctx, e, auth)
	}
	e.Row.Depth = e.Depth
	prev, err := b.s.Events(ctx, e.Row.Prev)
	if err != nil {
		return err
	}
	return b.fork(ctx, e, auth, prev, Arrival{}, false)
}

// build makes the event itself.
func (b *builder) build(ctx context.Context, d *Draft, key matrix.SigningKey, auth authEvents, prev []head) (*matrix.Event, error) {
	p := matrix.Proto{
		RoomID: b.r.id, Sender: d.Sender, Type: d.Type, StateKey: d.StateKey, Content: d.Content, Redacts: d.Redacts, Sticky: d.Sticky,
		Depth: b.nextDepth(), OriginServerTS: d.OriginTS,
		PrevEvents: make([]matrix.EventID, 0, len(prev)), AuthEvents: make([]matrix.EventID, 0, len(auth)),
	}
	if p.OriginServerTS == 0 {
		p.OriginServerTS = max(b.s.nowMS(), b.notBefore)
	}
	for _, h := range prev {
		p.PrevEvents = append(p.PrevEvents, h.id)
	}
	for _, a := range auth {
		if !(b.r.version.RoomIDIsCreateHash && a.Type == "m.room.create") {
			p.AuthEvents = append(p.AuthEvents, a.ID)
		}
	}
	if b.r.version.RefsWithHashes() {
		if err := b.refHashes(ctx, &p, auth, prev); err != nil {
			return nil, err
		}
	}
	return b.r.version.Build(p, key)
}

// refHashes finds the hashes that events of versions 1 and 2 carry beside each reference.
func (b *builder) refHashes(ctx context.Context, p *matrix.Proto, auth authEvents, prev []head) error {
	hashes := map[matrix.EventID][]byte{}
	note := func(e *Stored) {
		h := e.ReferenceHash()
		hashes[e.ID] = h[:]
	}
	for _, a := range auth {
		note(a)
	}
	for _, h := range prev {
		e, err := b.event(ctx, h.nid)
		if err != nil {
			return err
		}
		note(e)
	}
	p.RefHash = func(id matrix.EventID) []byte { return hashes[id] }
	return nil
}

func (b *builder) nextDepth() int64 {
	depth := int64(0)
	for _, h := range b.snap.heads {
		depth = max(depth, h.depth)
	}
	return min(depth+1, maxDepth)
}

// event finds an event, also among those built here.
func (b *builder) event(ctx context.Context, nid int64) (*Stored, error) {
	if e := b.own(nid); e != nil {
		return e, nil
	}
	if e := b.s.events.get(nid); e != nil {
		return e, nil
	}
	if e := b.r.underWay(nid); e != nil {
		return e, nil
	}
	return b.s.event(ctx, nid)
}

// own finds an event among those built here.
func (b *builder) own(nid int64) *Stored {
	for _, e := range b.stored {
		if e.Row.NID == nid {
			return e
		}
	}
	return nil
}

// find finds an event by its id, also one under way; nil when it is not known.
func (b *builder) find(ctx context.Context, id matrix.EventID) (*Stored, error) {
	for _, e := range b.stored {
		if e.ID == id {
			return e, nil
		}
	}
	for i := len(b.r.pending) - 1; i >= 0; i-- {
		for _, e := range b.r.pending[i].stored {
			if e.ID == id {
				return e, nil
			}
		}
	}
	if b.fresh[id] && b.s.events.find(b.r.nid, id) == nil {
		return nil, nil
	}
	return b.s.findEvent(ctx, b.r, id)
}

// findPlaced is find for who needs to know where the event stands: see [Service.placedEvent].
func (b *builder) findPlaced(ctx context.Context, id matrix.EventID) (*Stored, error) {
	e, err := b.find(ctx, id)
	if err != nil || e == nil || !e.Has(storage.FlagOutlier) || slices.Contains(b.stored, e) {
		return e, err
	}
	if slices.ContainsFunc(b.r.pending, func(c *commitment) bool { return slices.Contains(c.stored, e) }) {
		return e, nil
	}
	return b.s.placedEvent(ctx, b.r, id)
}

// row fills in what is known of an event before its place is.
func (b *builder) row(ctx context.Context, e *Stored, auth []int64) (err error) {
	row := &e.Row
	if row.NID == 0 {
		row.NID = b.need.stock[b.used]
		b.used++
	}
	row.Room, row.IDHash, row.TS, row.Auth = b.r.nid, matrix.HashID(e.ID), e.OriginServerTS, auth
	if row.Sender, err = b.need.user(ctx, b.s, e.Sender); err != nil {
		return err
	}
	if e.IsState() {
		row.StateKey, err = b.need.stateKey(ctx, b.s, e.Tuple())
		b.r.absent.remove(e.Tuple()) // Why here: it may be set on a branch only, and be asked for there
	}
	return err
}

// attach adds what a draft wants written with its event.
func (b *builder) attach(d *Draft, e *Stored) error {
	if d.Txn != nil {
		t := *d.Txn
		t.Event, t.TS = e.Row.NID, b.s.nowMS()
		b.change.Add(&t)
		b.txns = append(b.txns, &t)
		e.txn = &t
	}
	b.change.Add(d.Rows...)
	b.change.Guard(d.Guards...)
	if d.After == nil {
		return nil
	}
	rows, err := d.After(e)
	b.change.Add(rows...)
	return err
}

// sameTransaction finds a write under way that a transaction id made; mu is held.
func (r *Room) sameTransaction(t *storage.TransactionRow) *commitment {
	if t == nil {
		return nil
	}
	for _, c := range r.pending {
		for _, o := range c.txns {
			if o.Device == t.Device && o.Endpoint == t.Endpoint && o.TxnID == t.TxnID {
				return c
			}
		}
	}
	return nil
}

// numbers lists the events that are named as auth events.
func (a authEvents) numbers(v *matrix.RoomVersion) []int64 {
	nids := make([]int64, 0, len(a))
	for _, e := range a {
		if !(v.RoomIDIsCreateHash && e.Type == "m.room.create") {
			nids = append(nids, e.Row.NID)
		}
	}
	return nids
}

// commitment finishes the Change.
func (b *builder) commitment() *commitment {
	old := b.r.tip
	if old == nil {
		old = &snapshot{}
	}
	snap := *b.snap
	snap.version = old.version + 1
	if snap.followers == nil && b.s.opts.Services.Any() {
		snap.followers = b.following() // a new room that nobody of theirs is in
	}
	b.snap = &snap
	w := storage.RoomWrite{
		Room: b.r.nid, BaseVersion: old.version, BaseStateSeq: old.seq, Exact: b.exact, After: b.r.last(),
		Depth: snap.depth, Events: b.rows, NewRoom: b.newRoom,
	}
	if snap.seq != old.seq {
		w.StateSeq = snap.seq
	}
	for _, h := range old.heads {
		if !hasHead(snap.heads, h.nid) {
			w.Remove = append(w.Remove, h.nid)
		}
	}
	for _, h := range snap.heads {
		if !hasHead(old.heads, h.nid) {
			w.Add = append(w.Add, h.nid)
		}
	}
	if b.replaces != 0 {
		b.change.Guard(storage.ReplaceOutlier(b.replaces))
	}
	b.change.Rooms = append(b.change.Rooms, w)
	b.need.stock = b.need.stock[b.used:]
	b.r.learnTips(b.tips)
	c := &commitment{room: b.r, change: b.change, snap: b.snap, stored: b.stored, redacted: b.redacted, txns: b.txns, posted: b.posted, resets: b.resets,
		seen: b.r.overtakes.Load(), unredacted: b.unredacted, heard: b.heard, done: make(chan struct{})}
	for _, e := range b.stored {
		e.commit = c
	}
	return c
}

func hasHead(heads []head, nid int64) bool {
	return slices.ContainsFunc(heads, func(h head) bool { return h.nid == nid })
}
