package rooms_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// shaped makes an event whose every field the test chooses, properly hashed and signed, as only a hostile server would.
func (m *remote) shaped(fields object) *matrix.Event {
	m.t.Helper()
	v := m.room.Version()
	raw, _ := json.Marshal(fields)
	clean, err := matrix.CanonicalJSON(raw)
	if err != nil {
		m.t.Fatal(err)
	}
	hash := sha256.Sum256(clean)
	fields["hashes"] = object{"sha256": base64.RawStdEncoding.EncodeToString(hash[:])}
	fields["signatures"] = object{}
	raw, _ = json.Marshal(fields)
	e, err := v.ParseUntrusted(raw)
	if err != nil {
		m.t.Fatal(err)
	}
	if e, err = e.Sign(m.key); err != nil {
		m.t.Fatal(err)
	}
	return e
}

// liarWire is a wire on which one server answers what the test says, where the test says anything.
type liarWire struct {
	*wire
	missing  func(latest []matrix.EventID) []json.RawMessage
	auth     func(id matrix.EventID) []json.RawMessage
	stateIDs func(at matrix.EventID) (state, auth []matrix.EventID)
	event    func(id matrix.EventID) json.RawMessage
	backfill func(at []matrix.EventID) []json.RawMessage
}

func (l *liarWire) MissingEvents(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, earliest, latest []matrix.EventID,
	limit int) ([]json.RawMessage, error) {
	if l.missing == nil {
		return l.wire.MissingEvents(ctx, from, to, room, earliest, latest, limit)
	}
	_, err := l.call("get_missing_events", to)
	return l.missing(latest), err
}

func (l *liarWire) EventAuth(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, id matrix.EventID, take func(json.RawMessage) error) error {
	if l.auth == nil {
		return l.wire.EventAuth(ctx, from, to, room, id, take)
	}
	_, err := l.call("event_auth", to)
	return handOn(l.auth(id), take, err)
}

func (l *liarWire) StateIDs(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, at matrix.EventID) (state, auth []matrix.EventID, err error) {
	if l.stateIDs == nil {
		return l.wire.StateIDs(ctx, from, to, room, at)
	}
	_, err = l.call("state_ids", to)
	state, auth = l.stateIDs(at)
	return state, auth, err
}

func (l *liarWire) Event(ctx context.Context, from, to matrix.ServerName, id matrix.EventID) (json.RawMessage, error) {
	if l.event == nil {
		return l.wire.Event(ctx, from, to, id)
	}
	_, err := l.call("event", to)
	return l.event(id), err
}

func (l *liarWire) Backfill(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, at []matrix.EventID, limit int) ([]json.RawMessage, error) {
	if l.backfill == nil {
		return l.wire.Backfill(ctx, from, to, room, at, limit)
	}
	_, err := l.call("backfill", to)
	return l.backfill(at), err
}

// liars are alice's server and dora's, which lies to it; the room is alice's, and dora is in it.
func liars(t *testing.T, version string) (l *liarWire, a *rig, m *remote, inbox *rooms.Inbox) {
	t.Helper()
	l = &liarWire{wire: &wire{}}
	a = l.serverBehind(t, home, sqliteURL(t), l)
	a.account(t, alice)
	d := l.wire.server(t, there, sqliteURL(t))
	d.account(t, dora)
	room := a.publicRoom(t, version)
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	return l, a, &remote{t: t, r: a, room: room, key: l.keys[there]}, a.inboxOf(t)
}

// send sends events by the inbox and waits until they have been worked on.
func (m *remote) send(inbox *rooms.Inbox, events ...*matrix.Event) map[matrix.EventID]error {
	m.t.Helper()
	var raws []json.RawMessage
	for _, e := range events {
		raws = append(raws, json.RawMessage(e.JSON))
	}
	results := map[matrix.EventID]error{}
	for ; len(raws) > 0; raws = raws[min(50, len(raws)):] {
		some, err := inbox.Take(m.t.Context(), there, raws[:min(50, len(raws))])
		if err != nil {
			m.t.Fatal(err)
		}
		maps.Copy(results, some)
	}
	inbox.Wait()
	return results
}

// last is the newest event of a room as its server has it.
func (m *remote) last() *rooms.Stored {
	m.t.Helper()
	return m.r.messages(m.t, m.room, alice, 1)[0]
}

// goesOn fails unless the room's state is what it was, and its people can speak.
func (m *remote) goesOn(before map[matrix.StateTuple]matrix.EventID, inbox *rooms.Inbox) {
	m.t.Helper()
	if after := m.r.stateOf(m.t, m.room.ID()); !maps.Equal(before, after) {
		m.t.Error("the state changed")
	}
	last := m.last()
	honest := m.on(last.After(), text(dora, "honest"), last.Event)
	m.send(inbox, honest)
	if e, err := m.r.rooms.EventByID(m.t.Context(), m.room, honest.ID); err != nil || e.Position() == 0 {
		m.t.Errorf("an honest event does not enter any more: %v", err)
	}
}

