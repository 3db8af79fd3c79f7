package admin

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
)

// What was made of a room is made anew when the room has changed, and only then.
func TestDerived(t *testing.T) {
	used := new(atomic.Int64)
	d := newDerived(used, func(text string) int64 { return int64(len(text)) })
	var asked []int64
	says := map[int64]string{}
	read := func(_ context.Context, rooms []int64) (map[int64]string, error) {
		asked = append(asked, rooms...)
		return says, nil
	}
	ask := func(want map[int64]string, wantAsked []int64, all ...at) {
		t.Helper()
		asked = nil
		got, err := d.of(t.Context(), all, read)
		if err != nil || !slices.Equal(asked, wantAsked) {
			t.Errorf("read %v, want %v; %v", asked, wantAsked, err)
		}
		for room, text := range want {
			if got[room] != text {
				t.Errorf("%d is %q, want %q", room, got[room], text)
			}
		}
	}
	says = map[int64]string{1: "one", 2: "two"}
	ask(says, []int64{1, 2, 3}, at{1, 10}, at{2, 10}, at{3, 10})
	ask(map[int64]string{1: "one", 2: "two", 3: ""}, nil, at{1, 10}, at{2, 10}, at{3, 10})
	says = map[int64]string{2: "zwei"}
	ask(map[int64]string{1: "one", 2: "zwei"}, []int64{2}, at{1, 10}, at{2, 11}, at{3, 10})
	if want := int64(3*derivedEntry + len("one") + len("zwei")); used.Load() != want {
		t.Errorf("%d bytes are said to be kept, want %d", used.Load(), want)
	}
	ask(nil, nil, at{1, 10}) // the others are gone
	if want := int64(derivedEntry + len("one")); used.Load() != want {
		t.Errorf("%d bytes are said to be kept of one room, want %d", used.Load(), want)
	}
	says = map[int64]string{5: string(make([]byte, derivedBudget))}
	ask(says, []int64{5}, at{1, 10}, at{5, 1})
	ask(says, []int64{5}, at{1, 10}, at{5, 1}) // too large to be kept
	gone := errors.New("gone")
	_, err := d.of(t.Context(), []at{{1, 12}}, func(context.Context, []int64) (map[int64]string, error) { return nil, gone })
	if !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	says = map[int64]string{1: "uno"}
	ask(says, []int64{1}, at{1, 12}) // what could not be read is asked for again
}
