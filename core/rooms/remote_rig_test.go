package rooms_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"rempart/core"
	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// wire connects rigs without a network: what one asks, the other's own code answers.
type wire struct {
	mu    sync.Mutex
	rigs  map[matrix.ServerName]*rig
	keys  map[matrix.ServerName]matrix.SigningKey
	calls []string
	// down are servers that do not answer.
	down map[matrix.ServerName]bool
	// checked counts the events whose signatures were checked.
	checked atomic.Int64
}

var errDown = context.DeadlineExceeded

// own signs for one server.
type own struct{ key matrix.SigningKey }

func (o own) SigningKey(server matrix.ServerName) (matrix.SigningKey, bool) {
	return o.key, server == o.key.ServerName
}

// server adds a server to the wire.
func (w *wire) server(t testing.TB, name matrix.ServerName, url string) *rig {
	t.Helper()
	return w.serverBehind(t, name, url, w)
}

// serverBehind adds a server that reaches the others by something that stands before the wire.
func (w *wire) serverBehind(t testing.TB, name matrix.ServerName, url string, peers core.Peers) *rig {
	t.Helper()
	return w.serverWith(t, name, url, func(o *rooms.Options) { o.Peers = peers })
}

// serverWith adds a server with options of its own.
func (w *wire) serverWith(t testing.TB, name matrix.ServerName, url string, change func(*rooms.Options)) *rig {
	t.Helper()
	key, err := matrix.GenerateSigningKey(name)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, url, func(o *rooms.Options) {
		o.Keys, o.Peers = own{key}, w
		change(o)
	})
	if w.rigs == nil {
		w.rigs, w.keys, w.down = map[matrix.ServerName]*rig{}, map[matrix.ServerName]matrix.SigningKey{}, map[matrix.ServerName]bool{}
	}
	w.rigs[name], w.keys[name] = r, key
	return r
}

func (w *wire) call(what string, to matrix.ServerName) (*rooms.Service, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, what)
	if w.rigs[to] == nil || w.down[to] {
		return nil, errDown
	}
	return w.rigs[to].rooms, nil
}

func (w *wire) called(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, c := range w.calls {
		if c == what {
			n++
		}
	}
	return n
}

func (w *wire) MakeMembership(ctx context.Context, from, to matrix.ServerName, act string, room matrix.RoomID, user matrix.UserID,
	versions []string) (string, json.RawMessage, error) {
	s, err := w.call("make_"+act, to)
	if err != nil {
		return "", nil, err
	}
	return s.MakeMembership(ctx, from, act, room, user, versions)
}

func (w *wire) send(ctx context.Context, from, to matrix.ServerName, act string, e *matrix.Event) (*rooms.Sent, *rooms.Service, error) {
	s, err := w.call("send_"+act, to)
	if err != nil {
		return nil, nil, err
	}
	sent, err := s.AcceptMembership(ctx, from, act, e.RoomID, e.ID, e.JSON)
	return sent, s, err
}

func (w *wire) SendJoin(ctx context.Context, from, to matrix.ServerName, e *matrix.Event, take func(bool, json.RawMessage) error) (*core.JoinState, error) {
	sent, s, err := w.send(ctx, from, to, "join", e)
	if err != nil {
		return nil, err
	}
	state, auth, err := s.StateWithAuth(ctx, sent.Room, sent.Before)
	for i, list := range [][]*rooms.Stored{state, auth} {
		for _, raw := range raws(list) {
			if err == nil {
				err = take(i == 0, raw)
			}
		}
	}
	return &core.JoinState{Event: sent.Event.JSON}, err
}

func (w *wire) SendLeave(ctx context.Context, from, to matrix.ServerName, e *matrix.Event) error {
	_, _, err := w.send(ctx, from, to, "leave", e)
	return err
}

func (w *wire) SendKnock(ctx context.Context, from, to matrix.ServerName, e *matrix.Event) ([]json.RawMessage, error) {
	sent, s, err := w.send(ctx, from, to, "knock", e)
	if err != nil {
		return nil, err
	}
	return s.Stripped(ctx, sent.Room, sent.Event.Event)
}