// Events of the first versions have names that their servers choose, so that they can stand in circles: by prev_events and by
// auth_events. They are dropped, after a bounded number of questions.
func TestCycles(t *testing.T) {
	l, a, m, inbox := liars(t, "2")
	before, last := a.stateOf(t, m.room.ID()), m.last()
	ref := func(id string) []any { return []any{id, object{"sha256": strings.Repeat("A", 43)}} }
	circle := func(n int, kind string) []*matrix.Event {
		var out []*matrix.Event
		for i := range n {
			next := ref(fmt.Sprintf("$%s%d:there.example", kind, (i+1)%n))
			prev, auth := ref(string(last.ID)), []any{}
			for _, id := range last.AuthEvents {
				auth = append(auth, ref(string(id)))
			}
			if kind == "prev" {
				prev = next
			} else {
				auth = append(auth, next)
			}
			out = append(out, m.shaped(object{"event_id": fmt.Sprintf("$%s%d:there.example", kind, i), "room_id": m.room.ID(), "sender": dora,
				"type": "m.room.message", "content": object{"body": "round"}, "prev_events": []any{prev}, "auth_events": auth, "depth": 100,
				"origin_server_ts": 1}))
		}
		return out
	}
	for _, kind := range []string{"prev", "auth"} {
		events := circle(5, kind)
		var raws []json.RawMessage
		for _, e := range events {
			raws = append(raws, json.RawMessage(e.JSON))
		}
		l.missing = func([]matrix.EventID) []json.RawMessage { return raws }
		l.auth = func(matrix.EventID) []json.RawMessage { return raws }
		asked := len(l.calls)
		m.send(inbox, events...)
		for _, e := range events {
			if got, err := a.rooms.EventByID(t.Context(), m.room, e.ID); err == nil && got.Position() != 0 {
				t.Errorf("%s entered", e.ID)
			}
		}
		if asked = len(l.calls) - asked; asked > 10*len(events) {
			t.Errorf("%s: %d questions", kind, asked)
		}
	}
	l.missing, l.auth = nil, nil
	m.goesOn(before, inbox)
}

// An event that names more previous events than one may is not looked at.
func TestTooManyParents(t *testing.T) {
	_, a, m, inbox := liars(t, "11")
	before, last := a.stateOf(t, m.room.ID()), m.last()
	fields := object{"room_id": m.room.ID(), "sender": dora, "type": "m.room.message", "content": object{}, "auth_events": last.AuthEvents,
		"depth": 100, "origin_server_ts": 1, "hashes": object{"sha256": ""}, "signatures": object{}}
	for n, ok := range map[int]bool{20: true, 21: false, 5000: false} {
		var prev []string
		for i := range n {
			hash := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
			prev = append(prev, "$"+base64.RawURLEncoding.EncodeToString(hash[:]))
		}
		fields["prev_events"] = prev
		raw, _ := json.Marshal(fields)
		if _, err := m.room.Version().ParseUntrusted(raw); (err == nil) != ok {
			t.Errorf("%d previous events: %v", n, err)
		}
		if results, err := inbox.Take(t.Context(), there, []json.RawMessage{raw}); err != nil || len(results) != 0 && !ok {
			t.Errorf("%d previous events: %v, %v", n, results, err)
		}
	}
	inbox.Wait()
	m.goesOn(before, inbox)
}

// A thousand forks from one event leave a room with few heads, and what is sent then names no more than it may.
func TestForksByTheThousand(t *testing.T) {
	_, a, m, inbox := liars(t, "11")
	last := m.last()
	forks := make([]*matrix.Event, number(t, "REMPART_FORKS", 300, 3000))
	for i := range forks {
		d := text(dora, fmt.Sprint("fork ", i))
		if i%2 == 0 {
			d = state(dora, "m.room.member", string(dora), object{"membership": "join", "displayname": fmt.Sprint("Dora ", i)})
		}
		forks[i] = m.on(last.After(), d, last.Event)
	}
	m.send(inbox, forks...)
	if n := len(a.heads(t, m.room.ID())); n > 60 {
		t.Errorf("%d heads", n)
	}
	for range 5 {
		if n := len(m.last().PrevEvents); n > 20 {
			t.Errorf("%d previous events", n)
		}
	}
	m.goesOn(a.stateOf(t, m.room.ID()), inbox)
}

