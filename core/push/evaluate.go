package push

import (
	"bytes"
	"context"
	"errors"
	"strconv"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/storage"
)

// maxMentions bounds how many users one event can mention.
const maxMentions = 500

// glance is what the default rules look at in an event's content.
type glance struct {
	MsgType  string    `json:"msgtype"`
	Body     string    `json:"body"`
	Mentions *mentions `json:"m.mentions"`
	Relates  *relation `json:"m.relates_to"`
}

type mentions struct {
	Users []matrix.UserID `json:"user_ids"`
	Room  bool            `json:"room"`
}

type relation struct {
	Type  string         `json:"rel_type"`
	Event matrix.EventID `json:"event_id"`
}

// Evaluate sets the event's default outcome and thread on its row and returns the rows that go with it: corrections for
// users who differ, and the sender's own mark of having read. It implements rooms.PushEvaluator.
func (s *Service) Evaluate(ctx context.Context, r *rooms.Room, v *rooms.View, e *matrix.Event, row *storage.EventRow) ([]storage.Row, error) {
	g := look(e)
	if err := s.thread(ctx, r, g.Relates, row); err != nil {
		return nil, err
	}
	state := viewState{ctx, v}
	def := defaultOutcome(e, &g, func() bool { return mayNotify(state, e.Sender, "room") })
	row.Flags &^= storage.FlagNotify | storage.FlagHighlight
	if def.notify {
		row.Flags |= storage.FlagNotify
	}
	var rows []storage.Row
	if def.highlight {
		row.Flags |= storage.FlagHighlight
		rows = append(rows, &storage.PushHitRow{User: storage.Everybody, Event: row, Highlight: 1})
	}
	rows, err := s.corrections(ctx, e, &g, row, def, state, rows)
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		row.Flags |= storage.FlagHits
	}
	if row.Flags&storage.FlagLocal != 0 {
		rows = append(rows, ownReceipt(r, state, e, row))
	}
	return rows, nil
}

// look reads what matters of the content; encrypted events are not parsed unless they relate or mention in the clear.
func look(e *matrix.Event) (g glance) {
	says := func(word string) bool { return bytes.Contains(e.Content, []byte(word)) }
	if e.Type == "m.room.message" || says(`"m.relates_to"`) || says(`"m.mentions"`) || says(`"m.notice"`) {
		_ = matrix.Decode(e.Content, &g) // what has another shape mentions nobody
	}
	return g
}

// thread finds the thread that an event belongs to: by its own relation, or that of the event it relates to. Since each
// event carries its thread, one step is enough. Spec: client-server-api/#threading
func (s *Service) thread(ctx context.Context, r *rooms.Room, rel *relation, row *storage.EventRow) error {
	if rel == nil || rel.Event == "" || rel.Type == "" {
		return nil
	}
	target, err := s.db.FindEventThread(ctx, r.NID(), matrix.HashID(rel.Event))
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	row.Thread = target.Thread
	if rel.Type == "m.thread" && target.Thread == 0 {
		row.Thread = target.NID
	}
	return nil
}

// defaultOutcome applies the default rules that do not depend on whom they are applied to.
// Spec: client-server-api/#predefined-rules
func defaultOutcome(e *matrix.Event, g *glance, roomPower func() bool) outcome {
	switch {
	case g.MsgType == "m.notice", e.Type == "m.room.member":
		return outcome{}
	case g.Mentions != nil && g.Mentions.Room && roomPower():
		return outcome{true, true}
	case e.Type == "m.room.tombstone" && e.StateKeyEquals(""):
		return outcome{true, true}
	case g.Relates != nil && g.Relates.Type == "m.replace":
		return outcome{}
	}
	notifies := e.Type == "m.room.message" || e.Type == "m.room.encrypted" || e.Type == "m.call.invite"
	return outcome{notify: notifies}
}

