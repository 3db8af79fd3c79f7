package rooms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// A guest finds the event of a time before he came, and pages from there both ways without a hole, however far it is from what he has.
func TestTheEventOfATimeElsewhere(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		start := time.Now().Add(-time.Hour).UnixMilli()
		var want []string
		for i := range 150 {
			draft := text(alice, fmt.Sprint("message ", i))
			draft.OriginTS = start + int64(i)*1000
			a.must(t, room, draft)
			want = append(want, fmt.Sprint("message ", i))
		}
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		here := d.known(t, room.ID())
		for _, c := range []struct {
			ts       int64
			backward bool
			want     string
		}{{start + 20_500, false, "message 21"}, {start + 20_500, true, "message 20"}} {
			e, err := d.rooms.EventNear(t.Context(), here, dora, c.ts, c.backward)
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := matrix.LookupText(e.Content, "body"); body != c.want {
				t.Errorf("found %q, want %q", body, c.want)
			}
		}
		asked := w.called("timestamp_to_event")
		if asked == 0 {
			t.Fatal("nobody was asked")
		}
		if got := d.readAll(t, here, dora, true, 30); !slices.Equal(got, want) {
			t.Errorf("backwards: %d messages, want %d: %v", len(got), len(want), got)
		}
		if got := d.readAll(t, here, dora, false, 30); !slices.Equal(got, want) {
			t.Errorf("forwards: %v", got)
		}
		if _, err := d.rooms.EventNear(t.Context(), here, dora, start+20_500, true); err != nil || w.called("timestamp_to_event") != asked {
			t.Errorf("what is whole here was asked for again (%v)", err)
		}
	})
}