func (w *wire) Invite(ctx context.Context, from, to matrix.ServerName, e *matrix.Event, stripped []json.RawMessage) (json.RawMessage, error) {
	s, err := w.call("invite", to)
	if err != nil {
		return nil, err
	}
	signed, err := s.AcceptInvite(ctx, from, e.Version.ID, e.RoomID, e.ID, e.JSON, stripped)
	if err != nil {
		return nil, err
	}
	return json.RawMessage(signed.JSON), nil
}

func (w *wire) MissingEvents(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, earliest, latest []matrix.EventID,
	limit int) ([]json.RawMessage, error) {
	s, err := w.call("get_missing_events", to)
	if err != nil {
		return nil, err
	}
	events, err := s.ServeMissing(ctx, from, room, earliest, latest, limit, 0)
	return rawEvents(events), err
}

func (w *wire) StateIDs(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, at matrix.EventID) (state, auth []matrix.EventID, err error) {
	s, err := w.call("state_ids", to)
	if err != nil {
		return nil, nil, err
	}
	if state, auth, err = s.ServeStateIDs(ctx, from, room, at); err != nil {
		return state, auth, err
	}
	st, au, err := s.ServeState(ctx, from, room, at)
	if err == nil && (!sameIDs(state, ids(st)) || !sameIDs(auth, ids(au))) {
		return nil, nil, matrix.NotFound("state_ids names other events than state gives")
	}
	return state, auth, err
}

func (w *wire) State(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, at matrix.EventID, take func(json.RawMessage) error) error {
	s, err := w.call("state", to)
	if err != nil {
		return err
	}
	st, au, err := s.ServeState(ctx, from, room, at)
	return handOn(append(raws(st), raws(au)...), take, err)
}

// handOn gives events one by one, as they would come over a network.
func handOn(events []json.RawMessage, take func(json.RawMessage) error, err error) error {
	for _, raw := range events {
		if err == nil {
			err = take(raw)
		}
	}
	return err
}

func (w *wire) EventAuth(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, id matrix.EventID, take func(json.RawMessage) error) error {
	s, err := w.call("event_auth", to)
	if err != nil {
		return err
	}
	events, err := s.ServeEventAuth(ctx, from, room, id)
	return handOn(raws(events), take, err)
}

func (w *wire) Event(ctx context.Context, from, to matrix.ServerName, id matrix.EventID) (json.RawMessage, error) {
	s, err := w.call("event", to)
	if err != nil {
		return nil, err
	}
	e, err := s.ServeEvent(ctx, from, id)
	if err != nil {
		return nil, err
	}
	return json.RawMessage(e.JSON), nil
}

func (w *wire) Backfill(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, before []matrix.EventID, limit int) ([]json.RawMessage, error) {
	s, err := w.call("backfill", to)
	if err != nil {
		return nil, err
	}
	events, err := s.ServeBackfill(ctx, from, room, before, limit)
	return rawEvents(events), err
}

func (w *wire) Alias(ctx context.Context, from matrix.ServerName, alias matrix.RoomAlias) (matrix.RoomID, []matrix.ServerName, error) {
	s, err := w.call("alias", alias.Server())
	if err != nil {
		return "", nil, err
	}
	return s.FindAlias(ctx, alias.Server(), alias)
}

// VerifyEvents checks signatures by the keys of the servers on the wire.
func (w *wire) VerifyEvents(_ context.Context, events []*matrix.Event) []error {
	w.checked.Add(int64(len(events)))
	out := make([]error, len(events))
	for i, e := range events {
		for _, server := range e.RequiredSigners() {
			key, ok := w.keys[server]
			if !ok {
				out[i] = matrix.Forbidden("no key of " + string(server))
				break
			}
			pub := key.Private.Public().(ed25519.PublicKey)
			if err := e.VerifySignature(server, key.KeyID, pub); err != nil {
				out[i] = err
			}
		}
	}
	return out
}

