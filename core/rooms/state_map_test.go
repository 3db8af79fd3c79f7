package rooms

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// A state map is what a plain map with the same changes is, and older ones stay what they were.
func TestStateMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // test data
	var now stateMap
	plain := map[int64]int64{}
	type version struct {
		m    stateMap
		want map[int64]int64
	}
	var kept []version
	for step := range 3000 {
		var changes []statePair
		for range 1 + r.IntN(4) {
			p := statePair{int64(r.IntN(700)), int64(r.IntN(5)) * int64(1+r.IntN(1000))}
			changes = append(changes, p)
			if p.event == 0 {
				delete(plain, p.key)
			} else {
				plain[p.key] = p.event
			}
		}
		now = now.with(changes...)
		if step%300 == 0 {
			kept = append(kept, version{now, maps.Clone(plain)})
		}
	}
	kept = append(kept, version{now, plain}, version{stateOf(now.pairs()), plain})
	for i, v := range kept {
		got := map[int64]int64{}
		last := int64(-1)
		v.m.all(func(key, event int64) bool {
			if key <= last {
				t.Errorf("version %d: key %d after %d", i, key, last)
			}
			got[key], last = event, key
			return true
		})
		if !maps.Equal(got, v.want) || v.m.size() != len(v.want) {
			t.Errorf("version %d: %d keys, said to be %d, want %d", i, len(got), v.m.size(), len(v.want))
		}
		for key := range int64(700) {
			if v.m.get(key) != v.want[key] {
				t.Errorf("version %d: key %d is %d, want %d", i, key, v.m.get(key), v.want[key])
			}
		}
	}
}
