package rooms_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// After a purge the rows go that only the purged past needed. Every event that is kept has the state before it that it
// had, and what names the past is asked for elsewhere.
func TestFold(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		m := r.remote(t, r.publicRoom(t, "11"))
		old := r.must(t, m.room, text(alice, "old"))[0]
		side := m.accept(m.on(old.After(), state(alice, "org.example.side", "", object{}), old.Event))
		m.accept(m.on(side.After(), text(alice, "merge"), side.Event, old.Event))
		for i := range 13 { // past a checkpoint, and more rows than a piece
			var drafts []rooms.Draft
			for k := range 100 {
				drafts = append(drafts, state(alice, "m.room.topic", "", object{"topic": fmt.Sprint(i, k)}), text(alice, "purged"))
				if k%5 == 0 {
					drafts = append(drafts, state(alice, "org.example.state", fmt.Sprint(i, k), object{}))
				}
			}
			r.must(t, m.room, drafts...)
		}
		before := r.must(t, m.room, text(alice, "from here on it is kept"))[0]
		fork := m.accept(m.on(before.After(), state(alice, "m.room.name", "", object{"name": "side"}), before.Event))
		last := r.must(t, m.room, state(alice, "m.room.topic", "", object{"topic": "last"}), text(alice, "last"))[1]
		kept := []rooms.Version{before.Before(), fork.Before(), fork.After(), last.Before(), last.After()}
		want := r.statesAt(t, m.room, kept)
		rows := countRows(t, r, m.room.NID())

		if _, err := r.rooms.Purge(t.Context(), m.room, before.ID); err != nil {
			t.Fatal(err)
		}
		f := rooms.Folding{Room: m.room.NID(), Before: before.Position()}
		for range 2 {
			if err := r.rooms.Fold(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			f.Second = true
		}
		if left := countRows(t, r, m.room.NID()); rows < 1560 || left > 300 {
			t.Errorf("%d rows of state, before %d", left, rows)
		}
		for _, r := range []*rig{r, newRig(t, url, nil)} {
			room, err := r.rooms.Room(t.Context(), m.room.ID())
			if err != nil {
				t.Fatal(err)
			}
			for i, got := range r.statesAt(t, room, kept) {
				if !maps.Equal(got, want[i]) {
					t.Errorf("state at %v: %d keys, want %d", kept[i], len(got), len(want[i]))
				}
			}
			if e, err := r.rooms.EventByID(t.Context(), room, side.ID); err != nil || e.Before().Known() {
				t.Errorf("the state before a purged time: %v, %v", e, err)
			}
			late := m.on(old.After(), text(alice, "late"), side.Event)
			out, err := r.rooms.Receive(t.Context(), room.ID(), []*matrix.Event{late}, rooms.Arrival{From: "remote.example"})
			var missing rooms.ErrMissing
			if err != nil || !errors.As(out[0].Err, &missing) || !slices.Equal(missing.Prev, []matrix.EventID{side.ID}) {
				t.Errorf("an event on the purged past: %v, %+v", err, out)
			}
		}
		next := r.must(t, m.room, state(alice, "m.room.topic", "", object{"topic": "goes on"}))[0]
		if e, err := r.rooms.KeyAt(t.Context(), m.room, next.After(), matrix.StateTuple{Type: "m.room.topic"}); err != nil || e.ID != next.ID {
			t.Errorf("the room goes on: %v, %v", e, err)
		}
	})
}

// Nothing of a room that was not purged is folded.
func TestFoldNothing(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		room := r.publicRoom(t, "12")
		first := r.must(t, room, text(alice, "first"))[0]
		for i := range 20 {
			r.must(t, room, state(alice, "m.room.topic", "", object{"topic": fmt.Sprint(i)}))
		}
		rows := countRows(t, r, room.NID())
		if err := r.rooms.Fold(t.Context(), rooms.Folding{Room: room.NID(), Before: first.Position(), Second: true}); err != nil {
			t.Fatal(err)
		}
		if left := countRows(t, r, room.NID()); left != rows {
			t.Errorf("%d of %d rows are left", left, rows)
		}
	})
}

func (r *rig) statesAt(t *testing.T, room *rooms.Room, versions []rooms.Version) []map[int64]int64 {
	t.Helper()
	var out []map[int64]int64
	for _, v := range versions {
		s, err := r.rooms.StateAt(t.Context(), room, v)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

func countRows(t *testing.T, r *rig, room int64) int {
	t.Helper()
	branches, err := r.db.ListBranches(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, b := range append(branches, storage.BranchRow{}) {
		rows, err := r.db.ListStateRows(t.Context(), room, b.Branch, 0, 1<<62)
		if err != nil {
			t.Fatal(err)
		}
		n += len(rows)
	}
	return n
}