// lying is a wire on which events of one type get lost from the states that are told; "*" loses all.
type lying struct {
	*wire
	drop string
}

func (l *lying) SendJoin(ctx context.Context, from, to matrix.ServerName, e *matrix.Event, take func(bool, json.RawMessage) error) (*core.JoinState, error) {
	return l.wire.SendJoin(ctx, from, to, e, func(state bool, raw json.RawMessage) error {
		if typ, _ := matrix.LookupText(raw, "type"); l.drop == "*" || typ == l.drop {
			return nil
		}
		return take(state, raw)
	})
}

func (w *wire) PublicRooms(ctx context.Context, _, to matrix.ServerName, query []byte) (json.RawMessage, error) {
	s, err := w.call("public_rooms", to)
	if err != nil {
		return nil, err
	}
	var q rooms.DirectoryRequest
	if err := json.Unmarshal(query, &q); err != nil {
		return nil, err
	}
	page, err := s.Directory(ctx, q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(page)
}

func (w *wire) Hierarchy(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, suggestedOnly bool) (json.RawMessage, error) {
	s, err := w.call("hierarchy", to)
	if err != nil {
		return nil, err
	}
	space, err := s.ServeHierarchy(ctx, from, to, room, suggestedOnly)
	if err != nil {
		return nil, err
	}
	return json.Marshal(space)
}

func (w *wire) EventNear(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, ts int64, backward bool) (matrix.EventID, int64, error) {
	s, err := w.call("timestamp_to_event", to)
	if err != nil {
		return "", 0, err
	}
	e, err := s.ServeNear(ctx, from, room, ts, backward)
	if err != nil {
		return "", 0, err
	}
	return e.ID, e.OriginServerTS, nil
}

// deepWire adds an event of a fantastic depth to all history.
type deepWire struct {
	*wire
	extra *matrix.Event
}

func (d *deepWire) Backfill(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, before []matrix.EventID, limit int) ([]json.RawMessage, error) {
	events, err := d.wire.Backfill(ctx, from, to, room, before, limit)
	if d.extra != nil {
		events = append(events, json.RawMessage(d.extra.JSON))
	}
	return events, err
}

func raws(events []*rooms.Stored) []json.RawMessage {
	out := make([]json.RawMessage, len(events))
	for i, e := range events {
		out[i] = json.RawMessage(e.JSON)
	}
	return out
}

func rawEvents(events []*matrix.Event) []json.RawMessage {
	out := make([]json.RawMessage, len(events))
	for i, e := range events {
		out[i] = json.RawMessage(e.JSON)
	}
	return out
}

func ids(events []*rooms.Stored) []matrix.EventID {
	out := make([]matrix.EventID, len(events))
	for i, e := range events {
		out[i] = e.ID
	}
	return out
}

// stateOf is a room's current state as one server has it: type and key to event.
func (r *rig) stateOf(t testing.TB, id matrix.RoomID) map[matrix.StateTuple]matrix.EventID {
	t.Helper()
	room, err := r.rooms.Room(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.rooms.Current(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}
	all, err := v.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[matrix.StateTuple]matrix.EventID{}
	for _, e := range all {
		out[e.Tuple()] = e.ID
	}
	return out
}

// inboxOf opens the inbox of a server.
func (r *rig) inboxOf(t testing.TB) *rooms.Inbox {
	t.Helper()
	inbox, err := rooms.NewInbox(t.Context(), r.rooms)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(inbox.Close)
	return inbox
}

// page is what a user sees of a room, oldest first: the bodies of messages, the types of all else.
func (r *rig) page(t testing.TB, id matrix.RoomID, user matrix.UserID, limit int) []string {
	t.Helper()
	room, err := r.rooms.Room(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	page, err := r.rooms.Messages(t.Context(), room, user, rooms.MessagesRequest{Backward: true, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range page.Events {
		if body, ok := matrix.LookupText(e.Content, "body"); ok {
			out = append(out, body)
			continue
		}
		out = append(out, e.Type)
	}
	slices.Reverse(out)
	return out
}
