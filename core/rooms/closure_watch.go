package rooms

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/storage"
)

// What is found in rooms.
const (
	foundJoined = "joined"
	foundInvite = "invite"
	foundKnock  = "knock"
)

// Bounds of the warden.
const (
	wardenLooks = time.Second     // between looks at whether the policy has changed
	wardenWhole = 5 * time.Minute // between looks at everything: agreements end by the clock
)

// Warden watches which servers are in rooms, keeps the list of what the policy does not want there, raises the alarm, and shows strangers
// out. It enforces nothing: whoever writes into a room is judged then. Its methods may be called concurrently.
type Warden struct {
	s      *Service
	policy core.RoomPolicy
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{}

	look sync.Mutex // one look at a time; taken before mu
	mu   sync.Mutex
	// dirty are rooms whose members changed.
	dirty map[int64]bool
	known map[closureKey]storage.Closure
	// inRooms counts what is known by room.
	inRooms map[int64]int
	last    Judged
	// shownOut are strangers that were shown out before: who comes again is banned.
	shownOut map[strangerKey]bool
}

type closureKey struct {
	room            int64
	tenant, subject string
}

type strangerKey struct {
	room int64
	user matrix.UserID
}

// Judged is a look at all rooms.
type Judged struct {
	// Rooms have users of other servers in them, Servers are these.
	Rooms, Servers int
	// Frozen are those into which some of ours may not write.
	Frozen     int
	Generation uint64
	At         time.Time
	Took       time.Duration
}

// NewWarden starts to watch; nil when there is no policy. A room that is frozen at the start was so before: its alarm was raised then.
func NewWarden(ctx context.Context, s *Service) (*Warden, error) {
	if s.opts.Policy == nil {
		return nil, nil
	}
	list, err := s.db.ListClosures(ctx)
	if err != nil {
		return nil, err
	}
	w := &Warden{s: s, policy: s.opts.Policy, wake: make(chan struct{}, 1), dirty: map[int64]bool{}, known: map[closureKey]storage.Closure{},
		inRooms: map[int64]int{}, shownOut: map[strangerKey]bool{}}
	for _, c := range list {
		w.known[closureOf(&c)] = c
		w.inRooms[c.Room]++
		if c.Kind == foundClaimed {
			s.claims.put(c.Room, matrix.UserID(c.Subject), true)
		}
	}
	s.opts.Bus.Subscribe(w.hear)
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel = cancel
	w.wg.Go(func() { w.run(run) })
	return w, nil
}

func closureOf(c *storage.Closure) closureKey {
	return closureKey{c.Room, string(c.Tenant), c.Subject}
}

// Close stops watching.
func (w *Warden) Close() {
	if w == nil {
		return
	}
	w.cancel()
	w.wg.Wait()
}

// hear notes rooms whose members changed. It is called for each commit and only takes note.
func (w *Warden) hear(b storage.Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := false
	for i := range b.Lives {
		if l := &b.Lives[i]; w.concerns(l) {
			w.dirty[l.Room] = true
			found = true
		}
	}
	if found {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// concerns reports whether an entry may mean that a server came into a room, or left it; mu is held.
func (w *Warden) concerns(l *storage.Live) bool {
	switch l.Kind {
	case storage.KindMembership, storage.KindRoom:
		return true
	case storage.KindEvent:
		if l.User == 0 {
			return false
		}
	default:
		return false
	}
	e, ok := l.Value.(*Stored)
	return !ok || e.StateKey == nil || !w.s.isOurs(matrix.UserID(*e.StateKey).Server()) || w.inRooms[l.Room] > 0
}

func (w *Warden) run(ctx context.Context) {
	tick := time.NewTicker(wardenLooks)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
			w.lookAt(ctx, w.takeDirty())
		case <-tick.C:
			if last := w.Last(); last.Generation != w.policy.Generation() || w.s.opts.Clock().Sub(last.At) > wardenWhole {
				if _, err := w.Rejudge(ctx); err != nil && ctx.Err() == nil {
					w.s.log.ErrorContext(ctx, "judge all rooms", "error", err)
				}
			}
		}
	}
}

