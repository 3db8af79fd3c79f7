package rooms

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"rempart/internal/matrix"
	"rempart/storage"
)

// HierarchyRequest asks for a page of a space's tree. Spec: client-server-api/#get_matrixclientv1roomsroomidhierarchy
type HierarchyRequest struct {
	SuggestedOnly bool
	Limit         int
	MaxDepth      int // negative: as deep as the tree goes
	From          string
}

// HierarchyRoom is a room of the tree.
type HierarchyRoom struct {
	Summary
	ChildrenState []json.RawMessage `json:"children_state"`
}

// Bounds of a tree and of a page of it.
const (
	maxHierarchyDepth = 32
	maxHierarchyRooms = 2000
	maxHierarchyPage  = 50
)

// Hierarchy walks down from a space, depth first, over the rooms that the user may know of. next is where the next page
// starts, "" when there is none.
func (s *Service) Hierarchy(ctx context.Context, root *Room, user matrix.UserID, q HierarchyRequest) (list []HierarchyRoom, next string, err error) {
	if q.Limit <= 0 || q.Limit > maxHierarchyPage {
		q.Limit = maxHierarchyPage
	}
	if q.MaxDepth < 0 || q.MaxDepth > maxHierarchyDepth {
		q.MaxDepth = maxHierarchyDepth
	}
	skip, err := q.skip()
	if err != nil {
		return nil, "", err
	}
	w := &spaceWalk{s: s, user: user, q: q, seen: map[matrix.RoomID]bool{root.ID(): true}, stack: []spaceStep{{id: root.ID()}}}
	list = []HierarchyRoom{}
	for n := 0; n < maxHierarchyRooms; n++ {
		r, err := w.next(ctx)
		if err != nil {
			return nil, "", err
		}
		if r == nil {
			if n == 0 {
				return nil, "", notInRoom()
			}
			return list, "", nil
		}
		if len(list) == q.Limit {
			return list, fmt.Sprintf("n%d_%d_%t", n, q.MaxDepth, q.SuggestedOnly), nil
		}
		if n >= skip {
			list = append(list, *r)
		}
	}
	return list, "", nil
}

// skip reads the token: how many rooms were sent already. The other parameters must be those of the first page.
func (q *HierarchyRequest) skip() (int, error) {
	if q.From == "" {
		return 0, nil
	}
	var n, depth int
	var suggested string
	if _, err := fmt.Sscanf(q.From, "n%d_%d_%s", &n, &depth, &suggested); err != nil || n < 0 {
		return 0, matrix.InvalidParam("from was not given out by this server.")
	}
	if depth != q.MaxDepth || suggested != strconv.FormatBool(q.SuggestedOnly) {
		return 0, matrix.InvalidParam("suggested_only and max_depth must stay the same from page to page.")
	}
	return n, nil
}

// spaceWalk is one walk through a tree.
type spaceWalk struct {
	s     *Service
	user  matrix.UserID
	q     HierarchyRequest
	seen  map[matrix.RoomID]bool
	stack []spaceStep
	// root says that the first room has been met.
	root bool
	// told are rooms that other servers described on the way, nil where they may not be seen; asked is how often they were asked.
	told  map[matrix.RoomID]*HierarchyRoom
	asked int
}

type spaceStep struct {
	id    matrix.RoomID
	depth int
	// via are servers that may know the room.
	via []matrix.ServerName
}

// next is the next room that the user may know of; nil at the end, and when the root is none.
func (w *spaceWalk) next(ctx context.Context) (*HierarchyRoom, error) {
	for len(w.stack) > 0 {
		step := w.stack[len(w.stack)-1]
		w.stack = w.stack[:len(w.stack)-1]
		r, children, err := w.look(ctx, step)
		if err != nil {
			return nil, err
		}
		if r == nil {
			if !w.root {
				return nil, nil
			}
			continue
		}
		w.root = true
		for i := len(children) - 1; i >= 0 && step.depth < w.q.MaxDepth; i-- {
			if c := children[i]; !w.seen[c.id] {
				w.seen[c.id] = true
				w.stack = append(w.stack, spaceStep{c.id, step.depth + 1, c.via})
			}
		}
		return r, nil
	}
	return nil, nil
}

