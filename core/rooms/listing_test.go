package rooms_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

var age = regexp.MustCompile(`"age":\d+`)

// A long list is rendered in pieces, looking ahead; each event is as it would be by itself.
func TestListingsRenderAsEachEventAlone(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r, ctx := newRig(t, url, nil), t.Context()
		room := r.publicRoom(t, "11")
		people := r.crowd(t, room, 600)
		late, gone := people[400], people[401]
		r.must(t, room, state(alice, "m.room.history_visibility", "", object{"history_visibility": "joined"}))
		for i, u := range people[:20] { // whoever has a name has said so by an event that took another's place
			r.must(t, room, state(u, "m.room.member", string(u), object{"membership": "join", "displayname": fmt.Sprint("N", i)}))
		}
		r.must(t, room, state(late, "m.room.member", string(late), object{"membership": "leave"}))
		r.must(t, room, state(alice, "m.room.history_visibility", "", object{"history_visibility": "shared"}))
		r.must(t, room, state(late, "m.room.member", string(late), object{"membership": "join"}))
		r.must(t, room, state(people[3], "m.room.member", string(people[3]), object{"membership": "join", "displayname": "again"}))
		r.must(t, room, state(gone, "m.room.member", string(gone), object{"membership": "leave"}))
		for _, user := range []matrix.UserID{alice, late, gone, rooms.Auditor} {
			c := r.caller(t, user)
			want := r.alone(t, room, c)
			list, err := r.rooms.Listed(ctx, room, c)
			if err != nil {
				t.Fatal(err)
			}
			got := listed(t, list)
			if len(got) != len(want) {
				t.Fatalf("%s is told of %d pieces of state, want %d", user, len(got), len(want))
			}
			for id, e := range want {
				if got[id] != e {
					t.Errorf("%s is told\n%s, alone\n%s", user, got[id], e)
				}
			}
			if only, err := r.rooms.Listed(ctx, room, c); err != nil || len(listed(t, only.Only("m.room.join_rules"))) != 1 {
				t.Errorf("%s: rules to join: %v", user, err)
			}
		}
		c := r.caller(t, alice)
		for membership, n := range map[string]int{"join": 600, "leave": 1, "": 601, "ban": 0} {
			list, err := r.rooms.Members(ctx, room, c, rooms.MembersRequest{Membership: membership})
			if err != nil {
				t.Fatal(err)
			}
			if got := listed(t, list); len(got) != n {
				t.Errorf("%d members of membership %q, want %d", len(got), membership, n)
			}
		}
	})
}

// alone renders the state that somebody reads, one event at a time, without age.
func (r *rig) alone(t *testing.T, room *rooms.Room, c matrix.Caller) map[string]string {
	t.Helper()
	events, err := r.rooms.State(t.Context(), room, c.User)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range events {
		text, err := r.rooms.RenderOne(t.Context(), room, c, e)
		if err != nil {
			t.Fatal(err)
		}
		out[string(e.ID)] = age.ReplaceAllString(string(text), "")
	}
	return out
}

// listed are the events of a list by their ids, without age.
func listed(t *testing.T, list *rooms.Listing) map[string]string {
	t.Helper()
	var b bytes.Buffer
	if err := list.WriteJSON(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	var events []json.RawMessage
	if err := json.Unmarshal(b.Bytes(), &events); err != nil {
		t.Fatalf("%v in %.200s", err, b.Bytes())
	}
	out := map[string]string{}
	for _, e := range events {
		var id struct {
			ID string `json:"event_id"`
		}
		if err := json.Unmarshal(e, &id); err != nil {
			t.Fatal(err)
		}
		out[id.ID] = age.ReplaceAllString(string(e), "")
	}
	return out
}

// A list is never in memory as a whole.
func TestListingsComeInPieces(t *testing.T) {
	r := newRig(t, memoryURL(t), nil)
	room := r.publicRoom(t, "11")
	r.crowd(t, room, 1000)
	list, err := r.rooms.JoinedMembers(t.Context(), room, r.caller(t, alice))
	if err != nil {
		t.Fatal(err)
	}
	var pieces []int
	err = list.Each(t.Context(), func(events []*rooms.Stored) error {
		pieces = append(pieces, len(events))
		return nil
	})
	if err != nil || len(pieces) != 4 || slices.Max(pieces) > 256 {
		t.Errorf("pieces of %v events, %v", pieces, err)
	}
}
