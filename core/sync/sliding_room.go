package sync

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

func sortSent(list []sentRoom) []sentRoom {
	slices.SortFunc(list, func(a, b sentRoom) int { return cmp.Compare(a.room, b.room) })
	return list
}

// isIn reports whether the user is in the room.
func (p *pick) isIn() bool { return p.membership == storage.MemberJoin }

// isOutside reports whether the user is asked into the room, or knocks.
func (p *pick) isOutside() bool {
	return p.membership == storage.MemberInvite || p.membership == storage.MemberKnock
}

// bumps reports whether an event of a type counts as activity for bump_stamp. MSC4186
func bumps(typ string) bool {
	switch typ {
	case "m.room.create", "m.room.message", "m.room.encrypted", "m.sticker", "m.call.invite", "m.poll.start", "m.beacon_info",
		"org.matrix.msc3381.poll.start", "org.matrix.msc3672.beacon_info":
		return true
	}
	return false
}

// bumpLooked is how many events are looked at for the last one that bumps; behind them the oldest of these counts.
const bumpLooked = 100

// bumpOf is the position of the room's last event that bumps; 0 when an answer's timeline shows that it has not changed.
func (b *slidingBuild) bumpOf(v *roomView, t *timeline, initial bool) (int64, error) {
	for _, e := range t.lines {
		if bumps(e.stored.Type) {
			return e.pos, nil
		}
	}
	if !initial && !t.limited {
		return 0, nil
	}
	if v.bump != 0 {
		return v.bump, nil
	}
	entries, err := b.s.db.ListTimeline(b.ctx, v.room, 0, t.upto, bumpLooked)
	if err != nil {
		return 0, err
	}
	stamp := int64(0)
	for len(entries) > 0 {
		n := min(len(entries), 10) // Why: it is nearly always one of the last
		page, err := b.read(entries[:n])
		if err != nil {
			return 0, err
		}
		for _, e := range page {
			if stamp = e.pos; bumps(e.stored.Type) {
				b.keepBump(v, stamp)
				return stamp, nil
			}
		}
		entries = entries[n:]
	}
	return stamp, nil
}

// keepBump remembers a room's stamp, unless something came since.
func (b *slidingBuild) keepBump(v *roomView, stamp int64) {
	b.s.hub.mu.Lock()
	defer b.s.hub.mu.Unlock()
	if r := b.s.hub.rooms[v.room]; r != nil && r.last == v.last && r.last <= b.head && v.last > 0 {
		r.bump = stamp
	}
}

// slidingRoom is a room that the user is in, while it is written.
type slidingRoom struct {
	*pick
	v       *roomView
	initial bool
	// since is the position up to which the room was sent; 0 when it was not.
	since    int64
	expanded bool
	t        *timeline
	state    slidingState
	fresh    uint8 // extensions that now hold for the room and did not before
}

// writeJoined writes what is new in a room that the user is in, and says how long a timeline the client then has; -1: the
// user is not in the room as of this answer.
func (b *slidingBuild) writeJoined(p *pick, room *rooms.Room) (int, error) {
	x := &slidingRoom{pick: p, since: p.mark.pos(), initial: p.mark == 0}
	b.from.Pos = x.since
	x.v = b.viewOf(p, room, x.since)
	initial := b.initial
	b.initial = x.initial
	in, err := b.enter(x.v)
	b.initial = initial
	if err != nil || !in {
		return -1, err
	}
	old := b.old(p)
	x.initial = x.initial || x.v.newly
	x.fresh = p.config.ext
	if x.initial {
		x.since = 0
	} else {
		x.fresh &^= old.ext
	}
	x.expanded = !x.initial && p.limit > p.mark.limit()
	if err := b.timelineFor(x); err != nil {
		return -1, err
	}
	b.noteTimeline(x)
	if x.state, err = b.stateFor(x, old); err != nil {
		return -1, err
	}
	start, found := len(b.out), b.found
	if err := b.writeSlidingRoom(x); err != nil {
		return -1, err
	}
	b.found = found || len(b.out) > start
	if err := b.roomExtensions(x); err != nil {
		return -1, err
	}
	limit := p.limit
	if !x.initial && !x.t.limited {
		limit = max(limit, p.mark.limit())
	}
	return limit, nil
}