// look describes a room and lists its children; nil when the user may not know of it.
func (w *spaceWalk) look(ctx context.Context, step spaceStep) (*HierarchyRoom, []spaceChild, error) {
	room, here, err := w.s.standsIn(ctx, step.id)
	if err != nil {
		return nil, nil, err
	}
	if !here {
		r, children, err := w.lookElsewhere(ctx, room, step)
		if r != nil || err != nil || room == nil || len(w.s.headsOf(ctx, room)) == 0 {
			return r, children, err
		}
	}
	sum, err := w.s.Summarise(ctx, room, w.user)
	if isNotFound(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	m, err := w.s.standingOf(ctx, room, w.user)
	if err != nil || m.Membership == storage.MemberBan {
		return nil, nil, err
	}
	sum.Membership = ""
	r := &HierarchyRoom{Summary: *sum, ChildrenState: []json.RawMessage{}}
	if r.RoomType != "m.space" {
		return r, nil, nil
	}
	children, err := w.children(ctx, room)
	r.ChildrenState = append(r.ChildrenState, strippedChildren(children)...)
	out := make([]spaceChild, len(children))
	for i, e := range children {
		out[i], _ = childOf(*e.StateKey, e.OriginServerTS, e.Content)
	}
	return r, out, err
}

// strippedChildren are m.space.child events as a tree shows them: stripped, but with their time.
func strippedChildren(children []*Stored) []json.RawMessage {
	var out []json.RawMessage
	for _, e := range children {
		raw := e.StrippedJSON(nil)
		raw = strconv.AppendInt(append(raw[:len(raw)-1], `,"origin_server_ts":`...), e.OriginServerTS, 10)
		out = append(out, append(raw, '}'))
	}
	return out
}

// children are the valid m.space.child events of a space in the order in which clients show them.
// Spec: client-server-api/#ordering-of-children-within-a-space
func (w *spaceWalk) children(ctx context.Context, room *Room) ([]*Stored, error) {
	view, err := w.s.Current(ctx, room)
	if err != nil {
		return nil, err
	}
	state, err := view.All(ctx)
	if err != nil {
		return nil, err
	}
	kept := map[*Stored]spaceChild{}
	var out []*Stored
	for _, e := range state {
		if e.Type != "m.space.child" {
			continue
		}
		if c, ok := childOf(*e.StateKey, e.OriginServerTS, e.Content); ok && (c.suggested || !w.q.SuggestedOnly) {
			kept[e] = c
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *Stored) int { return kept[a].compare(kept[b]) })
	return out, nil
}

// spaceChild is a room as its space names it.
type spaceChild struct {
	id        matrix.RoomID
	via       []matrix.ServerName
	order     string
	ordered   bool
	suggested bool
	ts        int64
}

// childOf reads an m.space.child event; false for one that is none or no more. Spec: client-server-api/#mspacechild
func childOf(key string, ts int64, content json.RawMessage) (spaceChild, bool) {
	var c struct {
		Via       []matrix.ServerName `json:"via"`
		Order     any                 `json:"order"`
		Suggested any                 `json:"suggested"`
	}
	if matrix.Decode(content, &c) != nil || c.Via == nil {
		return spaceChild{}, false
	}
	out := spaceChild{id: matrix.RoomID(key), via: c.Via, suggested: c.Suggested == true, ts: ts}
	if order, ok := c.Order.(string); ok && validOrder(order) {
		out.order, out.ordered = order, true
	}
	return out, true
}

// compare is the order in which clients show children. Spec: client-server-api/#ordering-of-children-within-a-space
func (c spaceChild) compare(o spaceChild) int {
	switch {
	case c.ordered && o.ordered && c.order != o.order:
		return cmp.Compare(c.order, o.order)
	case c.ordered != o.ordered:
		return cmp.Compare(asNumber(o.ordered), asNumber(c.ordered)) // those with an order come first
	}
	return cmp.Or(cmp.Compare(c.ts, o.ts), cmp.Compare(c.id, o.id))
}

func validOrder(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= 50
}

func asNumber(b bool) int {
	if b {
		return 1
	}
	return 0
}
