package rooms

import (
	"context"

	"rempart/internal/matrix"
	"rempart/storage"
)

// linear places an event that names all heads: it becomes the only one, and the state before it is the current state.
func (b *builder) linear(ctx context.Context, e *Stored, auth authEvents) error {
	row := &e.Row
	row.Branch, row.Seq, row.Depth = 0, b.snap.seq, b.nextDepth()
	if e.IsState() {
		if err := b.chain(ctx, e, auth); err != nil {
			return err
		}
	}
	if err := b.enterTimeline(ctx, e); err != nil {
		return err
	}
	next := *b.snap
	b.snap = &next
	if e.IsState() {
		key := row.StateKey
		change := keyChange{key: key, tuple: e.Tuple(), old: next.state.get(key), new: row.NID}
		if err := b.changeCurrent(ctx, []keyChange{change}, e); err != nil {
			return err
		}
	}
	b.snap.depth = max(b.snap.depth, row.Depth)
	b.snap.heads = []head{headOf(e)}
	b.resolvedOf = []Version{e.After()}
	return b.judgeAnew(ctx)
}

// enterTimeline gives an event its place in the live stream, and lets the push rules see it in the state before it.
func (b *builder) enterTimeline(ctx context.Context, e *Stored) error {
	at := b.change.Live(storage.Live{Kind: storage.KindEvent, Room: b.r.nid, Value: e})
	e.Row.Live = at + 1
	b.add(e)
	b.rows = append(b.rows, &e.Row)
	b.post(e)
	b.announce(e)
	b.relate(e)
	b.stick(e)
	b.index(e)
	if err := b.redact(ctx, e); err != nil {
		return err
	}
	if b.s.opts.Push == nil {
		return nil
	}
	rows, err := b.s.opts.Push.Evaluate(ctx, b.r, b.view(), e.Event, &e.Row)
	b.change.Add(rows...)
	return err
}

// add writes the event and its text.
func (b *builder) add(e *Stored) {
	b.stored = append(b.stored, e)
	if e.Row.NID == b.replaces {
		b.change.Add(&e.Row) // its text is there
		return
	}
	row := &storage.EventJSONRow{NID: e.Row.NID, ID: e.ID, JSON: e.JSON}
	if e.full != nil {
		row.JSON, row.Redacted, row.RedactedBy = e.full.JSON, e.JSON, e.by
	}
	b.change.Add(&e.Row, row)
}

// keyChange is one key of current state that takes another value; event 0 is none.
type keyChange struct {
	key      int64
	tuple    matrix.StateTuple
	old, new int64
}

// changeCurrent moves the room's current state by one version. own is the event that is being placed: the changes it
// makes itself share its place in the stream, others get one of their own. b.snap must be ours to change.
func (b *builder) changeCurrent(ctx context.Context, changes []keyChange, own *Stored) error {
	if !b.r.upToDate() {
		return storage.ErrStale
	}
	b.snap.seq++
	b.exact = true
	shared := 0 // place of all changes that are neither own nor memberships
	pairs := make([]statePair, 0, len(changes))
	for _, c := range changes {
		b.r.absent.remove(c.tuple)
		pairs = append(pairs, statePair{c.key, c.new})
		at, err := b.changeMember(ctx, c, own)
		if err != nil {
			return err
		}
		if at == 0 && c.new == own.Row.NID {
			at = own.Row.Live
		}
		if at == 0 {
			if shared == 0 {
				shared = 1 + b.change.Live(storage.Live{Kind: storage.KindState, Room: b.r.nid})
			}
			at = shared
		}
		b.change.Add(&storage.StateRow{At: storage.At{Live: at}, Room: b.r.nid, StateKey: c.key, Seq: b.snap.seq, Event: c.new, Old: c.old})
	}
	servers := b.snap.servers
	b.countServers()
	if err := b.greet(ctx, servers, own); err != nil {
		return err
	}
	b.introduce()
	b.snap.state = b.snap.state.with(pairs...)
	b.checkpoint()
	return nil
}

// changeMember lets the memberships follow a change of current state. It returns 1 + the index of the live entry, or 0 when
// the key is no membership.
func (b *builder) changeMember(ctx context.Context, c keyChange, own *Stored) (live int, err error) {
	if c.tuple.Type != "m.room.member" {
		return 0, nil
	}
	user, err := b.need.user(ctx, b.s, matrix.UserID(c.tuple.Key))
	if err != nil {
		return 0, err
	}
	was, err := b.membershipIn(ctx, c.old)
	if err != nil {
		return 0, err
	}
	is, err := b.membershipIn(ctx, c.new)
	if err != nil {
		return 0, err
	}
	b.count(was, -1)
	b.count(is, 1)
	if was != is {
		if err := b.memberMoved(ctx, user); err != nil {
			return 0, err
		}
	}
	if err := b.noteName(ctx, user, c, is); err != nil {
		return 0, err
	}
	b.countServer(matrix.UserID(c.tuple.Key), was, is)
	b.countFollower(matrix.UserID(c.tuple.Key), was, is)
	if is == storage.MemberJoin && was != is && b.s.isOurs(matrix.UserID(c.tuple.Key).Server()) {
		b.arrived = append(b.arrived, user)
	}
	if c.new == own.Row.NID {
		live = own.Row.Live
		b.change.Lives[live-1].User = user
	} else {
		live = 1 + b.change.Live(storage.Live{Kind: storage.KindMembership, Room: b.r.nid, User: user})
	}
	b.change.Add(&storage.MembershipRow{At: storage.At{Live: live}, User: user, Room: b.r.nid, Membership: is, Event: c.new})
	return live, nil
}

func (b *builder) count(m storage.Membership, by int64) {
	switch m {
	case storage.MemberJoin:
		b.snap.joined += by
	case storage.MemberInvite:
		b.snap.invited += by
	}
}

// membershipIn is the membership that an event sets.
func (b *builder) membershipIn(ctx context.Context, nid int64) (storage.Membership, error) {
	if nid == 0 {
		return storage.MemberNone, nil
	}
	e, err := b.event(ctx, nid)
	if err != nil {
		return storage.MemberNone, err
	}
	return membershipNumber(e.Membership()), nil
}

// membershipNumber is a membership as it is stored.
func membershipNumber(m string) storage.Membership {
	switch m {
	case "join":
		return storage.MemberJoin
	case "invite":
		return storage.MemberInvite
	case "knock":
		return storage.MemberKnock
	case "leave":
		return storage.MemberLeave
	case "ban":
		return storage.MemberBan
	}
	return storage.MemberNone
}