// Paging forwards from an event that was found fetches what lies between it and what is known.
func TestForwardsOverAGap(t *testing.T) {
	_, a, d := twoServers(t, sqliteURL(t))
	room := a.publicRoom(t, "11")
	start := time.Now().Add(-time.Hour).UnixMilli()
	for i := range 40 {
		draft := text(alice, fmt.Sprint("message ", i))
		draft.OriginTS = start + int64(i)*1000
		a.must(t, room, draft)
	}
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	here := d.known(t, room.ID())
	e, err := d.rooms.EventNear(t.Context(), here, dora, start+5_500, false)
	if err != nil {
		t.Fatal(err)
	}
	from := matrix.HistoryPage(e.Row.Depth, e.Row.NID)
	page, err := d.rooms.Messages(t.Context(), here, dora, rooms.MessagesRequest{From: &from, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	if got := bodies(page.Events); len(got) != 33 || got[0] != "message 7" || got[32] != "message 39" {
		t.Errorf("got %v", got)
	}
}

// readAll reads all messages of a room page by page, and gives them oldest first.
func (r *rig) readAll(t testing.TB, room *rooms.Room, user matrix.UserID, backward bool, limit int) []string {
	t.Helper()
	var out []string
	q := rooms.MessagesRequest{Backward: backward, Limit: limit}
	for range 100 {
		page, err := r.rooms.Messages(t.Context(), room, user, q)
		if err != nil {
			t.Fatal(err)
		}
		if out = append(out, bodies(page.Events)...); page.End == nil {
			break
		}
		q.From = page.End
	}
	if backward {
		slices.Reverse(out)
	}
	return out
}

func bodies(events []*rooms.Stored) []string {
	var out []string
	for _, e := range events {
		if body, ok := matrix.LookupText(e.Content, "body"); ok {
			out = append(out, body)
		}
	}
	return out
}

// Another server's directory is shown as that server gives it, found by its own search.
func TestTheDirectoryOfAnotherServer(t *testing.T) {
	w, a, d := twoServers(t, sqliteURL(t))
	for _, name := range []string{"apples", "pears"} {
		room := a.publicRoom(t, "11")
		a.must(t, room, state(alice, "m.room.name", "", object{"name": name}))
		if err := a.rooms.Publish(t.Context(), room, true); err != nil {
			t.Fatal(err)
		}
	}
	q := rooms.DirectoryRequest{Server: home, Asker: there, Limit: 10}
	q.Filter.Term = "pear"
	page, err := d.rooms.Directory(t.Context(), q)
	if err != nil || len(page.Chunk) != 1 || page.Chunk[0].Name != "pears" {
		t.Fatalf("%+v, %v", page, err)
	}
	w.down[home] = true
	if _, err := d.rooms.Directory(t.Context(), q); matrix.AsError(err).Status != 502 {
		t.Errorf("a server that is down: %v", err)
	}
	if q.Server = "no server!"; err == nil {
		if _, err = d.rooms.Directory(t.Context(), q); matrix.AsError(err).Status != 400 {
			t.Errorf("a name that is none: %v", err)
		}
	}
}

// listsAll is a wire whose servers do not read what is looked for in their directories.
type listsAll struct{ *wire }

func (w listsAll) PublicRooms(ctx context.Context, from, to matrix.ServerName, query []byte) (json.RawMessage, error) {
	var q map[string]json.RawMessage
	if err := json.Unmarshal(query, &q); err != nil {
		return nil, err
	}
	delete(q, "filter")
	query, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	return w.wire.PublicRooms(ctx, from, to, query)
}

// What was not looked for is left out of what another server lists, and pages of nothing else are passed over, some of them.
func TestWhoListsAllIsLookedThrough(t *testing.T) {
	w := &wire{}
	a := w.server(t, home, sqliteURL(t))
	d := w.serverBehind(t, there, sqliteURL(t), listsAll{w})
	a.account(t, alice)
	for _, name := range []string{"apples", "red Pears", "plums", "figs", "dates", "limes", "nuts"} {
		room := a.publicRoomOf(t, alice, name, map[bool]string{true: "m.space"}[name == "plums"])
		if err := a.rooms.Publish(t.Context(), room, true); err != nil {
			t.Fatal(err)
		}
	}
	space := "m.space"
	for _, c := range []struct {
		term  string
		types []*string
		want  []string
	}{
		{"pears", nil, []string{"red Pears"}},
		{"pears of yore", nil, []string{"red Pears"}}, // how others search is theirs to say
		{"cellar", nil, nil},
		{"", []*string{&space}, []string{"plums"}},
		{"pears", []*string{&space}, nil},
		{" ", []*string{&space}, []string{"plums"}},
	} {
		for _, limit := range []int{0, 1} {
			q := rooms.DirectoryRequest{Server: home, Asker: there, Limit: limit}
			q.Filter.Term, q.Filter.Types = c.term, c.types
			asked, found := w.called("public_rooms"), []string(nil)
			for more := true; more; more = q.Since != "" {
				page, err := d.rooms.Directory(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page.Chunk {
					found = append(found, r.Name)
				}
				if q.Since = page.NextBatch; len(page.Chunk) == 0 && q.Since != "" && w.called("public_rooms")-asked < 5 {
					t.Errorf("%q by %d: a page of nothing", c.term, limit)
				}
			}
			if !slices.Equal(found, c.want) {
				t.Errorf("%q of %v by %d: %v", c.term, c.types, limit, found)
			}
		}
	}
}

// A tree goes on in rooms that only another server is in: it is asked once for a space, and its word on who may see what is checked here.
func TestASpaceOnAnotherServer(t *testing.T) {
	w, a, d := twoServers(t, sqliteURL(t))
	leaf, hidden := d.publicRoomOf(t, dora, "leaf", ""), d.publicRoomOf(t, dora, "hidden", "")
	d.must(t, hidden, state(dora, "m.room.join_rules", "", object{"join_rule": "invite"}))
	inner := d.publicRoomOf(t, dora, "inner", "m.space")
	for _, child := range []*rooms.Room{leaf, hidden} {
		d.must(t, inner, state(dora, "m.space.child", string(child.ID()), object{"via": []string{string(there)}}))
	}
	outer := a.publicRoomOf(t, alice, "outer", "m.space")
	a.must(t, outer, state(alice, "m.space.child", string(inner.ID()), object{"via": []string{"gone.example", string(there)}}))
	tree := func() (names []string) {
		list, _, err := a.rooms.Hierarchy(t.Context(), outer, alice, rooms.HierarchyRequest{MaxDepth: -1})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			names = append(names, r.Name)
		}
		return names
	}
	want := []string{"outer", "inner", "leaf"}
	if got := tree(); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	asked := w.called("hierarchy")
	if got := tree(); !slices.Equal(got, want) || w.called("hierarchy") != asked {
		t.Errorf("second time %v, asked %d times more", got, w.called("hierarchy")-asked)
	}
	// Another server of the installation that is asked, which has nobody in the room, knows nothing of it.
	if _, err := d.rooms.ServeHierarchy(t.Context(), home, "neighbour.example", inner.ID(), false); !matrix.HasCode(err, matrix.CodeNotFound) {
		t.Errorf("asked for by another of our names: %v", err)
	}
}

// publicRoomOf makes a room with a name that anybody may join.
func (r *rig) publicRoomOf(t testing.TB, creator matrix.UserID, name, typ string) *rooms.Room {
	t.Helper()
	v, _ := matrix.Version("11")
	create := object{"room_version": "11"}
	if typ != "" {
		create["type"] = typ
	}
	raw, _ := json.Marshal(create)
	room, _, err := r.rooms.CreateRoom(t.Context(), v, creator, raw, func(*rooms.View) ([]rooms.Draft, error) {
		return []rooms.Draft{
			state(creator, "m.room.member", string(creator), object{"membership": "join"}),
			state(creator, "m.room.power_levels", "", object{"users": object{string(creator): 100}}),
			state(creator, "m.room.join_rules", "", object{"join_rule": "public"}),
			state(creator, "m.room.name", "", object{"name": name}),
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return room
}
