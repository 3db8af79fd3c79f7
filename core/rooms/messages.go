package rooms

import (
	"context"

	"rempart/internal/matrix"
)

// Limits of one page.
const (
	defaultPage = 10
	maxPage     = 1000
)

// MessagesRequest asks for a page of a room's timeline. Spec: client-server-api/#get_matrixclientv3roomsroomidmessages
type MessagesRequest struct {
	From, To *matrix.PageToken
	Backward bool
	Limit    int
	Filter   *EventFilter
}

// Page is a stretch of a timeline, in the direction that was asked for.
type Page struct {
	Start matrix.PageToken
	// End is where the next page starts; nil when there is none.
	End *matrix.PageToken
	// Reached is how far the page goes, whether there is more or not.
	Reached matrix.PageToken
	Events  []*Stored
	// State is what the page needs beside it: the senders' memberships, when members are loaded lazily.
	State []*Stored
}

// Messages reads a page of what the user may see of a room.
//
//nolint:gocyclo // one page, in the order in which it is put together
func (s *Service) Messages(ctx context.Context, room *Room, user matrix.UserID, q MessagesRequest) (*Page, error) {
	v, err := s.viewerFor(ctx, room, user)
	if err != nil {
		return nil, err
	}
	if err := s.mayRead(ctx, v); err != nil {
		return nil, err
	}
	limit := clampPage(q.Limit)
	if q.Filter != nil && q.Filter.Limit > 0 && q.Limit == 0 {
		limit = clampPage(q.Filter.Limit)
	}
	cur := &cursor{s: s, room: room, backward: q.Backward, to: q.To, head: s.db.Position()}
	cur.at = cur.start(q.From)
	page := &Page{Start: cur.at}
	for looked := 0; len(page.Events) < limit; {
		if cur.done && !(q.Backward && cur.ended && s.backfill(ctx, room)) {
			break
		}
		cur.done = false
		// Why: a filter that matches nothing must not read a whole room in one request; an empty page with an
		// end is what the specification allows.
		if looked >= maxPage {
			break
		}
		place := cur.place()
		batch, err := cur.next(ctx, limit-len(page.Events))
		if err != nil {
			return nil, err
		}
		if batch, err = cur.fill(ctx, batch, place); err != nil {
			return nil, err
		}
		looked += len(batch)
		if batch, err = v.filter(ctx, batch); err != nil {
			return nil, err
		}
		for _, e := range batch {
			if q.Filter.Match(e.Event) {
				page.Events = append(page.Events, e)
			}
		}
	}
	page.Reached = cur.at
	if !cur.done || len(page.Events) > 0 { // a page with nothing on it is the end
		page.End = &page.Reached
	}
	if q.Filter != nil && q.Filter.LazyLoadMembers {
		page.State, err = s.sendersOf(ctx, room, page.Events)
	}
	return page, err
}

func clampPage(n int) int {
	if n <= 0 {
		return defaultPage
	}
	return min(n, maxPage)
}

// MayRead refuses those who may read nothing of a room at all. What they see of it is decided event by event.
func (s *Service) MayRead(ctx context.Context, room *Room, user matrix.UserID) error {
	v, err := s.viewerFor(ctx, room, user)
	if err != nil {
		return err
	}
	return s.mayRead(ctx, v)
}

// mayRead refuses those who never had anything to do with the room, without saying whether it exists.
func (s *Service) mayRead(ctx context.Context, v *viewer) error {
	if v.joined || v.member.Membership != 0 && !v.member.Forgotten {
		return nil
	}
	view, err := s.Current(ctx, v.room)
	if err != nil {
		return err
	}
	if open, err := s.canPeek(ctx, view, v.user); err != nil || open {
		return err
	}
	return notInRoom()
}

func notInRoom() error {
	return matrix.Forbidden("You are not in this room, or it does not exist.")
}

// cursor walks a room's timeline: live events by stream position, then what is older than our stream by room order.
type cursor struct {
	s        *Service
	room     *Room
	backward bool
	to       *matrix.PageToken
	at       matrix.PageToken
	head     int64
	done     bool
	ended    bool // there is nothing more in this direction
	fills    int  // gaps that were filled
	// border is the end of history that a walk forwards has just crossed into the stream.
	border *matrix.PageToken
}

