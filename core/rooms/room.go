package rooms

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Version is a version of a room's state: a place on a branch. Branch 0 is the current state, Branch -1 means unknown.
type Version struct{ Branch, Seq int64 }

// Known reports whether the version names a state.
func (v Version) Known() bool { return v.Branch >= 0 }

// Room is one room. There is one Room value per room in a process. Its methods may be called concurrently.
type Room struct {
	s       *Service
	nid     int64
	id      matrix.RoomID
	version *matrix.RoomVersion

	// stale says that another node, or a failed write, moved the room under us.
	stale atomic.Bool
	// moved says that another node added messages: see overtaken.
	moved     atomic.Bool
	turns     turns
	committed atomic.Pointer[snapshot]
	// showing is held while committed changes; overtakes counts how often another node wrote. What was read or built before such a
	// write must not be shown after it: nothing would ever take it away again.
	showing   sync.Mutex
	overtakes atomic.Int64
	// prior is the last committed snapshot before another node wrote: what is read again is what came since.
	prior  atomic.Pointer[snapshot]
	absent absentKeys
	// redactions counts the redactions that other nodes wrote and told of.
	redactions atomic.Int64
	// renamed says that the room's aliases changed, which application services may follow.
	renamed atomic.Bool
	// policy is what was last read of how long messages are kept.
	policy atomic.Pointer[policyRead]
	// askedNewest is when another server was last asked for the room's newest event, in milliseconds.
	askedNewest atomic.Int64
	// heardAt is when another server last told us something of the room, askedQuiet when one was asked because none did, askPause how long
	// to wait before the next such question while nothing is heard; in milliseconds.
	heardAt, askedQuiet, askPause atomic.Int64

	mu sync.Mutex // the actor; guards all below
	// tip is the newest state of the graph, written or on its way; nil: not loaded.
	tip *snapshot
	// pending are the writes under way, oldest first. behind counts those built since another node wrote.
	pending []*commitment
	behind  int
	// tips are the ends of auth chains as far as they are known.
	tips map[int64]int64
	// links leave the chains that were looked at lately; bases are where branches start.
	links map[int64][]storage.ChainLinkRow
	bases map[int64]Version
	// resolvedOf are the versions after the heads whose resolution tip's state is.
	resolvedOf []Version
	// firstAliases are those that the room is made with.
	firstAliases []matrix.RoomAlias
}

// NID is the room's number in storage.
func (r *Room) NID() int64 { return r.nid }

// ID is the room's id.
func (r *Room) ID() matrix.RoomID { return r.id }

// Version is the room version.
func (r *Room) Version() *matrix.RoomVersion { return r.version }

// head is one of the events that nothing refers to yet.
type head struct {
	nid   int64
	id    matrix.EventID
	depth int64
	after Version
}

// snapshot is a room at one version of its row. It is immutable.
type snapshot struct {
	version, depth, seq int64
	heads               []head
	state               stateMap
	joined, invited     int64
	servers             *servers   // nil: not known, for readers
	followers           *followers // the same
}

// current is the version of state that the snapshot shows.
func (n *snapshot) current() Version { return Version{0, n.seq} }

// bytes is about what the snapshot takes in memory.
func (n *snapshot) bytes() int64 { return 512 + 16*int64(n.state.size()) }

// commitment is a write under way: what becomes visible when it is committed.
type commitment struct {
	room   *Room
	change *storage.Change
	snap   *snapshot
	stored []*Stored
	// redacted are events that the write gives a redacted form.
	redacted []*Stored
	txns     []*storage.TransactionRow
	posted   *storage.ServerSet // its row was written along
	resets   []Reset            // that it brings about

	// seen is how often the room had been overtaken when the write was built; shown says that it was published in the order of the stream.
	seen  int64
	shown bool
	// unredacted and heard are those of the builder.
	unredacted []matrix.EventID
	heard      int64

	done chan struct{} // closed when the outcome is known
	err  error         // the outcome; read after done
}

// publish makes the write visible to readers, once: as the stream brings it, or, if it brings nothing of it, when the outcome is known.
// Why not again then: another node may have written in between.
func (c *commitment) publish(streamed bool) {
	if c.shown {
		return
	}
	c.shown = true
	for _, e := range c.stored {
		c.room.s.events.put(e)
	}
	for _, e := range c.redacted {
		c.room.s.events.replace(e)
	}
	if c.posted != nil {
		c.posted.Saved()
	}
	for _, t := range c.txns {
		c.room.s.txns.add(t)
	}
	if c.snap != nil {
		if streamed {
			c.seen = c.room.overtakes.Load() // the stream is in order: this is the newest
		}
		if !c.room.show(c.snap, c.seen) {
			c.room.hide() // to be read again
		}
		if c.snap.seq%64 == 0 {
			c.room.s.rooms.touch(c.room, c.snap.bytes())
		}
	}
}

// finish waits for the outcome and makes it known to those who build on the write.
func (c *commitment) finish(ctx context.Context) error {
	c.err = c.change.Wait()
	if c.err == nil {
		c.publish(false)
		c.room.s.alarm(c.room.id, c.resets)
	} else {
		c.room.stale.Store(true)
	}
	for _, e := range c.stored {
		e.commit = nil
	}
	close(c.done)
	if c.err == nil {
		c.redactAgain(context.WithoutCancel(ctx)) // whoever waits may have gone
	}
	return c.err
}

