package federation

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"rempart/internal/testkit/mx"
)

// wrongs are all things in which somebody does not know what is true.
func (w *realm) wrongs(ctx context.Context) []string {
	var out []string
	wrong := func(format string, words ...any) { out = append(out, fmt.Sprintf(format, words...)) }
	in := map[*soul]map[string]bool{} // who is in which room, as his own server has it
	for _, p := range w.souls {
		var a struct {
			Rooms []string `json:"joined_rooms"`
		}
		if err := p.Do(ctx, "GET", "/_matrix/client/v3/joined_rooms", nil, &a); err != nil {
			wrong("%s: %v", p.UserID, err)
		}
		in[p] = map[string]bool{}
		for _, id := range a.Rooms {
			in[p][id] = true
		}
	}
	for _, h := range w.halls {
		w.wrongIn(ctx, h, in, wrong)
	}
	w.wrongKeys(ctx, in, wrong)
	w.wrongPosts(wrong)
	return out
}

// wrongIn looks at one room.
func (w *realm) wrongIn(ctx context.Context, h *hall, in map[*soul]map[string]bool, wrong func(string, ...any)) {
	var there []*soul // one of each server that is in it
	for _, s := range w.seats {
		for _, p := range w.souls {
			if p.seat == s && in[p][h.id] {
				there = append(there, p)
				break
			}
		}
	}
	var first map[string]string
	var pages map[string]string
	for _, p := range there {
		state, err := stateOf(ctx, p, h.id)
		if err != nil {
			wrong("%s, state of %s: %v", p.UserID, h.id, err)
			return
		}
		if pages, err = w.wrongPages(ctx, h, p, there[0], pages, wrong); err != nil {
			wrong("%s, history of %s: %v", p.UserID, h.id, err)
		}
		if h.torn {
			continue
		}
		if first == nil {
			first = state
			w.wrongMembers(ctx, h, state, in, wrong)
		} else {
			differ(first, state, func(k, a, b string) {
				wrong("%s, %s: %s has %s, %s has %s", h.id, k, there[0].seat.Name, a, p.seat.Name, b)
			})
		}
	}
}

// stateOf is a room's state: the event of each type and key.
func stateOf(ctx context.Context, p *soul, id string) (map[string]string, error) {
	var list []mx.Event
	err := p.Do(ctx, "GET", room(id)+"/state", nil, &list)
	out := map[string]string{}
	for _, e := range list {
		out[e.Type+" "+*e.StateKey] = e.ID + " " + string(e.Content)
	}
	return out, err
}

// differ names what is not the same in both.
func differ(a, b map[string]string, tell func(key, a, b string)) {
	all := maps.Clone(a)
	maps.Copy(all, b)
	for k := range all {
		if a[k] != b[k] {
			tell(k, a[k], b[k])
		}
	}
}

// wrongMembers compares who is in a room, and invited, by its state with what each one's own server has.
func (w *realm) wrongMembers(ctx context.Context, h *hall, state map[string]string, in map[*soul]map[string]bool, wrong func(string, ...any)) {
	for _, p := range w.souls {
		var c struct{ Membership string }
		_, raw, _ := cutSpace(state["m.room.member "+p.UserID])
		_ = json.Unmarshal([]byte(raw), &c)
		if (c.Membership == "join") != in[p][h.id] {
			wrong("%s is %q in %s, his server has him in it: %t", p.UserID, c.Membership, h.id, in[p][h.id])
		}
		p.mu.Lock()
		told := p.invited[h.id]
		p.mu.Unlock()
		var s heard
		if err := p.Do(ctx, "GET", "/_matrix/client/v3/sync?set_presence=offline&filter="+url.QueryEscape(`{"room":{"timeline":{"limit":1}}}`), nil, &s); err != nil {
			wrong("%s: %v", p.UserID, err)
			continue
		}
		// Why not in loose ones: only who invited can take an invitation back from who is outside (a ban by somebody else need not be his doing).
		if _, is := s.Rooms.Invite[h.id]; is != (c.Membership == "invite") && (h.kind != loose || !is) || told != is {
			wrong("%s is %q in %s, shown as invited by a sync %t, told so %t", p.UserID, c.Membership, h.id, is, told)
		}
	}
}

func cutSpace(s string) (before, after string, found bool) {
	for i := range len(s) {
		if s[i] == ' ' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// wrongPages looks at a room's history: nothing is in it twice, and what was said in a calm room is all there and the same everywhere.
func (w *realm) wrongPages(ctx context.Context, h *hall, p, other *soul, before map[string]string, wrong func(string, ...any)) (map[string]string, error) {
	list, err := p.History(ctx, h.id)
	if err != nil {
		return before, err
	}
	pages := map[string]string{}
	for _, e := range list {
		if _, twice := pages[e.ID]; twice {
			wrong("%s finds %s twice in %s", p.UserID, e.ID, h.id)
		}
		pages[e.ID] = e.Type + " " + string(e.Content)
	}
	if h.kind != calm {
		return pages, nil
	}
	h.mu.Lock()
	for id, text := range h.said {
		if pages[id] == "" {
			wrong("%s misses %s (%s) in %s", p.UserID, id, text, h.id)
		}
	}
	h.mu.Unlock()
	if before != nil {
		differ(before, pages, func(k, a, b string) { wrong("%s, %s: %s has %q, %s has %q", h.id, k, other.UserID, a, p.UserID, b) })
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n%2 == 0 && len(p.twice) > 0 {
		twice := slices.DeleteFunc(slices.Clone(p.twice), func(key string) bool { room, _, _ := cutSpace(key); return room != h.id })
		if len(twice) > 0 {
			wrong("%s was told twice of %v", p.UserID, twice)
		}
	}
	return pages, nil
}

// wrongKeys compares what everybody knows of the devices of those with whom he shares a room with what their own servers say.
func (w *realm) wrongKeys(ctx context.Context, in map[*soul]map[string]bool, wrong func(string, ...any)) {
	all := map[string][]string{}
	for _, p := range w.souls {
		all[p.UserID] = []string{}
	}
	truth := map[string]json.RawMessage{}
	for _, p := range w.souls {
		own, _, err := queryKeys(ctx, p.Client, map[string][]string{p.UserID: {}})
		if err != nil {
			wrong("%s, own keys: %v", p.UserID, err)
			return
		}
		truth[p.UserID] = own[p.UserID]
	}
	for _, p := range w.souls {
		found, failed, err := queryKeys(ctx, p.Client, all)
		if err != nil || len(failed) > 0 {
			wrong("%s, keys: %v %v", p.UserID, err, failed)
			continue
		}
		p.mu.Lock()
		for _, other := range w.souls {
			shared := false
			for id := range in[p] {
				shared = shared || in[other][id]
			}
			u := other.UserID
			if !shared {
				continue
			}
			if string(found[u]) != string(truth[u]) {
				wrong("%s is given as the keys of %s\n\t%s\nwhich are\n\t%s", p.UserID, u, found[u], truth[u])
			}
			if other != p && string(p.keys[u]) != string(truth[u]) {
				wrong("%s was not told (still to ask: %t) of the keys of %s; he has\n\t%s\nwhich are\n\t%s", p.UserID, p.dirty[u], u, p.keys[u], truth[u])
			}
		}
		p.mu.Unlock()
	}
}

// wrongPosts looks whether each message to a device has come once.
func (w *realm) wrongPosts(wrong func(string, ...any)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, to := range w.posted {
		to.mu.Lock()
		if n := to.got[id]; n != 1 {
			wrong("%s was given %s %d times", to.UserID, id, n)
		}
		to.mu.Unlock()
	}
}