// corrections are the rows of those for whom the event's outcome is not the default.
func (s *Service) corrections(ctx context.Context, e *matrix.Event, g *glance, row *storage.EventRow, def outcome, state viewState, rows []storage.Row) ([]storage.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	legacy := g.Mentions == nil && g.Body != "" && e.Type == "m.room.message" && e.StateKey == nil
	if len(s.users) == 0 && g.Mentions == nil && !legacy {
		return rows, nil
	}
	c, err := s.crowdOf(ctx, row.Room)
	if err != nil {
		return nil, err
	}
	hit := mentioned(c, e, g, legacy)
	for user := range hit {
		if c.custom[user] == "" && user != row.Sender {
			rows = appendHit(rows, row, user, def, outcome{true, true})
		}
	}
	if len(c.custom) == 0 {
		return rows, nil
	}
	o := &occasion{event: e, thread: row.Thread, members: state.view.Joined(), mayNotify: func(key string) bool { return mayNotify(state, e.Sender, key) }}
	for user, id := range c.custom {
		if user != row.Sender {
			rows = appendHit(rows, row, user, def, s.users[user].decide(o, state, id, legacy && hit[user]))
		}
	}
	return rows, nil
}

// mentioned are the local members whom an event names, by m.mentions or, in a message without it, in its text.
//
// Why the text still counts: the rules for it left the specification with v1.17, but clients that predate m.mentions
// are in use, and their users expect a highlight.
func mentioned(c *crowd, e *matrix.Event, g *glance, legacy bool) map[int64]bool {
	var hit map[int64]bool
	add := func(user int64) {
		if hit == nil {
			hit = map[int64]bool{}
		}
		if len(hit) < maxMentions {
			hit[user] = true
		}
	}
	switch {
	case g.MsgType == "m.notice", e.Type == "m.room.member":
	case g.Mentions != nil:
		for _, id := range g.Mentions.Users {
			if user, ok := c.members[id]; ok {
				add(user)
			}
		}
	case legacy && (g.Relates == nil || g.Relates.Type != "m.replace"):
		c.named(g.Body, add)
	}
	return hit
}

// decide is what an event means to a user with preferences of his own.
func (p *preferences) decide(o *occasion, state viewState, id matrix.UserID, named bool) outcome {
	if p.ignored[o.event.Sender] {
		return outcome{}
	}
	rules := p.rules
	if rules == nil {
		def := p.withThreads(Defaults(string(id)))
		rules = &def
	}
	return judge{rules: rules, named: named, threads: p.threads, displayName: func() string { return nameIn(state, id) }}.decide(o)
}

func appendHit(rows []storage.Row, row *storage.EventRow, user int64, def, own outcome) []storage.Row {
	if own == def {
		return rows
	}
	return append(rows, &storage.PushHitRow{User: user, Event: row,
		Notify: number(own.notify) - number(def.notify), Highlight: number(own.highlight) - number(def.highlight)})
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// ownReceipt marks what a user has sent as read by him: in its thread, or all that was before he came in.
func ownReceipt(r *rooms.Room, state viewState, e *matrix.Event, row *storage.EventRow) storage.Row {
	thread := "main"
	switch {
	case row.Thread != 0:
		thread = strconv.FormatInt(row.Thread, 10)
	case e.Type == "m.room.member" && e.StateKeyEquals(string(e.Sender)) && e.Membership() == "join":
		if old := state.Event(e.Tuple()); old == nil || old.Membership() != "join" {
			thread = ""
		}
	}
	return &storage.ReceiptRow{Room: r.NID(), User: row.Sender, Type: storage.OwnReceipt, Thread: thread, EventID: e.ID, TS: e.OriginServerTS, Event: row}
}

// viewState reads a room's state as the authorisation rules do; a read that fails finds nothing.
type viewState struct {
	ctx  context.Context //nolint:containedctx // Why: authrules.State has no context; this value lives for one call
	view *rooms.View
}

// Event is the current event of a key, nil for none.
func (s viewState) Event(t matrix.StateTuple) *matrix.Event {
	e, err := s.view.Get(s.ctx, t)
	if err != nil || e == nil {
		return nil
	}
	return e
}

func mayNotify(state viewState, sender matrix.UserID, key string) bool {
	return authrules.PowerLevelOf(state, sender) >= authrules.NotificationPower(state, key)
}

// nameIn is what a user is called in a room; "" when he is no member or has no name.
func nameIn(state authrules.State, id matrix.UserID) string {
	e := state.Event(matrix.StateTuple{Type: "m.room.member", Key: string(id)})
	if e == nil {
		return ""
	}
	content, _ := e.MembershipContent() // a broken name is no name
	return content.DisplayName
}
