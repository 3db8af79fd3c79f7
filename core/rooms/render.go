package rooms

import (
	"context"
	"encoding/json"
	"strconv"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Unsigned is what stands beside an event, made anew for each recipient. Spec: client-server-api/#room-event-format
type Unsigned struct {
	// Age is in milliseconds.
	Age int64
	// TxnID is the recipient's own transaction id, when the same device sent the event.
	TxnID string
	// DelayID is that of the delayed event that became this one, for its sender. MSC4140
	DelayID string
	// StickyTTL is for how many milliseconds the event still sticks; 0: not said. MSC4354
	StickyTTL int64
	// Prev is the state event that this one replaced; its content is shown when ShowPrev is set.
	Prev     *Stored
	ShowPrev bool
	// Membership is the recipient's own, right after the event.
	Membership string
	// InviteState is what the room of an invitation shows of itself, as a list.
	InviteState json.RawMessage
	// Relations are the members of "m.relations", ready made.
	Relations []byte
}

// AppendClientEvent appends the whole event as a client gets it.
func AppendClientEvent(dst []byte, e *Stored, u Unsigned, roomID bool) []byte {
	return AppendUnsigned(e.ClientJSON(dst, roomID), e, u)
}

// AppendUnsigned ends an event whose ready-made part (see [matrix.Event.ClientJSON]) has been appended already.
func AppendUnsigned(dst []byte, e *Stored, u Unsigned) []byte {
	dst = strconv.AppendInt(append(dst, `,"unsigned":{"age":`...), max(u.Age, 0), 10)
	if u.Membership != "" {
		dst = matrix.AppendJSONString(append(dst, `,"membership":`...), u.Membership)
	}
	if u.TxnID != "" {
		dst = matrix.AppendJSONString(append(dst, `,"transaction_id":`...), u.TxnID)
	}
	if u.DelayID != "" {
		dst = matrix.AppendJSONString(append(dst, `,"org.matrix.msc4140.delay_id":`...), u.DelayID)
	}
	if u.StickyTTL > 0 {
		dst = strconv.AppendInt(append(dst, `,"msc4354_sticky_duration_ttl_ms":`...), u.StickyTTL, 10)
	}
	if u.Prev != nil {
		dst = matrix.AppendJSONString(append(dst, `,"replaces_state":`...), u.Prev.ID)
		if u.ShowPrev {
			dst = append(append(dst, `,"prev_content":`...), u.Prev.Content...)
			dst = matrix.AppendJSONString(append(dst, `,"prev_sender":`...), u.Prev.Sender)
		}
	}
	if len(u.InviteState) > 0 {
		dst = append(append(dst, `,"invite_room_state":`...), u.InviteState...)
	}
	if len(u.Relations) > 0 {
		dst = append(append(append(dst, `,"m.relations":{`...), u.Relations...), '}')
	}
	if e.RedactedBy != nil && e.RedactedBy.ID != "" { // one that was purged is not named
		dst = matrix.AppendJSONString(append(dst, `,"redacted_by":`...), e.RedactedBy.ID)
		dst = e.RedactedBy.ClientJSON(append(dst, `,"redacted_because":`...), false)
		dst = append(dst, `,"unsigned":{}}`...)
	}
	return append(dst, "}}"...)
}

// Render makes events ready for one recipient, who was found to be allowed to see them.
func (s *Service) Render(ctx context.Context, room *Room, c matrix.Caller, events []*Stored) ([]json.RawMessage, error) {
	v, err := s.viewerFor(ctx, room, c.User)
	if err != nil {
		return nil, err
	}
	return v.render(ctx, c, events)
}

// render is [Service.Render] for one of whom is known how he stands to the room.
func (v *viewer) render(ctx context.Context, c matrix.Caller, events []*Stored) ([]json.RawMessage, error) {
	s := v.s
	if err := v.lookAhead(ctx, events); err != nil {
		return nil, err
	}
	txns, err := s.TransactionIDs(ctx, c, events)
	if err != nil {
		return nil, err
	}
	delays, err := s.DelayIDs(ctx, c.User, events)
	if err != nil {
		return nil, err
	}
	related, err := s.bundles(ctx, v, c.UserNID, events)
	if err != nil {
		return nil, err
	}
	s.show(&c, v.room, events)
	now := s.nowMS()
	out := make([]json.RawMessage, len(events))
	for i, e := range events {
		u := Unsigned{Age: now - e.OriginServerTS, TxnID: txns[e.Row.NID], DelayID: delays[e.Row.NID], Relations: related[e.Row.NID]}
		if u.Prev, u.ShowPrev, err = v.replaced(ctx, e); err != nil {
			return nil, err
		}
		if u.Membership, err = v.membershipAt(ctx, e); err != nil {
			return nil, err
		}
		out[i] = AppendClientEvent(make([]byte, 0, 256+len(e.JSON)), e, u, true)
	}
	return out, nil
}

// show notes that somebody is shown events.
func (s *Service) show(c *matrix.Caller, room *Room, events []*Stored) {
	if s.opts.Meter == nil || len(events) == 0 {
		return
	}
	from, to := events[0].Position(), events[0].Position()
	for _, e := range events[1:] {
		from, to = min(from, e.Position()), max(to, e.Position())
	}
	s.opts.Meter(c, room.ID(), from, to, int64(len(events)))
}

// RenderOne is Render for a single event.
func (s *Service) RenderOne(ctx context.Context, room *Room, c matrix.Caller, e *Stored) (json.RawMessage, error) {
	out, err := s.Render(ctx, room, c, []*Stored{e})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// replaced is the state that a state event took the place of, and whether the user may see its content.
func (v *viewer) replaced(ctx context.Context, e *Stored) (*Stored, bool, error) {
	if !e.IsState() || e.Row.Branch < 0 {
		return nil, false, nil
	}
	prev, known := v.earlier[e.Row.NID]
	var err error
	if !known {
		prev, err = v.s.KeyAt(ctx, v.room, e.Before(), e.Tuple())
	}
	if err != nil || prev == nil {
		return nil, false, err
	}
	show, err := v.sees(ctx, prev)
	if err == nil && show {
		prev, err = v.asSeen(ctx, prev)
	}
	return prev, show, err
}

// membershipAt is the user's membership right after the event; "leave" when he had none.
func (v *viewer) membershipAt(ctx context.Context, e *Stored) (string, error) {
	if e.Type == "m.room.member" && e.StateKeyEquals(string(v.user)) {
		return e.Membership(), nil
	}
	if e.Row.Branch < 0 || v.all {
		return "", nil
	}
	st, err := v.before(ctx, e)
	if st.membership == "" {
		st.membership = "leave"
	}
	return st.membership, err
}

// DelayIDs finds by which delayed events a user sent some of these events. MSC4140
func (s *Service) DelayIDs(ctx context.Context, user matrix.UserID, events []*Stored) (map[int64]string, error) {
	var own []int64
	for _, e := range events {
		if e.Has(storage.FlagDelayed) && e.Sender == user {
			own = append(own, e.Row.NID)
		}
	}
	if len(own) == 0 {
		return nil, nil
	}
	return s.db.ListDelayIDs(ctx, own)
}

// TransactionIDs finds the transaction ids of those events that the caller's own device sent, by the events' numbers. Those
// written here are known; the others are asked for.
func (s *Service) TransactionIDs(ctx context.Context, c matrix.Caller, events []*Stored) (ids map[int64]string, err error) {
	var asked []int64
	var known []*Stored
	for _, e := range events {
		switch {
		case e.Sender != c.User || c.DeviceNID == 0:
		case e.txn == nil:
			asked = append(asked, e.Row.NID)
		case e.txn.Device == c.DeviceNID:
			known = append(known, e)
		}
	}
	if len(asked) > 0 {
		if ids, err = s.db.ListTransactionIDs(ctx, c.DeviceNID, asked); err != nil {
			return nil, err
		}
	}
	for _, e := range known {
		if ids == nil {
			ids = make(map[int64]string, len(known))
		}
		ids[e.Row.NID] = e.txn.TxnID
	}
	return ids, nil
}
