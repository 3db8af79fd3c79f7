package sovereign

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rempart/federation/client"
	"rempart/internal/matrix"
	"rempart/internal/testkit/mx"
)

// build makes an event of this server's room.
func (p *peer) build(by *peer, room, typ string, stateKey *string, content object, auth []matrix.EventID, prev ...matrix.EventID) *matrix.Event {
	p.t.Helper()
	raw, err := json.Marshal(content)
	mx.Must(p.t, err)
	e, err := p.room.Build(matrix.Proto{RoomID: matrix.RoomID(room), Sender: matrix.UserID("@eve:" + string(by.name)), Type: typ, StateKey: stateKey, Content: raw,
		PrevEvents: prev, AuthEvents: auth, Depth: int64(len(prev)) + 20, OriginServerTS: time.Now().UnixMilli()}, by.key)
	mx.Must(p.t, err)
	return e
}

// invitation hands in an event.
func invitation(e *matrix.Event) client.Invitation {
	return client.Invitation{RoomVersion: "11", Event: json.RawMessage(e.JSON)}
}

// TestNoRelay has a partner hand on what servers say that are none, and invite in their names: nobody is asked, and nobody comes in.
func TestNoRelay(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	w := l.town("mairie.lab", "127.10.0.1", french+partners("prefecture.lab", "abroad.lab"), "")
	p := l.peer("prefecture.lab", "127.10.0.2")
	p.answers(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(`{"pdus":{}}`)) })
	room, err := w.alice.CreateRoom(ctx, object{"preset": "public_chat", "room_version": "11"})
	mx.Must(t, err)
	mx.Must(t, p.join("mairie.lab", matrixRoom(room), "@bob:prefecture.lab"))
	for i, name := range []string{"stranger.lab", "abroad.lab"} {
		other := l.peer(name, []string{"127.10.0.3", "127.12.0.2"}[i])
		key := "@eve:" + name
		e := p.build(other, room, "m.room.member", &key, object{"membership": "join"}, p.auth, p.auth[len(p.auth)-1])
		body := fmt.Sprintf(`{"edus":[{"content":{"room_id":%q,"typing":true,"user_id":%q},"edu_type":"m.typing"}],"origin":"prefecture.lab","origin_server_ts":1,"pdus":[%s]}`, room, key, e.JSON)
		if _, err := p.SendTransaction(ctx, p.name, "mairie.lab", "relay"+name, []byte(body)); err != nil {
			t.Errorf("the partner's transaction: %v", err)
		}
		l.until("the key of "+name+" is refused", func() bool { n, _ := w.refusals2(name); return n > 0 })
		mx.Must(t, w.alice.Do(ctx, "PUT", "/_matrix/client/v3/sendToDevice/m.test/"+name, object{"messages": object{w.alice.UserID: object{"*": object{}}}}, nil))
		var members struct{ Joined map[string]any }
		mx.Must(t, w.alice.Do(ctx, "GET", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/joined_members", nil, &members))
		if members.Joined[key] != nil || other.calls() != 0 {
			t.Errorf("%s is in the room, or was asked %d times", key, other.calls())
		}
		if _, err := other.Invite(ctx, other.name, "mairie.lab", matrixRoom(room), e.ID, invitation(e)); status(err) != 403 {
			t.Errorf("an invitation of %s: %v", name, err)
		}
	}
	// A partner in the room says that they are in it: nobody can check that, so nothing is said there until they are banned.
	for _, name := range []string{"stranger.lab", "abroad.lab"} {
		_, err = w.alice.Send(ctx, room, "secret "+name, "secret")
		if e := refused(err); e == nil || e.Code != "M_FORBIDDEN" || !strings.Contains(e.Message, name) {
			t.Errorf("a message beside %s: %v", name, err)
		}
		mx.Must(t, w.alice.Do(ctx, "POST", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/ban", object{"user_id": "@eve:" + name}, nil))
	}
	_, err = w.alice.Send(ctx, room, "still", "the room goes on")
	mx.Must(t, err)
	w.nothingLeft()
}

// resident is a partner in whose room somebody abroad is.
type resident struct {
	*peer
	room  string
	state []json.RawMessage
	auth  []matrix.EventID
	last  matrix.EventID

	mu    sync.Mutex
	shown []string // the events that it was handed
}

func (l *lab) resident(p *peer, other *peer) *resident {
	v, _ := matrix.Version("11")
	p.room, other.room = v, v
	r := &resident{peer: p, room: "!bait:" + string(p.name)}
	none, eve := "", "@eve:"+string(p.name)
	add := func(e *matrix.Event) matrix.EventID {
		r.state, r.last = append(r.state, json.RawMessage(e.JSON)), e.ID
		return e.ID
	}
	create, err := v.Build(matrix.Proto{RoomID: matrix.RoomID(r.room), Sender: matrix.UserID(eve), Type: "m.room.create", StateKey: &none,
		Content: json.RawMessage(`{"room_version":"11"}`), PrevEvents: []matrix.EventID{}, AuthEvents: []matrix.EventID{}, Depth: 1, OriginServerTS: time.Now().UnixMilli()}, p.key)
	mx.Must(l.t, err)
	c := add(create)
	m := add(p.build(p, r.room, "m.room.member", &eve, object{"membership": "join"}, []matrix.EventID{c}, c))
	pl := add(p.build(p, r.room, "m.room.power_levels", &none, object{"users": object{eve: 100}}, []matrix.EventID{c, m}, m))
	jr := add(p.build(p, r.room, "m.room.join_rules", &none, object{"join_rule": "public"}, []matrix.EventID{c, m, pl}, pl))
	r.auth = []matrix.EventID{c, pl, jr}
	foreign := "@eve:" + string(other.name)
	add(p.build(other, r.room, "m.room.member", &foreign, object{"membership": "join"}, r.auth, jr))
	p.answers(r.serve)
	return r
}

func (r *resident) serve(w http.ResponseWriter, req *http.Request) {
	parts := strings.Split(req.URL.Path, "/")
	switch act := parts[4]; act {
	case "make_join", "make_leave":
		user := parts[6]
		event := object{"type": "m.room.member", "room_id": r.room, "sender": user, "state_key": user, "content": object{"membership": strings.TrimPrefix(act, "make_")},
			"depth": 30, "prev_events": []matrix.EventID{r.last}, "auth_events": r.auth, "origin": r.name, "origin_server_ts": time.Now().UnixMilli()}
		_ = json.NewEncoder(w).Encode(object{"room_version": "11", "event": event})
	case "send_join", "send_leave":
		raw, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.shown = append(r.shown, act+" "+string(raw))
		r.mu.Unlock()
		if act == "send_leave" {
			_, _ = w.Write([]byte(`{}`))
			return
		}
		_ = json.NewEncoder(w).Encode(object{"origin": r.name, "state": r.state, "auth_chain": r.state, "event": json.RawMessage(raw), "members_omitted": false})
	default:
		http.NotFound(w, req)
	}
}

// seen are the events that it was handed.
func (r *resident) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.shown)
}

// TestNoJoinWhereSomebodyAbroadIs enters a partner's room in which a server abroad takes part: nothing is kept of it, the partner was shown no more
// than who asked, and is told that he is gone.
func TestNoJoinWhereSomebodyAbroadIs(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	w := l.town("mairie.lab", "127.10.0.1", french+partners("prefecture.lab", "abroad.lab"), "")
	mx.Must(t, w.alice.Do(ctx, "PUT", "/_matrix/client/v3/profile/"+w.alice.UserID+"/displayname", object{"displayname": "Alice Secret"}, nil))
	for _, name := range []string{"abroad.lab", "stranger.lab"} {
		p := l.peer("prefecture.lab", map[string]string{"abroad.lab": "127.10.0.2", "stranger.lab": "127.10.0.4"}[name])
		if name == "stranger.lab" {
			w = l.town("other.lab", "127.10.0.5", french+partners("prefecture.lab"), "")
		}
		other := l.peer(name, map[string]string{"abroad.lab": "127.12.0.2", "stranger.lab": "127.10.0.3"}[name])
		r := l.resident(p, other)
		err := w.alice.Do(ctx, "POST", "/_matrix/client/v3/join/"+url.PathEscape(r.room)+"?via=prefecture.lab", object{}, nil)
		if e := refused(err); e == nil || e.Code != "M_FORBIDDEN" {
			t.Errorf("%s: the join: %v", name, err)
		}
		l.until("it is told that he is gone", func() bool {
			return slices.ContainsFunc(r.seen(), func(s string) bool { return strings.HasPrefix(s, "send_leave") })
		})
		if text := fmt.Sprint(r.seen()); strings.Contains(text, "Secret") {
			t.Errorf("%s: it was shown more than an id: %s", name, text)
		}
		var joined struct {
			Rooms []string `json:"joined_rooms"`
		}
		mx.Must(t, w.alice.Do(ctx, "GET", "/_matrix/client/v3/joined_rooms", nil, &joined))
		if slices.Contains(joined.Rooms, r.room) || other.calls() != 0 {
			t.Errorf("%s: joined %v; the other was asked %d times", name, joined.Rooms, other.calls())
		}
		if err := w.alice.Do(ctx, "GET", "/_matrix/client/v3/rooms/"+url.PathEscape(r.room)+"/state", nil, nil); err == nil {
			t.Errorf("%s: its state was kept", name)
		}
		if !slices.ContainsFunc(w.trace("prefecture.lab"), func(e entry) bool { return e.Kind == "transaction" && slices.Contains(e.About, "user "+w.alice.UserID) }) {
			t.Errorf("%s: who was shown is not recorded: %+v", name, w.trace("prefecture.lab"))
		}
		w.nothingLeft()
	}
}