// old is the config that a room was sent by; an empty one when it was not.
func (b *slidingBuild) old(p *pick) *roomConfig {
	if p.mark == 0 || p.mark.config() >= len(b.conn.configs) {
		return &roomConfig{}
	}
	return b.conn.configs[p.mark.config()]
}

// timelineFor gathers the timeline: what is new, or the newest events when the room is new or more of them are wanted.
func (b *slidingBuild) timelineFor(x *slidingRoom) (err error) {
	b.f.Room = RoomFilter{NoTimeline: x.limit == 0}
	if x.limit > 0 {
		b.f.Room.Timeline = &rooms.EventFilter{Limit: x.limit}
	}
	after := x.since
	if x.expanded {
		after = 0
	}
	x.t, err = b.timelineOf(x.v, after, b.head)
	return err
}

// writeSlidingRoom writes the room's part of the answer, unless it says nothing.
func (b *slidingBuild) writeSlidingRoom(x *slidingRoom) error {
	start := len(b.out)
	b.out = append(matrix.AppendJSONString(b.out, x.v.r.ID()), `:{`...)
	told, err := b.writeNames(x)
	if err != nil {
		return err
	}
	told = told || x.initial || len(x.t.lines) > 0 || x.t.limited || x.dm != x.mark.dm()
	told = b.writeRequired(x) || told
	unread, err := b.writeSlidingUnread(x)
	if err != nil {
		return err
	}
	if !told && !unread {
		b.out = b.out[:start]
		return nil
	}
	if err := b.writeSlidingTimeline(x); err != nil {
		return err
	}
	if x.initial {
		b.out = append(b.out, `"initial":true,`...)
	}
	if x.dm != x.mark.dm() || x.initial && x.dm {
		b.out = append(strconv.AppendBool(append(b.out, `"is_dm":`...), x.dm), ',')
	}
	b.writeStanding(x.pick, "join")
	stamp, err := b.bumpOf(x.v, x.t, x.initial)
	if err != nil {
		return err
	}
	if stamp > 0 {
		b.out = append(strconv.AppendInt(append(b.out, `"bump_stamp":`...), stamp, 10), ',')
	}
	b.closeObject()
	return nil
}

// writeStanding writes what the stable dialect says of every room.
func (b *slidingBuild) writeStanding(p *pick, membership string) {
	if !b.r.q.Stable {
		return
	}
	b.out = append(matrix.AppendJSONString(append(b.out, `"membership":`...), membership), ',')
	if len(p.lists) == 0 {
		return
	}
	b.out = append(b.out, `"lists":[`...)
	for _, name := range p.lists {
		b.out = append(matrix.AppendJSONString(b.out, name), ',')
	}
	b.endList()
	b.out = append(b.out, ',')
}

// writeSlidingTimeline writes the events and what goes with them.
func (b *slidingBuild) writeSlidingTimeline(x *slidingRoom) error {
	t, live := x.t, 0
	b.show(x.v, t)
	own, err := b.ownNames(t)
	if err != nil {
		return err
	}
	if len(t.lines) > 0 {
		b.out = append(b.out, `"timeline":[`...)
		for i := len(t.lines) - 1; i >= 0; i-- {
			if err := b.writeLine(x.v, t.lines[i], own); err != nil {
				return err
			}
			if b.r.from != nil && t.lines[i].pos > b.r.from.Pos {
				live++
			}
		}
		b.endList()
		b.out = append(strconv.AppendInt(append(b.out, `,"num_live":`...), int64(live), 10), ',')
		b.out = append(append(append(b.out, `"prev_batch":"`...), matrix.LivePage(t.start()).String()...), `",`...)
	}
	limited := t.limited
	switch {
	case x.expanded && b.r.q.Stable:
		b.out = append(b.out, `"expanded_timeline":true,`...)
	case x.expanded:
		// Why limited: matrix-js-sdk looks for events that it has already only in rooms that are so marked.
		b.out, limited = append(b.out, `"unstable_expanded_timeline":true,`...), true
	}
	if limited {
		b.out = append(b.out, `"limited":true,`...)
	}
	return nil
}

