package stateres_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"rempart/internal/matrix"
	"rempart/internal/matrix/stateres"
	"rempart/internal/matrix/stateres/naive"
)

// conflict is an input with two topics in conflict, over a room of some version.
func conflict(t *testing.T, version string) (*script, stateres.Input) {
	t.Helper()
	v, _ := matrix.Version(version)
	s := newScript(t, v)
	s.add("x", "top", alice, "m.room.topic", "", `{"topic":"x"}`)
	s.add("y", "top", alice, "m.room.topic", "", `{"topic":"y"}`)
	states := []naive.State{s.room.After["$x"], s.room.After["$y"]}
	sets, common := differing(states)
	return s, stateres.Input{
		Version: v, Sets: sets,
		Unconflicted: func(_ context.Context, k matrix.StateTuple) (matrix.EventID, error) { return common[k], nil },
		AuthDifference: func(context.Context) ([]matrix.EventID, error) {
			return naive.AuthDifference(states, s.room.Events), nil
		},
	}
}

var errBroken = errors.New("broken")

// TestErrors: every failure below comes out as an error, whichever read it is. Version 12 does not read the
// unconflicted state for keys that are in conflict.
func TestErrors(t *testing.T) {
	for _, version := range []string{"1", "2", "12"} {
		s, good := conflict(t, version)
		if _, err := stateres.Resolve(t.Context(), good, source{s.room}); err != nil {
			t.Fatalf("v%s: %v", version, err)
		}
		in := good
		in.Unconflicted = func(context.Context, matrix.StateTuple) (matrix.EventID, error) { return "", errBroken }
		if _, err := stateres.Resolve(t.Context(), in, source{s.room}); version != "12" && !errors.Is(err, errBroken) {
			t.Errorf("v%s Unconflicted: %v", version, err)
		}
		if _, err := stateres.Resolve(t.Context(), good, brokenEvents{source{s.room}}); !errors.Is(err, errBroken) {
			t.Errorf("v%s Event: %v", version, err)
		}
		if _, err := stateres.Resolve(t.Context(), good, source{naive.NewRoom(s.v)}); err == nil {
			t.Errorf("v%s: missing events do not matter", version)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := stateres.Resolve(ctx, good, source{s.room}); !errors.Is(err, context.Canceled) {
			t.Errorf("v%s cancelled: %v", version, err)
		}
		in = good
		if _, err := stateres.Resolve(t.Context(), good, panicking{source{s.room}}); err == nil || !strings.Contains(err.Error(), "oh") {
			t.Errorf("v%s panic: %v", version, err)
		}
		if version == "1" {
			continue
		}
		in = good
		in.AuthDifference = func(context.Context) ([]matrix.EventID, error) { return nil, errBroken }
		if _, err := stateres.Resolve(t.Context(), in, source{s.room}); !errors.Is(err, errBroken) {
			t.Errorf("v%s AuthDifference: %v", version, err)
		}
		in.AuthDifference = nil
		if _, err := stateres.Resolve(t.Context(), in, source{s.room}); err == nil {
			t.Errorf("v%s: no AuthDifference does not matter", version)
		}
		in = good
		in.Rejected = func(context.Context, matrix.EventID) (bool, error) { return false, errBroken }
		if _, err := stateres.Resolve(t.Context(), in, source{s.room}); version == "12" && !errors.Is(err, errBroken) {
			t.Errorf("v%s Rejected: %v", version, err)
		}
	}
}

// TestRejectedAuthEvent: a rejected auth event is no stand-in for state that is missing.
func TestRejectedAuthEvent(t *testing.T) {
	s, in := conflict(t, "12")
	topic := matrix.StateTuple{Type: "m.room.topic"}
	for _, rejected := range []bool{false, true} {
		in.Rejected = func(_ context.Context, id matrix.EventID) (bool, error) { return rejected && id == "$a", nil }
		out, err := stateres.Resolve(t.Context(), in, source{s.room})
		if err != nil || (out[topic] == "") != rejected {
			t.Errorf("alice's membership rejected %v: %v, %v", rejected, out, err)
		}
	}
}

type brokenEvents struct{ source }

// Event implements stateres.Source.
func (brokenEvents) Event(context.Context, matrix.EventID) (*matrix.Event, error) {
	return nil, errBroken
}

type panicking struct{ source }

// Event implements stateres.Source.
func (panicking) Event(context.Context, matrix.EventID) (*matrix.Event, error) { panic("oh") }

// circle makes two power levels events name each other, as ids that servers choose would allow.
type circle struct{ source }

// AuthEvents implements stateres.Source.
func (c circle) AuthEvents(ctx context.Context, id matrix.EventID) ([]matrix.EventID, error) {
	ids, err := c.source.AuthEvents(ctx, id)
	switch id {
	case "$pl":
		ids = append(ids[:len(ids):len(ids)], "$pl2")
	case "$pl2":
		ids = append(ids[:len(ids):len(ids)], "$pl")
	}
	return ids, err
}

// TestCircle: circles end in an error or are walked once, never for ever.
func TestCircle(t *testing.T) {
	v, _ := matrix.Version("2")
	s := newScript(t, v)
	s.add("pl2", "top", alice, "m.room.power_levels", "", s.levels(60))
	s.add("x", "pl2", alice, "m.room.topic", "", `{"topic":"x"}`)
	levels, topic := matrix.StateTuple{Type: "m.room.power_levels"}, matrix.StateTuple{Type: "m.room.topic"}
	common := func(now naive.State) func(context.Context, matrix.StateTuple) (matrix.EventID, error) {
		return func(_ context.Context, k matrix.StateTuple) (matrix.EventID, error) { return now[k], nil }
	}
	in := stateres.Input{
		Version:        v,
		Sets:           []map[matrix.StateTuple]matrix.EventID{{levels: "$pl"}, {levels: "$pl2"}},
		Unconflicted:   common(s.room.After["$x"]),
		AuthDifference: func(context.Context) ([]matrix.EventID, error) { return nil, nil },
	}
	if _, err := stateres.Resolve(t.Context(), in, circle{source{s.room}}); !errors.Is(err, stateres.ErrCycle) {
		t.Errorf("power events in a circle: %v", err)
	}
	in.Sets = []map[matrix.StateTuple]matrix.EventID{{topic: "$x"}, {topic: "$top"}}
	if _, err := stateres.Resolve(t.Context(), in, circle{source{s.room}}); !errors.Is(err, stateres.ErrCycle) {
		t.Errorf("mainline in a circle: %v", err)
	}
	// Without power levels in the room there is no mainline; the circle is met from the topics.
	without := naive.State{}
	for k, id := range s.room.After["$x"] {
		if k != levels {
			without[k] = id
		}
	}
	in.Unconflicted = common(without)
	if _, err := stateres.Resolve(t.Context(), in, circle{source{s.room}}); err != nil {
		t.Errorf("circle off the mainline: %v", err)
	}
}

// TestAgreement: states that agree need no reads at all, and a key that is empty everywhere stays so.
func TestAgreement(t *testing.T) {
	v, _ := matrix.Version("12")
	key, none := matrix.StateTuple{Type: "x"}, matrix.StateTuple{Type: "y"}
	set := map[matrix.StateTuple]matrix.EventID{key: "$x", none: ""}
	out, err := stateres.Resolve(t.Context(), stateres.Input{Version: v, Sets: []map[matrix.StateTuple]matrix.EventID{set, set}}, nil)
	if id, there := out[none]; err != nil || out[key] != "$x" || id != "" || !there {
		t.Errorf("%v, %v", out, err)
	}
}
