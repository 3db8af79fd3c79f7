package rooms_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// listing is the whole directory, read by pages of two.
func (r *rig) listing(t *testing.T, q rooms.DirectoryRequest) (out []rooms.PublicRoom) {
	t.Helper()
	for q.Limit = 2; ; {
		page, err := r.rooms.Directory(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, page.Chunk...)
		if page.NextBatch == "" {
			if page.Total != len(out) {
				t.Errorf("%d rooms are counted, %d shown", page.Total, len(out))
			}
			return out
		}
		q.Since = page.NextBatch
	}
}

// The directory shows rooms as they are, whatever happens in them after it was read, and by whichever node.
func TestDirectoryFollowsItsRooms(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		readers := []*rig{r}
		if storage.IsPostgres(url) {
			readers = append(readers, newRig(t, url, nil))
		}
		var halls []*rooms.Room
		for i := range 3 {
			halls = append(halls, r.create(t, &rooms.CreateRequest{Preset: "public_chat", Visibility: "public", Name: fmt.Sprint("Hall ", i)}))
		}
		first, listed := halls[0], halls
		var topic matrix.EventID
		publish := func(room *rooms.Room, public bool) {
			t.Helper()
			if err := r.rooms.Publish(t.Context(), room, public); err != nil {
				t.Fatal(err)
			}
		}
		for _, act := range []struct {
			what   string
			do     func()
			listed []*rooms.Room
		}{
			{"made", func() {}, halls},
			{"two come into the second", func() { r.join(t, halls[1], 2) }, []*rooms.Room{halls[1], first, halls[2]}},
			{"a topic", func() { topic = r.must(t, first, state(alice, "m.room.topic", "", object{"topic": "secrets"}))[0].ID }, nil},
			{"it is redacted", func() {
				if _, err := r.rooms.Redact(t.Context(), rooms.SendRequest{Room: first, Sender: alice}, topic, ""); err != nil {
					t.Fatal(err)
				}
			}, nil},
			{"another name", func() { r.must(t, first, state(alice, "m.room.name", "", object{"name": "Aula"})) }, nil},
			{"no name any more", func() { r.must(t, first, state(alice, "m.room.name", "", object{})) }, nil},
			{"for the world to read", func() {
				r.must(t, first, state(alice, "m.room.history_visibility", "", object{"history_visibility": "world_readable"}))
			}, nil},
			{"who knocks may come", func() { r.must(t, first, state(alice, "m.room.join_rules", "", object{"join_rule": "knock"})) }, nil},
			{"the third is withdrawn", func() { publish(halls[2], false) }, []*rooms.Room{halls[1], first}},
			{"and is there again", func() { publish(halls[2], true) }, []*rooms.Room{halls[1], first, halls[2]}},
		} {
			act.do()
			if act.listed != nil {
				listed = act.listed
			}
			var want []rooms.PublicRoom
			for _, room := range listed {
				s, err := r.rooms.Summarise(t.Context(), room, alice)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, s.PublicRoom)
			}
			for node, reader := range readers {
				if got := reader.listing(t, rooms.DirectoryRequest{}); !reflect.DeepEqual(got, want) {
					t.Errorf("%s, node %d:\n%+v, want\n%+v", act.what, node, got, want)
				}
			}
		}
	})
}

// A page ends where its bytes do, and the next one goes on from there.
func TestDirectoryPagesAreBounded(t *testing.T) {
	r := newRig(t, sqliteURL(t), nil)
	const made = 40
	for i := range made {
		r.create(t, &rooms.CreateRequest{Preset: "public_chat", Visibility: "public", Name: fmt.Sprint("Hall ", i), Topic: strings.Repeat("x", 30_000)})
	}
	shown := map[matrix.RoomID]bool{}
	pages := 0
	for since := ""; pages == 0 || since != ""; pages++ {
		page, err := r.rooms.Directory(t.Context(), rooms.DirectoryRequest{Since: since})
		if err != nil {
			t.Fatal(err)
		}
		if size := 30_000 * len(page.Chunk); size > 1<<20 || size == 0 {
			t.Errorf("a page of %d bytes", size)
		}
		for _, p := range page.Chunk {
			if shown[p.RoomID] {
				t.Errorf("%s is shown twice", p.Name)
			}
			shown[p.RoomID] = true
		}
		since = page.NextBatch
	}
	if pages != 2 || len(shown) != made {
		t.Errorf("%d pages show %d rooms", pages, len(shown))
	}
}
