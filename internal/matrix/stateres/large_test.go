package stateres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"testing"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/internal/matrix/stateres"
	"rempart/internal/matrix/stateres/naive"
)

// large is a room of many members with a fork of many branches, each of which changed a lot.
type large struct {
	v      *matrix.RoomVersion
	room   *naive.Room // only its events are used
	common naive.State
	sets   []map[matrix.StateTuple]matrix.EventID
	ts     int64
}

const admin = "@admin:a.example"

func newLarge(t testing.TB, v *matrix.RoomVersion, members, branches, changes int) *large {
	t.Helper()
	l := &large{v: v, room: naive.NewRoom(v), common: naive.State{}}
	put := func(e *matrix.Event) { l.common[e.Tuple()] = e.ID }
	put(l.event(t, nil, "create", admin, "m.room.create", "", `{"creator":"`+admin+`"}`))
	put(l.event(t, nil, "admin", admin, "m.room.member", admin, `{"membership":"join"}`))
	put(l.event(t, nil, "jr", admin, "m.room.join_rules", "", `{"join_rule":"public"}`))
	for i := range members {
		put(l.event(t, nil, fmt.Sprint("m", i), member(i), "m.room.member", member(i), `{"membership":"join"}`))
	}
	for b := range branches {
		l.branch(t, b, changes)
	}
	// What any branch changed is no longer common.
	for _, set := range l.sets {
		for key := range set {
			for _, other := range l.sets {
				if _, ok := other[key]; !ok && l.common[key] != "" {
					other[key] = l.common[key]
				}
			}
		}
	}
	for key := range l.sets[0] {
		delete(l.common, key)
	}
	return l
}

// branch kicks, bans, renames and lets leave members; half of whom other branches deal with too.
func (l *large) branch(t testing.TB, b, changes int) {
	t.Helper()
	set := map[matrix.StateTuple]matrix.EventID{}
	for i := range changes {
		n := i
		if i%2 == 0 {
			n = b*changes + i
		}
		name, target := fmt.Sprintf("b%d-%d", b, i), member(n)
		var e *matrix.Event
		switch i % 5 {
		case 0:
			e = l.event(t, set, name, admin, "m.room.member", target, `{"membership":"leave"}`)
		case 1:
			e = l.event(t, set, name, admin, "m.room.member", target, `{"membership":"ban"}`)
		case 2:
			e = l.event(t, set, name, target, "m.room.member", target, `{"displayname":"x","membership":"join"}`)
		case 3:
			e = l.event(t, set, name, target, "m.room.member", target, `{"membership":"leave"}`)
		default:
			e = l.event(t, set, name, admin, "m.room.power_levels", "", fmt.Sprintf(`{"ban":%d}`, i%50))
		}
		set[e.Tuple()] = e.ID
	}
	l.sets = append(l.sets, set)
}

func member(n int) string { return fmt.Sprintf("@m%d:b.example", n) }

func (l *large) event(t testing.TB, set map[matrix.StateTuple]matrix.EventID, name, sender, typ, key, content string) *matrix.Event {
	t.Helper()
	l.ts++
	room := "!room:a.example"
	if l.v.RoomIDIsCreateHash {
		room = "!create"
	}
	raw, err := json.Marshal(map[string]any{
		"type": typ, "sender": sender, "state_key": key, "content": json.RawMessage(content), "depth": 1,
		"origin_server_ts": l.ts, "prev_events": []any{}, "auth_events": []any{}, "room_id": room,
	})
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.v.ParseTrusted(matrix.EventID("$"+name), raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range authrules.NeededBy(e) {
		if id := set[k]; id != "" {
			e.AuthEvents = append(e.AuthEvents, id)
		} else if id := l.common[k]; id != "" {
			e.AuthEvents = append(e.AuthEvents, id)
		}
	}
	l.room.Events[e.ID] = e
	return e
}

// walk adds what is reachable through auth events to a set, without what is in another.
func (l *large) walk(ids []matrix.EventID, into, without map[matrix.EventID]bool) {
	for len(ids) > 0 {
		id := ids[len(ids)-1]
		ids = ids[:len(ids)-1]
		for _, a := range naive.AuthEvents(l.room.Events[id]) {
			if !into[a] && !without[a] {
				into[a] = true
				ids = append(ids, a)
			}
		}
	}
}

// input is what the event graph would hand over; the chain index is played by walking, outside of the measurement.
func (l *large) input() stateres.Input {
	base := map[matrix.EventID]bool{}
	for _, id := range l.common {
		l.walk([]matrix.EventID{id}, base, nil)
	}
	count := map[matrix.EventID]int{}
	for _, set := range l.sets {
		chain := map[matrix.EventID]bool{}
		for _, id := range set {
			l.walk([]matrix.EventID{id}, chain, base)
		}
		for id := range chain {
			count[id]++
		}
	}
	var difference []matrix.EventID
	for id, n := range count {
		if n < len(l.sets) {
			difference = append(difference, id)
		}
	}
	return stateres.Input{
		Version: l.v, Sets: l.sets,
		Unconflicted:   func(_ context.Context, k matrix.StateTuple) (matrix.EventID, error) { return l.common[k], nil },
		AuthDifference: func(context.Context) ([]matrix.EventID, error) { return difference, nil },
	}
}

// TestLargeRoom: resolving 10 branches of 200 state changes each over 50,000 members allocates less than 64 MiB in
// all, whatever the garbage collector does, and equals the oracle in a smaller room of the same make.
func TestLargeRoom(t *testing.T) {
	for _, id := range []string{"1", "2", "11", "12"} {
		v, _ := matrix.Version(id)
		small := newLarge(t, v, 200, 4, 20)
		var states []naive.State
		for _, set := range small.sets {
			full := naive.State{}
			for key, e := range small.common {
				full[key] = e
			}
			for key, e := range set {
				full[key] = e
			}
			states = append(states, full)
		}
		want := naive.Resolve(v, states, small.room.Events, nil)
		out, err := stateres.Resolve(t.Context(), small.input(), source{small.room})
		if err != nil {
			t.Fatal(err)
		}
		for key, e := range out {
			if want[key] != e {
				t.Fatalf("v%s: %v is %s, want %s", id, key, e, want[key])
			}
		}

		members := 50_000
		if testing.Short() {
			members = 5_000
		}
		l := newLarge(t, v, members, 10, 200)
		in := l.input()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, err = stateres.Resolve(t.Context(), in, source{l.room})
		runtime.ReadMemStats(&after)
		if err != nil || len(out) < 500 {
			t.Fatalf("v%s: %d keys, %v", id, len(out), err)
		}
		bytes := after.TotalAlloc - before.TotalAlloc
		t.Logf("v%s: %d keys, %d KiB", id, len(out), bytes>>10)
		if bytes > 64<<20 {
			t.Errorf("v%s: %d MiB", id, bytes>>20)
		}
	}
}

func BenchmarkLargeRoom(b *testing.B) {
	for _, id := range []string{"1", "11", "12"} {
		v, _ := matrix.Version(id)
		l := newLarge(b, v, 50_000, 10, 200)
		in := l.input()
		b.Run("v"+id, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := stateres.Resolve(b.Context(), in, source{l.room}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
