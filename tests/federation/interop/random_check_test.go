package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"rempart/internal/testkit/mx"
)

// wrongs are all things in which the two servers differ, or that somebody misses.
func (o *outing) wrongs(ctx context.Context) []string {
	var out []string
	wrong := func(format string, words ...any) { out = append(out, fmt.Sprintf(format, words...)) }
	shown := map[*rambler]map[string]string{} // who is what in which room, as his own server shows it to him
	for _, p := range o.people {
		is, err := p.memberships(ctx)
		if err != nil {
			wrong("%s: %v", p.UserID, err)
			return out
		}
		shown[p] = is
	}
	for _, h := range o.places {
		var states, pages [2]map[string]string
		for i, p := range o.people[:2] {
			var err error
			if states[i], err = stateOf(ctx, p, h); err == nil {
				pages[i], err = pagesOf(ctx, p, h, wrong)
			}
			if err != nil {
				wrong("%s in %s: %v", p.UserID, h.id, err)
				return out
			}
		}
		differing(states, func(key, a, b string) {
			wrong("%s, state, %s:\n\t%s: %s\n\t%s: %s", h.id, key, o.ours.name, a, o.theirs.name, b)
		})
		if h.calm {
			differing(pages, func(id, a, b string) {
				wrong("%s, history, %s:\n\t%s: %q\n\t%s: %q", h.id, id, o.ours.name, a, o.theirs.name, b)
			})
		}
		o.wrongMembers(h, states[0], shown, wrong)
	}
	return out
}

// memberships is in which rooms somebody is, and what he is there, as his server shows it.
func (p *rambler) memberships(ctx context.Context) (map[string]string, error) {
	var s struct {
		Rooms struct{ Join, Invite, Knock map[string]json.RawMessage }
	}
	q := url.Values{"set_presence": {"offline"}, "filter": {`{"room":{"timeline":{"limit":1}}}`}}
	err := p.Do(ctx, "GET", "/_matrix/client/v3/sync?"+q.Encode(), nil, &s)
	out := map[string]string{}
	for is, rooms := range map[string]map[string]json.RawMessage{"join": s.Rooms.Join, "invite": s.Rooms.Invite, "knock": s.Rooms.Knock} {
		for id := range rooms {
			out[id] += is
		}
	}
	return out, err
}

// stateOf is a room's state: the event of each type and key.
func stateOf(ctx context.Context, p *rambler, h *place) (map[string]string, error) {
	var list []mx.Event
	err := p.Do(ctx, "GET", inRoom(h)+"/state", nil, &list)
	out := map[string]string{}
	for _, e := range list {
		out[e.Type+" "+*e.StateKey] = e.ID + " " + e.Sender + " " + canonical(e.Content)
	}
	return out, err
}

// canonical is JSON with sorted keys.
func canonical(raw []byte) string {
	var v any
	_ = json.Unmarshal(raw, &v) // what is no JSON stays nothing
	out, _ := json.Marshal(v)
	return string(out)
}

// pagesOf is a room's history, in which nothing is missing that was said, and at ours nothing is found twice. Why not at others: Dendrite may give
// an event twice (docs/gaps.md).
func pagesOf(ctx context.Context, p *rambler, h *place, wrong func(string, ...any)) (map[string]string, error) {
	list, err := p.History(ctx, h.id)
	out := map[string]string{}
	for _, e := range list {
		if out[e.ID] != "" && p.side.ours != nil {
			wrong("%s finds %s twice in %s", p.UserID, e.ID, h.id)
		}
		out[e.ID] = e.Type + " " + canonical(e.Content)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, text := range h.said {
		if out[id] == "" {
			wrong("%s misses %s (%s) in %s", p.UserID, id, text, h.id)
		}
	}
	return out, err
}

// differing names what is not the same in both.
func differing(of [2]map[string]string, tell func(key, a, b string)) {
	for k, a := range of[0] {
		if b := of[1][k]; a != b {
			tell(k, a, b)
		}
	}
	for k, b := range of[1] {
		if _, both := of[0][k]; !both {
			tell(k, "", b)
		}
	}
}

// wrongMembers compares who is in a room, invited, or has knocked, by its state, with what our servers show him. Why not the other one: what it
// shows its own people beside its state, which must be the same as ours, is its own affair (docs/gaps.md).
func (o *outing) wrongMembers(h *place, state map[string]string, shown map[*rambler]map[string]string, wrong func(string, ...any)) {
	for _, p := range o.people {
		if p.side.ours == nil {
			continue
		}
		is := membershipIn(state["m.room.member "+p.UserID])
		if is == "leave" || is == "ban" {
			is = ""
		}
		if shown[p][h.id] != is {
			wrong("%s is %q in %s, and shown %q", p.UserID, is, h.id, shown[p][h.id])
		}
	}
}

// membershipIn reads what stateOf gives of a member.
func membershipIn(event string) string {
	var id, sender string
	var c struct{ Membership string }
	if n, _ := fmt.Sscan(event, &id, &sender); n == 2 {
		_ = json.Unmarshal([]byte(event[len(id)+len(sender)+2:]), &c) // a member without a membership is none
	}
	return c.Membership
}
