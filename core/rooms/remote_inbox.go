package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of what waits for its room, and of the work on it.
const (
	inboxWorkers  = 16
	inboxPerPeer  = 4 // workers that one peer may keep busy
	inboxCount    = 5000
	inboxBytes    = 32 << 20
	inboxBatch    = 50
	inboxRetry    = time.Second
	inboxAttempts = 5
	inboxPatience = 20          // attempts to get what an event needs, be it what it refers to or keys, from a server that cannot be asked: about a quarter of an hour
	inboxPause    = time.Minute // between two of them at most
	inboxHeld     = 50          // events of a lane that wait for that
	inboxAfter    = 100         // things to be done when a lane is empty
)

// Inbox takes events from other servers. They are on disk when the sender is answered, and enter their rooms afterwards: in
// order for each sender and room, while a room that is slow holds up no other. It may be used concurrently.
type Inbox struct {
	s    *Service
	ctx  context.Context //nolint:containedctx // Why: it is the inbox's own life, which ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup

	// asking lets the keys that what comes from one server waits for be asked for by one lane at a time.
	asking keyLocks[matrix.ServerName]

	mu    sync.Mutex
	lanes map[lane]*laneState
	queue []lane // lanes that wait for a worker, first come first served
	peers map[matrix.ServerName]*peerLoad
	busy  int
	// gone are servers that told us of rooms which we are out of, with the time when that was answered last; leaving is how many are being answered.
	gone      map[lane]time.Time
	leaving   int
	gonePause time.Duration
}

// lane is what comes from one server for one room.
type lane struct {
	room   int64
	origin matrix.ServerName
}

// laneState says that a lane is being worked on or waits for it, and whether more came meanwhile.
type laneState struct {
	more bool
	// resting says that its sender could not be asked for what its events refer to: it waits for more, or for some time. tries counts how
	// many such times began; timed says that one is running.
	resting, timed bool
	tries          int
	// held are those events, by number; whoever works on the lane passes them over until that time has gone by.
	held  map[int64]bool
	after []func(ctx context.Context) // to be done when what waits now is in its room
}

// After does something when all that waits of one server for one room has entered it: at once where nothing does, and where too much
// is to be done after. It is lost when the process ends before.
func (i *Inbox) After(ctx context.Context, origin matrix.ServerName, room matrix.RoomID, do func(ctx context.Context)) {
	r, err := i.s.Room(ctx, room)
	if err != nil {
		return
	}
	i.mu.Lock()
	if st := i.lanes[lane{r.nid, origin}]; st != nil && !st.resting && len(st.after) < inboxAfter {
		st.after = append(st.after, do)
		i.mu.Unlock()
		return
	}
	i.mu.Unlock()
	do(ctx)
}

// peerLoad is what waits of one server.
type peerLoad struct {
	count, bytes int64
	busy, lanes  int
}

// NewInbox opens the inbox and goes on with what it holds.
func NewInbox(ctx context.Context, s *Service) (*Inbox, error) {
	waiting, err := s.db.ListInboxLanes(ctx)
	if err != nil {
		return nil, fmt.Errorf("open inbox: %w", err)
	}
	i := &Inbox{s: s, lanes: map[lane]*laneState{}, peers: map[matrix.ServerName]*peerLoad{}, gonePause: gonePause}
	i.ctx, i.stop = context.WithCancel(context.WithoutCancel(ctx))
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, l := range waiting {
		p := i.load(l.Origin)
		p.count, p.bytes = p.count+l.Count, p.bytes+l.Bytes
		i.enqueue(lane{l.Room, l.Origin})
	}
	i.start()
	return i, nil
}

// Close stops the work and waits for it. What is left goes on with the next start.
func (i *Inbox) Close() {
	i.stop()
	i.wg.Wait()
}

// Wait returns when nothing is worked on any more.
func (i *Inbox) Wait() { i.wg.Wait() }

// Take takes over events of one transaction and tells for each that was understood why it was refused, nil where it was not. An error
// means that nothing was taken over: the sender must try again. Spec: server-server-api/#put_matrixfederationv1sendtxnid
func (i *Inbox) Take(ctx context.Context, origin matrix.ServerName, pdus []json.RawMessage) (map[matrix.EventID]error, error) {
	size := int64(0)
	for _, raw := range pdus {
		size += int64(len(raw))
	}
	if err := i.reserve(origin, int64(len(pdus)), size); err != nil {
		return nil, err
	}
	rows, outside, refused, err := i.s.sort(ctx, origin, pdus)
	for _, room := range outside {
		i.sayGone(lane{room, origin}) //nolint:contextcheck // it is said some time after the transaction was answered
	}
	if err == nil && len(rows) > 0 {
		err = i.write(ctx, rows)
	}
	if err != nil {
		i.release(origin, int64(len(pdus)), size)
		return nil, err
	}
	kept := int64(0)
	for _, row := range rows {
		kept += int64(len(row.JSON))
	}
	i.release(origin, int64(len(pdus)-len(rows)), size-kept)
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, row := range rows {
		i.enqueue(lane{row.Room, origin})
	}
	i.start()
	return refused, nil
}