// writeNames writes name, avatar, heroes and numbers of members, as far as they are new, and reports whether any is.
func (b *slidingBuild) writeNames(x *slidingRoom) (told bool, err error) {
	start := len(b.out)
	named := b.writeNamed(x, "m.room.name", "name", `"name":`)
	b.writeNamed(x, "m.room.avatar", "url", `"avatar":`)
	if x.initial || x.state.members || named || x.state.changed["m.room.canonical_alias"] {
		sum, err := b.summaryOf(x.v)
		if err != nil {
			return false, err
		}
		b.out = append(strconv.AppendInt(append(b.out, `"joined_count":`...), sum.joined, 10), ',')
		b.out = append(strconv.AppendInt(append(b.out, `"invited_count":`...), sum.invited, 10), ',')
		if sum.members != nil {
			if err := b.writeHeroes(x, sum); err != nil {
				return false, err
			}
		}
	}
	return len(b.out) > start, nil
}

// writeNamed writes a field of a piece of state when it is new: null when it was taken away.
func (b *slidingBuild) writeNamed(x *slidingRoom, typ, field, name string) bool {
	if !x.initial && !x.state.changed[typ] {
		return false
	}
	value := ""
	if e := x.state.named[typ]; e != nil {
		var c map[string]json.RawMessage
		_ = matrix.Decode(e.Content, &c)    // an event's content is an object
		_ = matrix.Decode(c[field], &value) // a name of another type is no name
	}
	switch {
	case value != "":
		b.out = append(matrix.AppendJSONString(append(b.out, name...), value), ',')
	case x.initial:
		return false
	default:
		b.out = append(append(b.out, name...), `null,`...)
	}
	return true
}

func (b *slidingBuild) writeHeroes(x *slidingRoom, sum *summary) error {
	view, err := b.s.rooms.Current(b.ctx, x.v.r)
	if err != nil {
		return err
	}
	b.out = append(b.out, `"heroes":[`...)
	for _, user := range sum.heroesFor(b.c.User) {
		b.out = matrix.AppendJSONString(append(b.out, `{"user_id":`...), user)
		e, err := view.Get(b.ctx, memberTuple(user))
		if err != nil {
			return err
		}
		if e != nil {
			var c struct {
				Name   any `json:"displayname"`
				Avatar any `json:"avatar_url"`
			}
			_ = matrix.Decode(e.Content, &c) // an event's content is an object
			if name, ok := c.Name.(string); ok {
				b.out = matrix.AppendJSONString(append(b.out, `,"displayname":`...), name)
			}
			if url, ok := c.Avatar.(string); ok {
				b.out = matrix.AppendJSONString(append(b.out, `,"avatar_url":`...), url)
			}
		}
		b.out = append(b.out, `},`...)
	}
	b.endList()
	b.out = append(b.out, ',')
	return nil
}

// writeSlidingUnread writes the unread counts, which the stable dialect has no more, and reports whether the user himself
// read on.
func (b *slidingBuild) writeSlidingUnread(x *slidingRoom) (bool, error) {
	if b.r.q.Stable {
		return false, nil
	}
	read := false
	if !x.initial && x.v.receipts > x.since && len(x.t.lines) == 0 {
		own, err := b.s.db.ListReceiptsOf(b.ctx, x.room, b.u.nid)
		if err != nil {
			return false, err
		}
		read = slices.ContainsFunc(own, func(r storage.ReceiptRow) bool { return r.Pos > x.since && r.Pos <= b.head })
	}
	n, err := b.countsOf(x.v)
	if err != nil {
		return false, err
	}
	all := n.all()
	b.out = append(strconv.AppendInt(append(b.out, `"notification_count":`...), max(all.notify, 0), 10), ',')
	b.out = append(strconv.AppendInt(append(b.out, `"highlight_count":`...), max(all.highlight, 0), 10), ',')
	return read, nil
}