// show lets readers see a snapshot, unless they see a newer one already. False: another node has written since it was read or built,
// when seen such writes had been heard of.
func (r *Room) show(n *snapshot, seen int64) bool {
	r.showing.Lock()
	defer r.showing.Unlock()
	if r.overtakes.Load() != seen {
		return false
	}
	if old := r.committed.Load(); old == nil || old.version < n.version {
		r.committed.Store(n)
	}
	return true
}

// hide makes readers read the room again.
func (r *Room) hide() {
	r.showing.Lock()
	defer r.showing.Unlock()
	r.overtakes.Add(1)
	if n := r.committed.Swap(nil); n != nil {
		r.prior.Store(n)
	}
}

// ready gets the room's graph up to date; mu is held. A write under way that failed, or another node's, makes it
// read the room again.
func (r *Room) ready(ctx context.Context) error {
	r.sweep()
	r.yield(ctx)
	r.catchUp()
	if r.stale.Swap(false) {
		r.moved.Store(false)
		r.behind = 0
		r.drain()
		r.forget()
	}
	if r.tip != nil {
		return r.readyFollowers(ctx)
	}
	seen := r.overtakes.Load()
	n, err := r.load(ctx)
	if err != nil {
		return err
	}
	if err := r.readyServers(ctx, n); err != nil {
		return err
	}
	if r.s.opts.Services.Any() {
		r.renamed.Store(false)
		if n.followers, err = r.s.loadFollowers(ctx, r); err != nil {
			return err
		}
	}
	r.tip, r.resolvedOf = n, versionsAfter(n.heads)
	r.show(n, seen)
	return nil
}

// forget drops what the builder knows.
func (r *Room) forget() {
	r.tip, r.tips, r.resolvedOf, r.links, r.bases = nil, nil, nil, nil, nil
	r.absent.clear()
}

// sweep forgets the writes whose outcome is known.
func (r *Room) sweep() {
	n := 0
	for n < len(r.pending) {
		select {
		case <-r.pending[n].done:
			n++
			continue
		default:
		}
		break
	}
	clear(r.pending[:n])
	r.pending = r.pending[n:]
	if len(r.pending) == 0 {
		r.pending = nil
	}
}

// drain waits until nothing is under way. The committer needs no lock of ours, so it ends.
func (r *Room) drain() {
	for _, c := range r.pending {
		<-c.done
	}
	r.pending = nil
}

// last is the newest write under way; nil when there is none.
func (r *Room) last() *storage.Change {
	if len(r.pending) == 0 {
		return nil
	}
	return r.pending[len(r.pending)-1].change
}

// load reads the room's committed graph.
func (r *Room) load(ctx context.Context) (*snapshot, error) {
	info, err := r.s.db.GetRoom(ctx, r.nid)
	if errors.Is(err, storage.ErrNotFound) {
		r.s.rooms.drop(r.nid, r.id) // removed, perhaps by another node
		return nil, matrix.NotFound("This room is not known here.")
	}
	if err != nil {
		return nil, fmt.Errorf("load room %s: %w", r.id, err)
	}
	n := &snapshot{version: info.Version, depth: info.Depth, seq: info.StateSeq, joined: info.Joined, invited: info.Invited}
	if n.state, err = r.loadCurrent(ctx, n); err != nil {
		return nil, fmt.Errorf("load state of room %s: %w", r.id, err)
	}
	heads, err := r.s.Events(ctx, info.Heads)
	if err != nil {
		return nil, err
	}
	if len(heads) != len(info.Heads) {
		return nil, fmt.Errorf("load room %s: a head is missing", r.id)
	}
	for _, e := range heads {
		n.heads = append(n.heads, headOf(e))
	}
	r.s.rooms.touch(r, n.bytes())
	return n, nil
}

// loadCurrent reads the current state, or what changed since it was last in memory: rows of the main branch are only added.
func (r *Room) loadCurrent(ctx context.Context, n *snapshot) (stateMap, error) {
	seq := n.seq
	prior := r.committed.Load()
	if prior == nil {
		prior = r.prior.Load()
	}
	if prior == nil || prior.seq > seq {
		return r.s.loadState(ctx, r.nid, 0, seq)
	}
	rows, err := r.s.db.ListStateRows(ctx, r.nid, 0, prior.seq, seq)
	if !slices.ContainsFunc(rows, r.s.changesMembers) {
		n.servers = prior.servers
	}
	changes := make([]statePair, len(rows))
	for i, row := range rows {
		changes[i] = statePair{row.StateKey, row.Event}
	}
	return prior.state.with(changes...), err
}

func headOf(e *Stored) head {
	return head{nid: e.Row.NID, id: e.ID, depth: e.Row.Depth, after: e.After()}
}

// snapshotNow is the committed graph as readers see it.
func (r *Room) snapshotNow(ctx context.Context) (*snapshot, error) {
	if n := r.committed.Load(); n != nil {
		return n, nil
	}
	seen := r.overtakes.Load()
	n, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	r.show(n, seen)
	return n, nil
}

// versionsAfter are the different versions after some events.
func versionsAfter(heads []head) []Version {
	var out []Version
	for _, h := range heads {
		if !slices.Contains(out, h.after) {
			out = append(out, h.after)
		}
	}
	slices.SortFunc(out, compareVersions)
	return out
}