// place is where the walk stands: still in history where it read nothing since the border.
func (c *cursor) place() matrix.PageToken {
	if at := c.border; at != nil {
		c.border = nil
		return *at
	}
	return c.at
}

func (c *cursor) start(from *matrix.PageToken) matrix.PageToken {
	switch {
	case from != nil && from.Live:
		return matrix.LivePage(min(from.Pos, c.head))
	case from != nil:
		return *from
	case c.backward:
		return matrix.LivePage(c.head)
	}
	return matrix.HistoryPage(0, 0)
}

// next reads up to n further events and moves on; done is set when there are no more.
func (c *cursor) next(ctx context.Context, n int) ([]*Stored, error) {
	nids, err := c.list(ctx, n)
	if err != nil {
		return nil, err
	}
	events, err := c.s.Events(ctx, nids)
	if err != nil {
		return nil, err
	}
	for i, e := range events {
		if c.beyond(e) {
			c.done = true
			c.at = *c.to
			return events[:i], nil
		}
		c.step(e)
	}
	if len(events) < n {
		c.turn()
	}
	return events, nil
}

func (c *cursor) list(ctx context.Context, n int) ([]int64, error) {
	db, room := c.s.db, c.room.NID()
	switch {
	case c.backward && c.at.Live:
		return db.ListLiveBefore(ctx, room, c.at.Pos, n)
	case c.backward:
		return db.ListHistoryBefore(ctx, room, c.at.Depth, c.at.NID, n)
	case c.at.Live:
		return db.ListLiveAfter(ctx, room, c.at.Pos, c.head, n)
	}
	return db.ListHistoryAfter(ctx, room, c.at.Depth, c.at.NID, n)
}

// step moves the cursor behind an event, as seen in its direction.
func (c *cursor) step(e *Stored) {
	less := int64(0)
	if c.backward {
		less = 1
	}
	if e.Row.Pos > 0 {
		c.at = matrix.LivePage(e.Row.Pos - less)
		return
	}
	c.at = matrix.HistoryPage(e.Row.Depth, e.Row.NID-less)
}

// turn crosses the border between stream and history, or ends the walk.
func (c *cursor) turn() {
	switch {
	case c.backward && c.at.Live:
		c.at = matrix.HistoryEnd()
		if c.to != nil && c.to.Live {
			c.done = true
		}
	case !c.backward && !c.at.Live:
		at := c.at
		c.border, c.at = &at, matrix.LivePage(0)
		if c.to != nil && !c.to.Live {
			c.done = true
		}
	default:
		c.done, c.ended = true, true
	}
}

// beyond reports whether an event lies behind the place where the walk must stop.
func (c *cursor) beyond(e *Stored) bool {
	if c.to == nil {
		return false
	}
	before := orderedBefore(e, *c.to)
	return before == c.backward
}

// orderedBefore reports whether the event stands before a place.
func orderedBefore(e *Stored, t matrix.PageToken) bool {
	if e.Row.Pos > 0 {
		return t.Live && e.Row.Pos <= t.Pos
	}
	if t.Live {
		return true
	}
	return e.Row.Depth < t.Depth || e.Row.Depth == t.Depth && e.Row.NID <= t.NID
}

// sendersOf are the memberships of the events' senders, as of the last event each has in the page.
func (s *Service) sendersOf(ctx context.Context, room *Room, events []*Stored) ([]*Stored, error) {
	seen := map[matrix.UserID]bool{}
	var out []*Stored
	for _, e := range events {
		if seen[e.Sender] {
			continue
		}
		seen[e.Sender] = true
		m, err := s.KeyAt(ctx, room, e.Before(), matrix.StateTuple{Type: "m.room.member", Key: string(e.Sender)})
		if err != nil {
			return nil, err
		}
		if m == nil && e.Type == "m.room.member" && e.StateKeyEquals(string(e.Sender)) {
			m = e // his own join
		}
		if m != nil {
			out = append(out, m)
		}
	}
	return out, nil
}
