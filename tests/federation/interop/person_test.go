package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"

	"rempart/internal/testkit/mx"
)

// person is somebody at one of the servers who remembers all that his syncs told him.
type person struct {
	*mx.Client
	side  *side
	since string
	rooms map[string]*seen
	txn   int
}

// seen is what one person was told of one room.
type seen struct {
	events  []json.RawMessage
	invited bool
}

var people atomic.Int64

// newPerson registers somebody.
func (s *side) newPerson(t *testing.T, name string) *person {
	t.Helper()
	c, err := mx.Register(t.Context(), s.url(), fmt.Sprint(name, people.Add(1)))
	mx.Must(t, err)
	return &person{Client: c, side: s, rooms: map[string]*seen{}}
}

const quiet = `{"presence":{"types":[]},"room":{"timeline":{"limit":200}}}`

// sync asks for what is new and remembers it.
func (p *person) sync(ctx context.Context) error {
	q := url.Values{"timeout": {"2000"}, "filter": {quiet}}
	if p.since != "" {
		q.Set("since", p.since)
	}
	type list struct{ Events []json.RawMessage }
	type room struct {
		Timeline, State, Ephemeral list
		Invite                     list `json:"invite_state"`
		Knock                      list `json:"knock_state"`
	}
	var s struct {
		Next  string `json:"next_batch"`
		Rooms struct{ Join, Leave, Invite, Knock map[string]room }
	}
	if err := p.Do(ctx, "GET", "/_matrix/client/v3/sync?"+q.Encode(), nil, &s); err != nil {
		return err
	}
	p.since = s.Next
	for _, m := range []map[string]room{s.Rooms.Join, s.Rooms.Leave, s.Rooms.Invite, s.Rooms.Knock} {
		for id, r := range m {
			of := p.of(id)
			_, of.invited = s.Rooms.Invite[id]
			for _, l := range []list{r.State, r.Timeline, r.Ephemeral, r.Invite, r.Knock} {
				of.events = append(of.events, l.Events...)
			}
		}
	}
	return nil
}

func (p *person) of(room string) *seen {
	if p.rooms[room] == nil {
		p.rooms[room] = &seen{}
	}
	return p.rooms[room]
}

// until syncs until something holds.
func (p *person) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !holds() {
		if err := p.sync(ctx); err != nil {
			t.Fatalf("%s waits for %s: %v", p.UserID, what, err)
		}
	}
}

// hears waits for an event of a room that has all the words.
func (p *person) hears(t *testing.T, room string, words ...string) json.RawMessage {
	t.Helper()
	var found json.RawMessage
	p.until(t, fmt.Sprintf("%q in %s", words, room), func() bool {
		for _, e := range p.of(room).events {
			if found = e; hasAll(e, words) {
				return true
			}
		}
		return false
	})
	return found
}

func hasAll(e []byte, words []string) bool {
	for _, w := range words {
		if !bytes.Contains(e, []byte(w)) {
			return false
		}
	}
	return true
}

// sees waits for a membership of somebody.
func (p *person) sees(t *testing.T, room string, who *person, membership string) {
	t.Helper()
	p.until(t, fmt.Sprint(who.UserID, " to be of membership ", membership), func() bool {
		now := ""
		for _, raw := range p.of(room).events {
			var e mx.Event
			var content struct{ Membership string }
			if json.Unmarshal(raw, &e) == nil && e.Type == "m.room.member" && e.StateKey != nil && *e.StateKey == who.UserID &&
				json.Unmarshal(e.Content, &content) == nil {
				now = content.Membership
			}
		}
		return now == membership
	})
}

// finds waits until the room's state has a membership of somebody. Why beside sees: Synapse does not show the others in a room that one of its
// own was invited from outside (github.com/element-hq/synapse/issues/8605).
func (p *person) finds(t *testing.T, room string, who *person, membership string) {
	t.Helper()
	p.until(t, fmt.Sprint("the state to have ", who.UserID, " as ", membership), func() bool {
		var content struct{ Membership string }
		path := "/_matrix/client/v3/rooms/" + url.PathEscape(room) + "/state/m.room.member/" + url.PathEscape(who.UserID)
		return p.Do(t.Context(), "GET", path, nil, &content) == nil && content.Membership == membership
	})
}

// call makes a request of the client-server API that must succeed.
func (p *person) call(t *testing.T, method, path string, body, out any) {
	t.Helper()
	if err := p.Do(t.Context(), method, "/_matrix/client/v3"+path, body, out); err != nil {
		t.Fatalf("%s: %s %s: %v", p.UserID, method, path, err)
	}
}

// creates makes a room of a version.
func (p *person) creates(t *testing.T, version string, more map[string]any) string {
	t.Helper()
	req := map[string]any{"preset": "public_chat", "room_version": version}
	for k, v := range more {
		req[k] = v
	}
	room, err := p.CreateRoom(t.Context(), req)
	mx.Must(t, err)
	return room
}

func (p *person) tryJoin(ctx context.Context, room string, via *side) error {
	q := url.Values{"server_name": {via.name}, "via": {via.name}}
	return p.Do(ctx, "POST", "/_matrix/client/v3/join/"+url.PathEscape(room)+"?"+q.Encode(), map[string]any{}, nil)
}

func (p *person) joins(t *testing.T, room string, via *side) {
	t.Helper()
	if err := p.tryJoin(t.Context(), room, via); err != nil {
		t.Fatalf("%s joins %s: %v", p.UserID, room, err)
	}
}

// does asks for a membership operation on somebody else.
func (p *person) does(t *testing.T, act, room string, to *person) {
	t.Helper()
	p.call(t, "POST", "/rooms/"+url.PathEscape(room)+"/"+act, map[string]string{"user_id": to.UserID}, nil)
}

func (p *person) leaves(t *testing.T, room string) {
	t.Helper()
	p.call(t, "POST", "/rooms/"+url.PathEscape(room)+"/leave", map[string]any{}, nil)
}

// says sends a text and gives the event's id.
func (p *person) says(t *testing.T, room, text string) string {
	t.Helper()
	p.txn++
	id, err := p.Send(t.Context(), room, fmt.Sprint("txn", p.txn), text)
	if err != nil {
		t.Fatalf("%s says %q: %v", p.UserID, text, err)
	}
	return id
}

// sets puts a state event, which must be allowed.
func (p *person) sets(t *testing.T, room, typ, key string, content any) {
	t.Helper()
	p.call(t, "PUT", "/rooms/"+url.PathEscape(room)+"/state/"+url.PathEscape(typ)+"/"+url.PathEscape(key), content, nil)
}

// talk lets two people say something to one another.
func talk(t *testing.T, room string, a, b *person) {
	t.Helper()
	for _, d := range [][2]*person{{a, b}, {b, a}} {
		id := d[0].says(t, room, "hello from "+d[0].UserID)
		d[1].hears(t, room, id, "hello from "+d[0].UserID)
	}
}
