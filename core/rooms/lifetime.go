package rooms

import (
	"bytes"
	"context"
	"math"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Lifetimes says for how long messages are kept, in milliseconds. The zero value keeps all of them for ever.
// MSC1763: Defining the effective retention policy of a room
type Lifetimes struct {
	Enabled bool
	// Default is for rooms that say nothing of it; 0: for ever, or Max.
	Default int64
	// Min and Max bound what rooms say and Default; 0 bounds nothing.
	Min, Max int64
}

// forever is the lifetime of messages that are kept.
const forever = math.MaxInt64

// maxLifetime is the greatest number that a policy may hold.
const maxLifetime = 1<<53 - 1

func retentionTuple() matrix.StateTuple { return matrix.StateTuple{Type: "m.room.retention"} }

// of is the lifetime of messages in a room whose policy has this content; nil: it has none.
// Why the default where a policy leaves max_lifetime out, and not the least that is allowed, as the text of MSC1763 has it: a room that
// asks to be kept for a while would lose all but a day.
func (l *Lifetimes) of(content []byte) int64 {
	life := l.Default
	if life == 0 {
		life = forever
	}
	if said, atMost := readPolicy(content); atMost {
		life = said.most
	} else {
		life = max(life, said.least)
	}
	if l.Max > 0 {
		life = min(life, l.Max)
	}
	return max(life, l.Min)
}

// policy is what a room says: to keep messages for at least and at most so long.
type policy struct{ least, most int64 }

// readPolicy reads the content of m.room.retention; false where it sets no upper bound. A content that is not as it should be says nothing.
// MSC1763: Per-room retention
func readPolicy(content []byte) (p policy, atMost bool) {
	var c struct {
		Max *int64 `json:"max_lifetime"`
		Min *int64 `json:"min_lifetime"`
	}
	if len(bytes.TrimSpace(content)) == 0 || matrix.Decode(content, &c) != nil {
		return p, false
	}
	for _, n := range []*int64{c.Max, c.Min} {
		if n != nil && (*n < 0 || *n > maxLifetime) {
			return p, false
		}
	}
	if c.Min != nil {
		p.least = *c.Min
	}
	if c.Max == nil {
		return p, false
	}
	if p.most = *c.Max; p.most < p.least {
		return policy{}, false
	}
	return p, true
}

// policyRead is a room's policy and the lifetime that follows from it.
type policyRead struct {
	event *Stored
	life  int64
}

// lifetime is for how many milliseconds messages of the room are kept. It goes by the present state, whatever it was when a message was
// sent. MSC1763: Enforcing a retention policy
func (r *Room) lifetime(ctx context.Context) (int64, error) {
	key, err := r.key(ctx, retentionTuple())
	if err != nil {
		return forever, err
	}
	var nid int64
	if now := r.committed.Load(); key != 0 && now != nil {
		nid = now.state.get(key)
	} else if key != 0 { // Why not the whole state: many rooms are looked at that nobody has in memory
		if nid, err = r.s.valueAt(ctx, r.nid, Version{0, math.MaxInt64}, key); err != nil {
			return forever, err
		}
	}
	if nid == 0 {
		return r.s.opts.Lifetimes.of(nil), nil
	}
	e, err := r.s.event(ctx, nid)
	if err != nil {
		return forever, err
	}
	if read := r.policy.Load(); read != nil && read.event == e {
		return read.life, nil
	}
	life := r.s.opts.Lifetimes.of(e.Content)
	r.policy.Store(&policyRead{e, life})
	return life, nil
}

// Lifetime is for how many milliseconds messages of a room are kept; 0: for ever.
func (s *Service) Lifetime(ctx context.Context, r *Room) (int64, error) {
	if !s.opts.Lifetimes.Enabled {
		return 0, nil
	}
	life, err := r.lifetime(ctx)
	if life == forever {
		life = 0
	}
	return life, err
}

// Oldest is the time, in milliseconds, before which the messages of a room have had their day: nobody is shown them, though they may still
// be on the disk. Where they are kept it is a time before all others.
func (s *Service) Oldest(ctx context.Context, r *Room) (int64, error) {
	if !s.opts.Lifetimes.Enabled {
		return math.MinInt64, nil
	}
	life, err := r.lifetime(ctx)
	return s.nowMS() - life, err
}

// Past reports whether an event is a message from before a time, as [Service.Oldest] tells it.
func (e *Stored) Past(oldest int64) bool { return e.Row.TS < oldest && e.StateKey == nil }

// expired is the time before which messages go, when a room's policy is the event of this number; 0: it has none.
func (s *Service) expired(ctx context.Context, nid int64) (int64, error) {
	var content []byte
	if nid != 0 {
		found, err := s.eventsBy(ctx, []int64{nid}, false)
		if err != nil {
			return 0, err
		}
		if len(found) > 0 {
			content = found[0].Content
		}
	}
	return s.nowMS() - s.opts.Lifetimes.of(content), nil
}

// ExpireMessages deletes from all rooms the messages that have had their day, as [Service.Purge] does, and returns how many. It works in pieces and may be
// repeated. Why each message is looked at and not only the oldest: others come late, with a time that is long past.
func (s *Service) ExpireMessages(ctx context.Context) (int, error) {
	if !s.opts.Lifetimes.Enabled {
		return 0, nil
	}
	total := 0
	for last := int64(0); ; {
		list, err := s.db.ListRoomsHolding(ctx, retentionTuple(), last, expirePage)
		if err != nil || len(list) == 0 {
			return total, err
		}
		for _, in := range list {
			last = in.Room
			before, err := s.expired(ctx, in.Event)
			if err != nil {
				return total, err
			}
			if before < 0 {
				continue
			}
			n, err := s.expireRoom(ctx, in.Room, before)
			if total += n; err != nil && !isNotFound(err) {
				return total, err
			}
		}
	}
}

// expirePage is how many rooms are looked at together.
const expirePage = 500

// expireRoom deletes a room's messages from before a time, but for its heads: the next event refers to them.
func (s *Service) expireRoom(ctx context.Context, nid, before int64) (int, error) {
	upto := s.db.Position()
	info, err := s.db.GetRoom(ctx, nid) // Why after the position: an event up to it that is no head by now never will be one
	if err != nil {
		return 0, err
	}
	forget := func(nids []int64) {
		for _, n := range nids {
			s.events.remove(n)
		}
	}
	n, err := s.db.ExpireMessages(ctx, storage.Expiry{Room: nid, Upto: upto, Before: before, Keep: info.Heads}, forget)
	if err != nil || n == 0 {
		return n, err
	}
	from, err := s.db.FindFirstSince(ctx, nid, before)
	if err != nil {
		return n, err
	}
	if from == 0 {
		from = upto + 1
	}
	c := &storage.Change{}
	c.Live(storage.Live{Kind: storage.KindRoom, Room: nid}) // other nodes forget these events too
	if err := s.foldLater(ctx, c, Folding{Room: nid, Before: from}, 0); err != nil {
		return n, err
	}
	return n, s.db.Commit(ctx, c)
}