func (i *Inbox) write(ctx context.Context, rows []*storage.InboxRow) error {
	first, err := i.s.db.NewIDs(ctx, storage.OtherNIDs, int64(len(rows)))
	if err != nil {
		return err
	}
	c := &storage.Change{}
	for n, row := range rows {
		row.NID = first + int64(n)
		c.Add(row)
	}
	return i.s.db.Commit(ctx, c)
}

func (i *Inbox) load(origin matrix.ServerName) *peerLoad {
	p := i.peers[origin]
	if p == nil {
		p = &peerLoad{}
		i.peers[origin] = p
	}
	return p
}

func (i *Inbox) reserve(origin matrix.ServerName, count, bytes int64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.load(origin)
	if p.count > 0 && (p.count+count > inboxCount || p.bytes+bytes > inboxBytes) {
		return matrix.LimitExceeded(5 * time.Second)
	}
	p.count, p.bytes = p.count+count, p.bytes+bytes
	return nil
}

func (i *Inbox) release(origin matrix.ServerName, count, bytes int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.load(origin)
	p.count, p.bytes = max(p.count-count, 0), max(p.bytes-bytes, 0)
	i.forget(origin, p)
}

func (i *Inbox) forget(origin matrix.ServerName, p *peerLoad) {
	if p.count == 0 && p.lanes == 0 {
		delete(i.peers, origin)
	}
}

// enqueue has a lane worked on; mu is held.
func (i *Inbox) enqueue(l lane) {
	if st := i.lanes[l]; st != nil {
		st.more = !st.resting // whoever works on it may have looked already
		i.wake(l, st)
		return
	}
	i.lanes[l] = &laneState{}
	i.load(l.origin).lanes++
	i.queue = append(i.queue, l)
}

// start gives waiting lanes to workers, as far as there are any; mu is held.
func (i *Inbox) start() {
	if i.ctx.Err() != nil {
		return
	}
	rest := i.queue[:0]
	for n, l := range i.queue {
		if i.busy == inboxWorkers {
			rest = append(rest, i.queue[n:]...)
			break
		}
		p := i.load(l.origin)
		if p.busy == inboxPerPeer {
			rest = append(rest, l)
			continue
		}
		p.busy++
		i.busy++
		i.wg.Go(func() { i.work(l) })
	}
	i.queue = rest
}

// work empties a lane and gives the worker back.
func (i *Inbox) work(l lane) {
	if i.drain(l) {
		i.doAfter(i.rest(l))
		return
	}
	i.doAfter(i.leave(l))
}

// wake has a lane that rests worked on; mu is held.
func (i *Inbox) wake(l lane, st *laneState) {
	if st.resting {
		st.resting = false
		i.queue = append(i.queue, l)
	}
}

// rest gives the worker of a lane back whose sender could not be asked, and tries it again when more comes, or a little later.
func (i *Inbox) rest(l lane) (after []func(ctx context.Context)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.busy--
	i.load(l.origin).busy--
	st := i.lanes[l]
	if st.more { // came after the last look at what waits
		st.more = false
		i.queue = append(i.queue, l)
	} else {
		st.resting, after, st.after = true, st.after, nil
	}
	if !st.timed { // Why only then: what more came in between says nothing about its patience
		pause := min(inboxRetry<<min(st.tries, 10), inboxPause)
		st.timed, st.tries = true, st.tries+1
		i.wg.Go(func() { i.tryLater(l, pause) })
	}
	i.start()
	return after
}

// tryLater wakes a lane after a pause.
func (i *Inbox) tryLater(l lane, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-i.ctx.Done():
		return
	case <-timer.C:
	}
	i.askForKeys(l)
	i.mu.Lock()
	defer i.mu.Unlock()
	if st := i.lanes[l]; st != nil {
		st.timed = false
		if st.resting {
			st.held = nil // they are tried again
		}
		i.wake(l, st)
		i.start()
	}
}

// worn reports whether a lane has been tried so often that what it waits for is given up.
func (i *Inbox) worn(l lane) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.lanes[l].tries >= inboxPatience
}

// leave gives the worker of a lane back, and what is left to be done after it.
func (i *Inbox) leave(l lane) (after []func(ctx context.Context)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.busy--
	p := i.load(l.origin)
	p.busy--
	st := i.lanes[l]
	delete(i.lanes, l)
	if p.lanes--; p.lanes == 0 {
		// Why: an event that came twice while it waited was counted twice and stored once.
		p.count, p.bytes = 0, 0
	}
	i.forget(l.origin, p)
	if after = st.after; st.more {
		i.enqueue(l)
		i.lanes[l].after, after = after, nil
	}
	i.start()
	return after
}

