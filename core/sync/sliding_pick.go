package sync

import (
	"context"
	"errors"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// pick is a room that a request's rules match and that has perhaps something to tell.
type pick struct {
	slideRoom
	*combination
	mark sentMark // what was sent of it
}

// combination is what several rules of a request want of a room together.
type combination struct {
	lists  []string
	rules  []stateRule
	limit  int
	ext    uint8
	config *roomConfig
}

// add joins one more rule to a combination.
func (c *combination) add(ask *roomAsk, ext uint8, list string) *combination {
	n := &combination{limit: ask.limit, ext: ext}
	if c != nil {
		n.lists, n.rules, n.limit, n.ext = append(n.lists, c.lists...), append(n.rules, c.rules...), max(c.limit, ask.limit), c.ext|ext
	}
	n.rules = append(n.rules, ask.rule)
	if list != "" {
		n.lists = append(n.lists, list)
	}
	return n
}

// ready makes the joined config.
func (c *combination) ready() *combination {
	if c.config == nil {
		c.config = newConfig(c.rules, c.ext)
	}
	return c
}

// maxCombinations bounds how many ways the lists of one request may overlap.
const maxCombinations = 4096

// matcher matches a request's rules with the user's rooms. It is kept while the request waits.
type matcher struct {
	q *SlidingRequest
	// all are the combinations met so far; of is, by room, the number of its combination and 0 for none.
	all  []*combination
	next map[[2]int]int // combination and list: the combination of both
	subs map[int64]int  // by room: the number of its subscription in asked
	// asked are the subscriptions to rooms that are known here.
	asked []subscription
	// joint are combinations of a combination of lists and a subscription.
	joint  map[[2]int]*combination
	of     []uint16
	counts []int // by list
}

type subscription struct {
	ask roomAsk
	ext uint8
}

func newMatcher(q *SlidingRequest) *matcher {
	return &matcher{q: q, all: []*combination{nil}, next: map[[2]int]int{}, joint: map[[2]int]*combination{}, counts: make([]int, len(q.Lists))}
}

// windows matches the lists; l is locked.
func (m *matcher) windows(ctx context.Context, s *Service, u *hubUser, c *matrix.Caller, l *slide) error {
	if cap(m.of) < len(l.rooms) {
		m.of = make([]uint16, len(l.rooms))
	}
	m.of = m.of[:len(l.rooms)]
	clear(m.of)
	for i := range m.q.Lists {
		list := &m.q.Lists[i]
		if list.filter != nil {
			if err := l.ready(ctx, s, u, c, list.filter); err != nil {
				return err
			}
		}
		if err := m.window(l, i); err != nil {
			return err
		}
	}
	return m.subscribed(ctx, s, l)
}

// window marks the rooms in the ranges of one list.
func (m *matcher) window(l *slide, number int) error {
	list := &m.q.Lists[number]
	if list.filter == nil {
		m.counts[number] = len(l.order)
		if list.ranges == nil {
			return m.markAll(l.order, number)
		}
		for _, r := range list.ranges {
			if first := min(r[0], int64(len(l.order))); first < int64(len(l.order)) {
				if err := m.markAll(l.order[first:min(r[1]+1, int64(len(l.order)))], number); err != nil {
					return err
				}
			}
		}
		return nil
	}
	n := int64(0)
	for at, i := range l.order {
		if !l.pass(list.filter, &l.rooms[i]) {
			continue
		}
		if list.ranges == nil || within(list.ranges, n) {
			if err := m.markAll(l.order[at:at+1], number); err != nil {
				return err
			}
		}
		n++
	}
	m.counts[number] = int(n)
	return nil
}

func within(ranges [][2]int64, n int64) bool {
	for _, r := range ranges {
		if n >= r[0] && n <= r[1] {
			return true
		}
	}
	return false
}

// markAll adds a list to the combinations of rooms.
func (m *matcher) markAll(places []int32, number int) error {
	from, to := -1, 0
	for _, i := range places {
		if was := int(m.of[i]); was != from {
			if from, to = was, m.joined(was, number); to < 0 {
				return matrix.InvalidParam("The lists of this request overlap in too many ways.")
			}
		}
		m.of[i] = uint16(to) //nolint:gosec // Why: bounded by maxCombinations
	}
	return nil
}

// joined is the combination of one with a list; -1 when there are too many.
func (m *matcher) joined(was, number int) int {
	key := [2]int{was, number}
	if to, ok := m.next[key]; ok {
		return to
	}
	list := &m.q.Lists[number]
	if c := m.all[was]; c != nil && len(c.lists) > 0 && c.lists[len(c.lists)-1] == list.name {
		return was // in two ranges of the same list
	}
	if len(m.all) >= maxCombinations {
		return -1
	}
	ext := m.q.Extensions.bits(func(e *extensionScope) bool { return e.on(list.name) })
	m.all = append(m.all, m.all[was].add(&list.ask, ext, list.name))
	m.next[key] = len(m.all) - 1
	return len(m.all) - 1
}

// subscribed finds the numbers of the rooms that are asked for by name.
func (m *matcher) subscribed(ctx context.Context, s *Service, l *slide) error {
	if m.subs != nil && len(m.asked) == len(m.q.Subscriptions) || len(m.q.Subscriptions) == 0 {
		return nil
	}
	m.subs, m.asked = map[int64]int{}, nil
	clear(m.joint)
	for id, ask := range m.q.Subscriptions {
		nid, err := l.number(ctx, s, id)
		if err != nil {
			return err
		}
		if nid == 0 {
			continue // MSC4186: what does not exist is ignored
		}
		ext := m.q.Extensions.bits(func(e *extensionScope) bool { return e.onRoom(id) })
		m.asked = append(m.asked, subscription{ask, ext})
		m.subs[nid] = len(m.asked)
	}
	return nil
}

// combinationOf is what all rules want of the room at a place of the list; nil when none matches it.
func (m *matcher) combinationOf(l *slide, i int) *combination {
	of, sub := int(m.of[i]), 0
	if m.subs != nil {
		sub = m.subs[l.rooms[i].room]
	}
	if sub == 0 {
		if of == 0 {
			return nil
		}
		return m.all[of].ready()
	}
	key := [2]int{of, sub}
	c := m.joint[key]
	if c == nil {
		x := &m.asked[sub-1]
		c = m.all[of].add(&x.ask, x.ext, "").ready()
		m.joint[key] = c
	}
	return c
}

// picks goes through the list and what was sent side by side, and finds the rooms that may have something to tell.
// typed are rooms in which who types changed. conn and l are locked.
func (m *matcher) picks(conn *connection, l *slide, typed map[int64]bool) (out []pick, gone []sentRoom) {
	sent := conn.sent
	for i := range l.rooms {
		r := &l.rooms[i]
		for len(sent) > 0 && sent[0].room < r.room {
			gone = append(gone, sent[0]) // purged or forgotten
			sent = sent[1:]
		}
		var mark sentMark
		if len(sent) > 0 && sent[0].room == r.room {
			mark, sent = sent[0].mark, sent[1:]
		}
		if !r.shown {
			if mark != 0 || conn.gap >= 0 && r.pos > conn.gap {
				out = append(out, pick{slideRoom: *r, mark: mark, combination: m.parting()})
			}
			continue
		}
		c := m.combinationOf(l, i)
		if c == nil {
			continue
		}
		if mark == 0 || r.moved > mark.pos() || r.dm != mark.dm() || typed[r.room] || c.limit > mark.limit() ||
			conn.configs[mark.config()].sum != c.config.sum {
			out = append(out, pick{slideRoom: *r, mark: mark, combination: c})
		}
	}
	return out, append(gone, sent...)
}

// pick picks the rooms. Those that were sent and are on the list no longer have been purged, or the user has left and forgotten them:
// then he may have done so by another device, and is told here that he left. Where it is not known what was sent since some position, he is
// told of all that he forgot behind it.
func (b *slidingBuild) pick(l *slide) error {
	picks, gone := b.r.m.picks(b.conn, l, b.typed)
	for _, x := range gone {
		m, err := b.s.db.FindMembership(b.ctx, b.u.nid, x.room)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			b.gone = append(b.gone, sentRoom{room: x.room})
		case err != nil:
			return err
		default:
			picks = append(picks, b.partingFrom(&m, x.mark))
		}
	}
	if b.conn.gap >= 0 {
		forgotten, err := b.s.db.ListForgotten(b.ctx, b.u.nid, b.conn.gap)
		if err != nil {
			return err
		}
		for i := range forgotten {
			if !slices.ContainsFunc(gone, func(x sentRoom) bool { return x.room == forgotten[i].Room }) {
				picks = append(picks, b.partingFrom(&forgotten[i], 0))
			}
		}
	}
	b.picks = picks
	return nil
}

// partingFrom picks a room that is on the list no longer, since the user has left and forgotten it.
func (b *slidingBuild) partingFrom(m *storage.MembershipRow, mark sentMark) pick {
	return pick{mark: mark, combination: b.r.m.parting(),
		slideRoom: slideRoom{room: m.Room, active: m.Pos, moved: m.Pos, pos: m.Pos, event: m.Event, membership: m.Membership}}
}

// parting is what is told of a room that the user has left: the end of it.
func (m *matcher) parting() *combination {
	return (&combination{rules: []stateRule{{Include: []stateElement{{Type: memberType, AnyKey: true}}, Lazy: true}}, limit: 1}).ready()
}
