package rooms_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	"rempart/core/border"
	"rempart/core/rooms"
	"rempart/internal/matrix"
)

const (
	two = matrix.ServerName("two.example")
	far = matrix.UserID("@far:two.example")
)

// gate is the judge of a border that refuses some passages: "from>to kind".
type gate struct {
	mu      sync.Mutex
	refused []string
}

func (g *gate) refuses(passages ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused = passages
}

func (g *gate) judge(_ context.Context, from, to matrix.ServerName, kind string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if slices.Contains(g.refused, string(from)+">"+string(to)+" "+kind) {
		return matrix.Forbidden("The border is closed.")
	}
	return nil
}

// The ways over the border.
const (
	wayOut    = "home.example>two.example "
	wayIn     = "two.example>home.example "
	directory = "home.example>two.example directory" // an answer to a question of two.example
)

// tenants is a rig with two servers, an account on each, and the judge between them.
func tenants(t *testing.T) (*gate, *rig) {
	t.Helper()
	g := &gate{}
	r := newRig(t, sqliteURL(t), func(o *rooms.Options) {
		o.Server, o.Federated = home, true
		o.Border = border.New(border.Options{Servers: []matrix.ServerName{home, two}, Judge: g.judge})
	})
	r.account(t, alice)
	r.account(t, far)
	return g, r
}

// What is said goes out of the one server and need not be answered; who comes in or is asked in must be admitted both ways; whoever goes, is
// shown out or closes the room is stopped by nothing.
func TestEventsOverTheBorder(t *testing.T) {
	g, r := tenants(t)
	room := r.publicRoom(t, "11")
	change := rooms.MembershipChange{Room: room, Sender: far, Target: far}
	invite := rooms.MembershipChange{Room: room, Sender: alice, Target: far}
	for _, way := range []string{wayOut, wayIn} {
		g.refuses(way)
		if err := r.rooms.Invite(t.Context(), invite); !matrix.HasCode(err, matrix.CodeForbidden) {
			t.Errorf("an invitation passes without %q: %v", way, err)
		}
		if err := r.rooms.Join(t.Context(), change); !matrix.HasCode(err, matrix.CodeForbidden) {
			t.Errorf("a join passes without %q: %v", way, err)
		}
	}
	g.refuses()
	if err := r.rooms.Join(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	g.refuses(wayOut)
	if _, err := r.send(t.Context(), room, text(alice, "secret")); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("what is said passes: %v", err)
	}
	r.must(t, room, text(far, "the other way is open"))
	g.refuses(wayIn)
	r.must(t, room, text(alice, "and now this one"))

	g.refuses()
	r.must(t, room, state(alice, "m.room.server_acl", "", object{"allow": []string{"*"}, "deny": []string{string(two)}}))
	if _, err := r.send(t.Context(), room, text(far, "kept out")); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("whom the access list keeps out speaks: %v", err)
	}
	g.refuses(wayOut, wayIn)
	r.must(t, room, state(alice, "m.room.server_acl", "", object{"allow": []string{"*"}}))
	if err := r.rooms.Leave(t.Context(), change); err != nil {
		t.Errorf("to leave: %v", err)
	}
	if err := r.rooms.Ban(t.Context(), invite); err != nil {
		t.Errorf("to ban: %v", err)
	}
	r.must(t, room, state(alice, "m.room.tombstone", "", object{"body": "moved", "replacement_room": "!x:home.example"}))
}

// What one server publishes another one reads by a question that may be refused, and finds in no directory of its own.
func TestRoomsOverTheBorder(t *testing.T) {
	g, r := tenants(t)
	room := r.create(t, &rooms.CreateRequest{Preset: "public_chat", Visibility: "public", RoomAliasName: "hall", InitialState: []rooms.InitialState{
		{Type: "m.room.history_visibility", Content: json.RawMessage(`{"history_visibility":"world_readable"}`)}}})
	said := r.must(t, room, text(alice, "to the world"))[0]
	list := func(q rooms.DirectoryRequest) (int, error) {
		page, err := r.rooms.Directory(t.Context(), q)
		if err != nil {
			return 0, err
		}
		return len(page.Chunk), nil
	}
	ask := rooms.DirectoryRequest{Server: home, Asker: two}
	alias := matrix.RoomAlias("#hall:home.example")
	if n, err := list(ask); n != 1 || err != nil {
		t.Errorf("%d rooms, %v", n, err)
	}
	if n, err := list(rooms.DirectoryRequest{Asker: two}); n != 0 || err != nil {
		t.Errorf("a directory holds %d rooms of another server, %v", n, err)
	}
	if _, _, err := r.rooms.FindAlias(t.Context(), two, alias); err != nil {
		t.Error(err)
	}
	if _, err := r.rooms.Summarise(t.Context(), room, far); err != nil {
		t.Error(err)
	}
	g.refuses(directory)
	if n, err := list(ask); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("who is refused reads %d rooms, %v", n, err)
	}
	if _, _, err := r.rooms.FindAlias(t.Context(), two, alias); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("who is refused finds an alias: %v", err)
	}
	if _, err := r.rooms.Summarise(t.Context(), room, far); !matrix.HasCode(err, matrix.CodeNotFound) {
		t.Errorf("who is refused is told of a room: %v", err)
	}
	g.refuses()
	if _, err := r.rooms.Messages(t.Context(), room, far, rooms.MessagesRequest{Limit: 5}); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("a room of another server is read from outside: %v", err)
	}
	if seen, err := r.rooms.Visible(t.Context(), room, far, []*rooms.Stored{said}); err != nil || len(seen) != 0 {
		t.Errorf("an event of it is seen from outside: %d, %v", len(seen), err)
	}
}

// A user's device list is told to all servers around him, those of this installation too; what is said within goes to those alone.
func TestServersAround(t *testing.T) {
	_, r := tenants(t)
	joinedRemote(t, r)
	inner := r.publicRoom(t, "11")
	if err := r.rooms.Join(t.Context(), rooms.MembershipChange{Room: inner, Sender: far, Target: far}); err != nil {
		t.Fatal(err)
	}
	nid := r.caller(t, alice).UserNID
	for what, c := range map[string]struct {
		of   func() ([]matrix.ServerName, error)
		want []matrix.ServerName
	}{
		"all":    {func() ([]matrix.ServerName, error) { return r.rooms.AllServersOf(t.Context(), nid) }, []matrix.ServerName{home, carol.Server(), two}},
		"others": {func() ([]matrix.ServerName, error) { return r.rooms.ServersOf(t.Context(), nid) }, []matrix.ServerName{carol.Server()}},
		"within": {func() ([]matrix.ServerName, error) { return r.rooms.WithinOf(t.Context(), nid, home) }, []matrix.ServerName{two}},
	} {
		if got, err := c.of(); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v, %v", what, got, c.want, err)
		}
	}
}