func (w *Warden) takeDirty() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	rooms := slices.Sorted(maps.Keys(w.dirty))
	clear(w.dirty)
	return rooms
}

// Last is the last look at all rooms.
func (w *Warden) Last() Judged {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// lookAt judges some rooms anew.
func (w *Warden) lookAt(ctx context.Context, list []int64) {
	w.look.Lock()
	defer w.look.Unlock()
	for _, room := range list {
		found, err := w.judgeRoom(ctx, room)
		if err == nil {
			err = w.settle(ctx, found, func(k closureKey) bool { return k.room == room })
		}
		if err != nil && ctx.Err() == nil {
			w.s.log.ErrorContext(ctx, "judge a room", "room", room, "error", err)
		}
	}
}

// judgeRoom finds what is against the policy in one room.
func (w *Warden) judgeRoom(ctx context.Context, room int64) ([]storage.Closure, error) {
	r, err := w.s.RoomByNID(ctx, room)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	in, err := w.s.serversOf(ctx, r)
	if err != nil {
		return nil, err
	}
	at := inRoom{room: room}
	for name := range in.members {
		at.servers = append(at.servers, name)
	}
	err = w.s.db.EachStranger(ctx, room, false, func(st storage.Stranger) error { at.note(st); return nil })
	if err != nil {
		return nil, err
	}
	j := judging{w: w, policy: w.policy, memo: map[judgedPair]string{}}
	found, err := j.of(ctx, &at)
	if err != nil {
		return nil, err
	}
	return j.inhabited(ctx, found)
}

// Rejudge judges all rooms by the policy in force. When it returns, the list of what is frozen is that policy's.
func (w *Warden) Rejudge(ctx context.Context) (Judged, error) {
	if w == nil {
		return Judged{}, nil
	}
	w.look.Lock()
	defer w.look.Unlock()
	begun, generation := w.s.opts.Clock(), w.policy.Generation()
	found, out, err := w.find(ctx, w.policy)
	if err != nil {
		return out, err
	}
	out.Generation = generation
	if err := w.settle(ctx, found, func(closureKey) bool { return true }); err != nil {
		return out, err
	}
	out.Frozen = w.Frozen()
	out.At = w.s.opts.Clock()
	out.Took = out.At.Sub(begun)
	w.mu.Lock()
	w.last = out
	w.mu.Unlock()
	return out, nil
}

// find finds what is against a policy in all rooms.
func (w *Warden) find(ctx context.Context, p core.RoomPolicy) (found []storage.Closure, out Judged, err error) {
	var rooms []inRoom
	servers := map[matrix.ServerName]bool{}
	err = w.s.db.EachStranger(ctx, 0, true, func(st storage.Stranger) error {
		if n := len(rooms); n == 0 || rooms[n-1].room != st.Room {
			rooms = append(rooms, inRoom{room: st.Room})
		}
		servers[st.User.Server()] = true
		rooms[len(rooms)-1].note(st)
		return nil
	})
	if err != nil {
		return nil, out, err
	}
	for _, room := range w.s.claims.rooms() {
		if !slices.ContainsFunc(rooms, func(n inRoom) bool { return n.room == room }) {
			rooms = append(rooms, inRoom{room: room})
		}
	}
	out.Rooms, out.Servers = len(rooms), len(servers)
	j := judging{w: w, policy: p, memo: map[judgedPair]string{}}
	for i := range rooms {
		list, err := j.of(ctx, &rooms[i])
		if err != nil {
			return nil, out, err
		}
		found = append(found, list...)
	}
	found, err = j.inhabited(ctx, found)
	return found, out, err
}

// settle compares what was found with what was known of the same rooms, keeps the difference, and raises the alarm about it.
func (w *Warden) settle(ctx context.Context, found []storage.Closure, about func(closureKey) bool) error {
	now := map[closureKey]storage.Closure{}
	for _, c := range found {
		now[closureOf(&c)] = c
	}
	change := &storage.Change{}
	var came, gone, unanswered []storage.Closure
	w.mu.Lock()
	for k, old := range w.known {
		if _, still := now[k]; !still && about(k) {
			delete(w.known, k)
			if w.inRooms[k.room]--; w.inRooms[k.room] == 0 {
				delete(w.inRooms, k.room)
			}
			gone = append(gone, old)
			change.Guard(storage.DropClosure(old))
		}
	}
	for k, c := range now {
		old, known := w.known[k]
		if known && old.Kind == c.Kind && old.Rule == c.Rule {
			if old.Answer == "" && !freezes(old.Kind) {
				unanswered = append(unanswered, old)
			}
			continue
		}
		if !known {
			w.inRooms[k.room]++
		}
		c.Since = w.s.nowMS()
		w.known[k] = c
		came = append(came, c)
	}
	w.mu.Unlock()
	slices.SortFunc(came, func(a, b storage.Closure) int { return strings.Compare(a.Subject, b.Subject) })
	for i := range came {
		w.alarm(ctx, &came[i])
		change.Add(&storage.ClosureRow{Closure: came[i]})
	}
	for i := range gone {
		w.over(ctx, &gone[i])
	}
	answered := 0
	for i := range unanswered { // Why again: who had no power may have it now, and what failed may succeed
		if w.answer(ctx, &unanswered[i]) {
			answered++
			change.Add(&storage.ClosureRow{Closure: unanswered[i]})
		}
	}
	if len(came)+len(gone)+answered == 0 {
		return nil
	}
	return w.s.db.Commit(ctx, change)
}

// freezes reports whether what was found keeps ours from writing.
func freezes(kind string) bool { return kind == foundJoined || kind == foundClaimed }

// alarm tells of something that was found, and shows strangers out.
func (w *Warden) alarm(ctx context.Context, c *storage.Closure) {
	if !freezes(c.Kind) && w.answer(ctx, c) {
		return
	}
	r, err := w.s.RoomByNID(ctx, c.Room)
	if err != nil {
		return
	}
	a := core.RoomAlarm{What: c.Kind, Room: r.id, Server: c.Server, Rule: c.Rule}
	if freezes(c.Kind) {
		a.What = "frozen"
	} else {
		a.User = matrix.UserID(c.Subject)
	}
	w.policy.Alarm(ctx, a)
}

// answer shows a stranger out, and tells of it; false when nobody could.
func (w *Warden) answer(ctx context.Context, c *storage.Closure) bool {
	r, err := w.s.RoomByNID(ctx, c.Room)
	if err != nil {
		return false
	}
	user := matrix.UserID(c.Subject)
	if c.Answer = w.showOut(ctx, r, user); c.Answer == "" {
		return false
	}
	w.mu.Lock()
	w.known[closureOf(c)] = *c
	w.mu.Unlock()
	w.policy.Alarm(ctx, core.RoomAlarm{What: c.Kind, Room: r.id, Server: c.Server, User: user, Rule: c.Rule, Answer: c.Answer})
	return true
}

// over tells that a room is open again.
func (w *Warden) over(ctx context.Context, c *storage.Closure) {
	r, err := w.s.RoomByNID(ctx, c.Room)
	if err != nil || !freezes(c.Kind) {
		return
	}
	w.mu.Lock()
	for _, k := range w.known {
		if k.Room == c.Room && freezes(k.Kind) {
			w.mu.Unlock()
			return
		}
	}
	w.mu.Unlock()
	w.policy.Alarm(ctx, core.RoomAlarm{What: "thawed", Room: r.id, Server: c.Server, Rule: c.Rule})
}
