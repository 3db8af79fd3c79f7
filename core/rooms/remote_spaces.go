package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of asking others about spaces.
const (
	spaceTime    = 10 * time.Second // for one question
	spaceServers = 3                // that are asked about one room
	spaceAsked   = 40               // questions for one page of a tree
	spaceFresh   = 5 * time.Minute  // so long an answer holds
	spacePause   = 30 * time.Second // so long nobody is asked again who had no answer
	spaceBytes   = 8 << 20          // of all answers together
)

// spaceCache remembers what other servers told of spaces, since each page of a tree walks through it anew.
type spaceCache struct {
	mu    sync.Mutex
	known map[spaceKey]spaceAnswer
	bytes int
}

type spaceKey struct {
	room      matrix.RoomID
	from      matrix.ServerName
	suggested bool
}

type spaceAnswer struct {
	space *ServedSpace // nil: nobody told
	until time.Time
	size  int
}

func (c *spaceCache) find(k spaceKey, now time.Time) (*ServedSpace, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.known[k]
	return a.space, ok && now.Before(a.until)
}

func (c *spaceCache) put(k spaceKey, a spaceAnswer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[spaceKey]spaceAnswer{}
	}
	a.size += 256
	c.bytes += a.size - c.known[k].size
	c.known[k] = a
	for other, o := range c.known { // Go's map order is random
		if c.bytes <= spaceBytes {
			return
		}
		if other != k {
			delete(c.known, other)
			c.bytes -= o.size
		}
	}
}

// lookElsewhere describes a room that this installation is not in, as others tell; room is nil when nothing is known of it here.
// Spec: server-server-api/#get_matrixfederationv1hierarchyroomid
func (w *spaceWalk) lookElsewhere(ctx context.Context, room *Room, step spaceStep) (*HierarchyRoom, []spaceChild, error) {
	told, there := w.told[step.id]
	if there && told == nil {
		return nil, nil, nil // the server that named it says that nobody of ours may see it
	}
	if told == nil || told.RoomType == "m.space" {
		if space := w.ask(ctx, step); space != nil {
			told = &space.Room
			w.learn(space)
		}
	}
	if told == nil {
		return nil, nil, nil
	}
	known, err := w.s.knownElsewhere(ctx, room, w.user, told)
	if err != nil || !known {
		return nil, nil, err
	}
	r := *told
	r.Membership = ""
	var children []spaceChild
	r.ChildrenState, children = properChildren(told.ChildrenState, w.q.SuggestedOnly)
	return &r, children, nil
}

// learn keeps the descriptions of a space's children for when the walk comes to them.
func (w *spaceWalk) learn(space *ServedSpace) {
	if w.told == nil {
		w.told = map[matrix.RoomID]*HierarchyRoom{}
	}
	for i := range space.Children[:min(len(space.Children), maxServedChildren)] {
		c := &space.Children[i]
		if _, ok := w.told[c.RoomID]; !ok {
			w.told[c.RoomID] = c
		}
	}
	for _, id := range space.Inaccessible[:min(len(space.Inaccessible), maxServedChildren)] {
		if _, ok := w.told[id]; !ok {
			w.told[id] = nil
		}
	}
}

// ask asks the servers that may know a room; nil when none tells.
func (w *spaceWalk) ask(ctx context.Context, step spaceStep) *ServedSpace {
	s := w.s
	if s.opts.Peers == nil {
		return nil
	}
	k := spaceKey{step.id, s.asking(w.user.Server()), w.q.SuggestedOnly}
	if space, ok := s.spaces.find(k, s.opts.Clock()); ok {
		return space
	}
	dead := true
	for _, to := range s.others(spaceServers, step.via, []matrix.ServerName{step.id.Server()}) {
		if w.asked++; w.asked > spaceAsked || ctx.Err() != nil {
			return nil
		}
		space, size, err := s.askSpace(ctx, k, to)
		if err == nil {
			s.spaces.put(k, spaceAnswer{space, s.opts.Clock().Add(spaceFresh), size})
			return space
		}
		var refused *matrix.Error
		dead = dead && !errors.As(err, &refused)
		s.log.Info("another server did not describe a space", "room", step.id, "server", to, "error", err)
	}
	if dead && ctx.Err() == nil { // a refusal may end at any moment, when somebody joins
		s.spaces.put(k, spaceAnswer{until: s.opts.Clock().Add(spacePause)})
	}
	return nil
}

func (s *Service) askSpace(ctx context.Context, k spaceKey, to matrix.ServerName) (*ServedSpace, int, error) {
	ctx, cancel := context.WithTimeout(ctx, spaceTime)
	defer cancel()
	raw, err := s.opts.Peers.Hierarchy(ctx, k.from, to, k.room, k.suggested)
	if err != nil {
		return nil, 0, err
	}
	space := &ServedSpace{}
	if err := matrix.Decode(raw, space); err != nil {
		return nil, 0, err
	}
	if space.Room.RoomID != k.room {
		return nil, 0, errors.New("rooms: the answer is about another room")
	}
	return space, len(raw), nil
}

// knownElsewhere reports whether someone may know of a room that others described to this installation.
func (s *Service) knownElsewhere(ctx context.Context, room *Room, user matrix.UserID, r *HierarchyRoom) (bool, error) {
	if room != nil && user != "" {
		m, err := s.standingOf(ctx, room, user)
		if err != nil || m.Membership == storage.MemberBan {
			return false, err
		}
		if m.Membership == storage.MemberInvite || m.Membership == storage.MemberKnock {
			return true, nil
		}
	}
	switch rule := r.JoinRule; {
	case r.WorldReadable, rule == "public", rule == "knock", rule == "knock_restricted":
		return true, nil
	case user == "":
		return false, nil
	case rule == "" && len(r.AllowedRoomIDs) == 0:
		return true, nil // Why: absent means public. Spec: client-server-api/#get_matrixclientv3publicrooms
	}
	var rules matrix.JoinRules
	for _, id := range r.AllowedRoomIDs {
		rules.Allow = append(rules.Allow, matrix.AllowCondition{Type: "m.room_membership", RoomID: id})
	}
	allowed, err := s.allowedBy(ctx, user, rules)
	return allowed == allowYes, err
}

// properChildren keeps of a space's children, as another server tells them, what has its shape, in the order in which clients
// show them.
func properChildren(raws []json.RawMessage, suggestedOnly bool) ([]json.RawMessage, []spaceChild) {
	type child struct {
		spaceChild
		raw json.RawMessage
	}
	var list []child
	for _, raw := range raws[:min(len(raws), maxHierarchyRooms)] {
		var e struct {
			Type     string          `json:"type"`
			StateKey string          `json:"state_key"`
			Sender   matrix.UserID   `json:"sender"`
			Content  json.RawMessage `json:"content"`
			TS       int64           `json:"origin_server_ts"`
		}
		if matrix.Decode(raw, &e) != nil || e.Type != "m.space.child" {
			continue
		}
		_, err := matrix.ParseRoomID(e.StateKey)
		c, ok := childOf(e.StateKey, e.TS, e.Content)
		if err != nil || !ok || suggestedOnly && !c.suggested {
			continue
		}
		clean, err := json.Marshal(e)
		if err == nil {
			list = append(list, child{c, clean})
		}
	}
	slices.SortFunc(list, func(a, b child) int { return a.compare(b.spaceChild) })
	out, children := make([]json.RawMessage, len(list)), make([]spaceChild, len(list))
	for i, c := range list {
		out[i], children[i] = c.raw, c.spaceChild
	}
	return out, children
}