// writeOutside writes a room that the user is asked into or knocks at.
func (b *slidingBuild) writeOutside(p *pick, room *rooms.Room) error {
	if p.mark.pos() >= p.pos && p.dm == p.mark.dm() {
		return nil
	}
	m, err := b.s.db.FindMembership(b.ctx, b.u.nid, p.room)
	if err != nil {
		return err
	}
	_, own, err := b.ownEvent(&m)
	if err != nil || own == nil || m.Membership == storage.MemberInvite && b.ignored[own.Sender] {
		return err
	}
	if m.Membership == storage.MemberInvite {
		hidden, err := b.s.rooms.HidesInvite(b.ctx, b.c.User, own.Sender)
		if err != nil || hidden {
			return err
		}
	}
	b.out = append(matrix.AppendJSONString(b.out, room.ID()), `:{"initial":true,`...)
	if p.dm {
		b.out = append(b.out, `"is_dm":true,`...)
	}
	b.writeStanding(p, own.Membership())
	b.out = append(strconv.AppendInt(append(b.out, `"bump_stamp":`...), p.pos, 10), ',')
	if err := b.writeStrippedList(&m, own); err != nil {
		return err
	}
	b.closeObject()
	return nil
}

func (b *slidingBuild) writeStrippedList(m *storage.MembershipRow, own *rooms.Stored) error {
	name := `"invite_state":[`
	if b.r.q.Stable {
		name = `"stripped_state":[`
	}
	b.out = append(b.out, name...)
	if own != nil { // nothing is shown of what a resolution took back
		if err := b.writeStripped(m, own); err != nil {
			return err
		}
	}
	b.endList()
	b.out = append(b.out, ',')
	return nil
}

// writeLeft writes a room up to where the user left it, or was put out of it.
func (b *slidingBuild) writeLeft(p *pick, room *rooms.Room) error {
	if p.mark.pos() >= p.pos {
		return nil
	}
	m, err := b.s.db.FindMembership(b.ctx, b.u.nid, p.room)
	if err != nil {
		return err
	}
	_, own, err := b.ownEvent(&m)
	if err != nil {
		return err
	}
	x := &slidingRoom{pick: p, since: p.mark.pos(), initial: p.mark == 0}
	x.v = &roomView{joinedRoom: joinedRoom{p.room, p.pos}, r: room, left: true, tailFrom: math.MaxInt64, members: p.pos, state: p.pos}
	b.from.Pos = x.since
	was, since, err := b.wasIn(x.v)
	if err != nil {
		return err
	}
	in := was == "join" || since
	if own == nil && !in && !b.r.q.Stable {
		return nil // Why: a room without invite_state would be one that he is in
	}
	x.t = &timeline{after: x.since, upto: p.pos}
	switch {
	case in:
		b.f.Room = RoomFilter{Timeline: &rooms.EventFilter{Limit: max(p.limit, 1)}}
		if x.t, err = b.timelineOf(x.v, x.since, p.pos); err != nil {
			return err
		}
	case own != nil:
		x.t.lines = []*tailEvent{{pos: p.pos, stored: own}}
	}
	if x.state, err = b.stateWhenLeft(x, own); err != nil {
		return err
	}
	b.out = append(matrix.AppendJSONString(b.out, room.ID()), `:{`...)
	if x.initial {
		b.out = append(b.out, `"initial":true,`...)
	}
	b.writeStanding(p, standingBy(own))
	b.out = append(strconv.AppendInt(append(b.out, `"bump_stamp":`...), p.pos, 10), ',')
	b.writeRequired(x)
	if err := b.writeSlidingTimeline(x); err != nil {
		return err
	}
	if !in && b.r.q.Stable {
		if err := b.writeStrippedList(&m, own); err != nil {
			return err
		}
	}
	b.closeObject()
	return nil
}

// standingBy is how somebody who is out of a room stands to it, by his own event.
//
// Why "leave" without one, where MSC4186 leaves the field out: what is left out has not changed, and a resolution of state took his membership away.
func standingBy(own *rooms.Stored) string {
	if own == nil {
		return "leave"
	}
	return own.Membership()
}