// Whoever shows a gigantic auth chain for an event gets no more of it kept than what the event rests on, and that is bounded.
func TestGiganticAuthChains(t *testing.T) {
	l, a, m, inbox := liars(t, "11")
	before, last := a.stateOf(t, m.room.ID()), m.last()
	create := before[matrix.StateTuple{Type: "m.room.create"}]
	var chain, stray []json.RawMessage
	at := matrix.EventID("")
	for i := range number(t, "REMPART_CHAIN", 400, 4000) {
		fields := object{"room_id": m.room.ID(), "sender": dora, "type": "m.room.member", "state_key": dora, "depth": i, "origin_server_ts": i,
			"content": object{"membership": "join", "displayname": fmt.Sprint(i)}, "prev_events": []matrix.EventID{last.ID},
			"auth_events": append([]matrix.EventID{create}, ifNamed(at)...)}
		e := m.shaped(fields)
		at, chain = e.ID, append(chain, json.RawMessage(e.JSON))
		s := m.shaped(object{"room_id": m.room.ID(), "sender": dora, "type": "m.room.topic", "state_key": "", "depth": i, "origin_server_ts": i,
			"content": object{"topic": fmt.Sprint(i)}, "prev_events": []matrix.EventID{last.ID}, "auth_events": last.AuthEvents})
		stray = append(stray, json.RawMessage(s.JSON))
	}
	l.auth = func(matrix.EventID) []json.RawMessage { return append(stray, chain...) }
	evil := m.shaped(object{"room_id": m.room.ID(), "sender": dora, "type": "m.room.message", "content": object{"body": "heavy"}, "depth": 9,
		"origin_server_ts": 9, "prev_events": []matrix.EventID{last.ID}, "auth_events": []matrix.EventID{create, at}})
	m.send(inbox, evil)
	for _, raw := range stray[:10] {
		e, err := m.room.Version().ParseUntrusted(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.rooms.EventByID(t.Context(), m.room, e.ID); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Fatalf("an event that nothing rests on was kept: %v", err)
		}
	}
	m.goesOn(before, inbox)
}

func ifNamed(id matrix.EventID) []matrix.EventID {
	if id == "" {
		return nil
	}
	return []matrix.EventID{id}
}

// State of another room, told as that of this one, is not believed.
func TestStateOfAnotherRoom(t *testing.T) {
	l, a, m, inbox := liars(t, "11")
	other := a.publicRoom(t, "11")
	a.must(t, other, state(alice, "m.room.power_levels", "", object{"users": object{string(alice): 100, string(dora): 100}}))
	before, last := a.stateOf(t, m.room.ID()), m.last()
	var told []matrix.EventID
	for _, id := range a.stateOf(t, other.ID()) {
		told = append(told, id)
	}
	ghost := m.on(last.After(), text(dora, "ghost"), last.Event)
	child := m.on(last.After(), state(dora, "m.room.name", "", object{"name": "taken"}), ghost)
	l.missing = func([]matrix.EventID) []json.RawMessage { return nil }
	l.stateIDs = func(matrix.EventID) (state, auth []matrix.EventID) { return told, told }
	l.event = func(id matrix.EventID) json.RawMessage {
		if id == ghost.ID {
			return json.RawMessage(ghost.JSON)
		}
		e, err := a.rooms.EventByID(t.Context(), other, id)
		if err != nil {
			return nil
		}
		return json.RawMessage(e.JSON)
	}
	m.send(inbox, child)
	for _, id := range []matrix.EventID{ghost.ID, child.ID} {
		if e, err := a.rooms.EventByID(t.Context(), m.room, id); err == nil && e.Position() != 0 {
			t.Errorf("%s entered", e.Type)
		}
	}
	m.goesOn(before, inbox)
}

// Who names parents that nobody has, again and again, costs a few questions an event, and no other server one.
func TestMissingParentsForEver(t *testing.T) {
	l, a, m, inbox := liars(t, "11")
	before, last := a.stateOf(t, m.room.ID()), m.last()
	var events []*matrix.Event
	for i := range 50 {
		ghost := m.on(last.After(), text(dora, fmt.Sprint("ghost ", i)), last.Event)
		events = append(events, m.on(last.After(), text(dora, fmt.Sprint("child ", i)), ghost))
	}
	l.missing = func([]matrix.EventID) []json.RawMessage { return nil }
	asked := len(l.calls)
	m.send(inbox, events...)
	if asked = len(l.calls) - asked; asked > 4*len(events) {
		t.Errorf("%d questions for %d events", asked, len(events))
	}
	l.missing = nil
	m.goesOn(before, inbox)
}

// Events that come a hundred times are checked once.
func TestAHundredTimes(t *testing.T) {
	l, a, m, inbox := liars(t, "11")
	before, last := a.stateOf(t, m.room.ID()), m.last()
	var events []*matrix.Event
	for i := range 20 {
		events = append(events, m.on(last.After(), text(dora, fmt.Sprint("again ", i)), last.Event))
	}
	m.send(inbox, events...)
	checked := l.checked.Load()
	for range 100 {
		m.send(inbox, events...)
	}
	if n := l.checked.Load() - checked; n != 0 {
		t.Errorf("%d signatures were checked again", n)
	}
	m.goesOn(before, inbox)
}