// takeAfter takes what is to be done after a lane is empty.
func (i *Inbox) takeAfter(l lane) (after []func(ctx context.Context)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	st := i.lanes[l]
	after, st.after = st.after, nil
	return after
}

// giveAfter puts it back in front of what came since.
func (i *Inbox) giveAfter(l lane, after []func(ctx context.Context)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	st := i.lanes[l]
	st.after = append(after, st.after...)
}

func (i *Inbox) doAfter(after []func(ctx context.Context)) {
	for _, do := range after {
		do(i.ctx)
	}
}

// heldIn are the events of a lane that are passed over now; who works on the lane adds to them.
func (i *Inbox) heldIn(l lane) map[int64]bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	st := i.lanes[l]
	if st.held == nil {
		st.held = map[int64]bool{}
	}
	return st.held
}

// drain takes in what a lane holds. It reports whether something is left whose sender could not be asked for what it refers to.
func (i *Inbox) drain(l lane) (left bool) {
	held := i.heldIn(l)
	for failures := 0; i.ctx.Err() == nil; {
		after := i.takeAfter(l)
		rows, err := i.s.db.ListInbox(i.ctx, l.room, l.origin, inboxBatch+len(held))
		rows = slices.DeleteFunc(rows, func(row storage.InboxRow) bool { return held[row.NID] })
		if err == nil && len(rows) == 0 {
			i.doAfter(after)
			return len(held) > 0
		}
		if err == nil {
			err = i.receive(l, rows, failures >= inboxAttempts, held)
		}
		if err == nil {
			failures = 0
			if len(rows) < inboxBatch {
				i.doAfter(after)
			} else {
				i.giveAfter(l, after)
			}
			continue
		}
		i.giveAfter(l, after)
		if i.ctx.Err() != nil {
			return false
		}
		failures++
		i.s.log.Error("take in events of another server", "server", l.origin, "room", l.room, "error", err)
		select {
		case <-i.ctx.Done():
		case <-time.After(inboxRetry):
		}
	}
	return false
}

// receive takes some rows into their room and out of the inbox. The last attempt gives up what cannot be taken in. What refers to events that
// its sender could not be asked for is held, as long as there is hope, and there are not too many.
func (i *Inbox) receive(l lane, rows []storage.InboxRow, last bool, held map[int64]bool) error {
	r, err := i.s.RoomByNID(i.ctx, l.room)
	if err != nil && !matrix.HasCode(err, matrix.CodeNotFound) {
		return err
	}
	var waiting map[matrix.EventID]bool
	if r != nil {
		if waiting, err = i.s.receiveRows(i.ctx, r, l.origin, rows); err != nil && !last {
			return err
		}
	}
	if i.ctx.Err() != nil {
		return i.ctx.Err() // what comes after a stop is not known to have been tried
	}
	hope := len(waiting) > 0 && !i.worn(l)
	c := &storage.Change{}
	bytes, done := int64(0), int64(0)
	for _, row := range rows {
		if hope && waiting[row.Event] && len(held) < inboxHeld {
			held[row.NID] = true
			continue
		}
		done++
		c.Guard(storage.DeleteInbox(row.NID))
		bytes += int64(len(row.JSON))
	}
	if done == 0 {
		return nil
	}
	if err := i.s.db.Commit(i.ctx, c); err != nil {
		return err
	}
	i.release(l.origin, done, bytes)
	return nil
}

// receiveRows takes in what was in the inbox, and names what waits for events that the sender could not be asked for.
func (s *Service) receiveRows(ctx context.Context, r *Room, origin matrix.ServerName, rows []storage.InboxRow) (map[matrix.EventID]bool, error) {
	r.heardAt.Store(s.nowMS())
	waiting := map[matrix.EventID]bool{}
	events, err := s.checkRows(ctx, r, origin, rows, waiting)
	if err != nil {
		return nil, err
	}
	outcomes, err := s.receiveFetching(ctx, r, events, Arrival{From: origin})
	if err != nil {
		return nil, err
	}
	var broken error
	for _, o := range outcomes {
		var missing ErrMissing
		var refused *matrix.Error
		if o.Refused != nil && !o.Known {
			s.log.Info("event of another server refused", "room", r.id, "event", o.ID, "server", origin, "error", o.Refused)
		}
		switch {
		case errors.Is(o.Err, core.ErrUnreached):
			waiting[o.ID] = true
		case o.Err == nil || errors.As(o.Err, &refused):
		case errors.As(o.Err, &missing):
			s.log.Info("event of another server dropped", "room", r.id, "event", o.ID, "server", origin, "error", o.Err)
		default:
			broken = errors.Join(broken, o.Err)
		}
	}
	return waiting, broken
}
