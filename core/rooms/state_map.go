package rooms

import (
	"cmp"
	"slices"
)

// statePair is one key of a state with the event that holds it.
type statePair struct{ key, event int64 }

// stateMap is a room's state by numbers: immutable, so that any number of versions share what they have in common.
// A change copies a short list of late changes; only when that has grown is it folded into the long one. The zero value is empty.
type stateMap struct {
	base  []statePair // ascending by key
	delta []statePair // ascending by key; event 0: removed
	count int
}

func comparePair(p statePair, key int64) int { return cmp.Compare(p.key, key) }

// get is the event that holds a key; 0 when none does.
func (m stateMap) get(key int64) int64 {
	if i, ok := slices.BinarySearchFunc(m.delta, key, comparePair); ok {
		return m.delta[i].event
	}
	if i, ok := slices.BinarySearchFunc(m.base, key, comparePair); ok {
		return m.base[i].event
	}
	return 0
}

// size is the number of keys.
func (m stateMap) size() int { return m.count }

// with is the state after some changes; event 0 removes a key. The last change of a key counts.
func (m stateMap) with(changes ...statePair) stateMap {
	if len(changes) == 0 {
		return m
	}
	changes = slices.Clone(changes)
	slices.SortStableFunc(changes, func(a, b statePair) int { return cmp.Compare(a.key, b.key) })
	kept := changes[:0]
	for i, c := range changes {
		if i+1 < len(changes) && changes[i+1].key == c.key {
			continue
		}
		kept = append(kept, c)
	}
	out := stateMap{base: m.base, delta: merge(m.delta, kept, true), count: m.count}
	for _, c := range kept {
		if had := m.get(c.key) != 0; had && c.event == 0 {
			out.count--
		} else if !had && c.event != 0 {
			out.count++
		}
	}
	if n := len(out.delta); n > 32 && n*n > len(out.base) {
		out.base, out.delta = merge(out.base, out.delta, false), nil
	}
	return out
}

// merge lays changes over a list. Removals are kept when the result is itself a list of changes.
func merge(list, over []statePair, keepRemovals bool) []statePair {
	out := make([]statePair, 0, len(list)+len(over))
	for len(list) > 0 || len(over) > 0 {
		switch {
		case len(over) == 0 || len(list) > 0 && list[0].key < over[0].key:
			out, list = append(out, list[0]), list[1:]
			continue
		case len(list) > 0 && list[0].key == over[0].key:
			list = list[1:]
		}
		if over[0].event != 0 || keepRemovals {
			out = append(out, over[0])
		}
		over = over[1:]
	}
	return out
}

// all calls fn for every key, ascending, until it returns false.
func (m stateMap) all(fn func(key, event int64) bool) {
	list, over := m.base, m.delta
	for len(list) > 0 || len(over) > 0 {
		var p statePair
		switch {
		case len(over) == 0 || len(list) > 0 && list[0].key < over[0].key:
			p, list = list[0], list[1:]
		case len(list) > 0 && list[0].key == over[0].key:
			p, list, over = over[0], list[1:], over[1:]
		default:
			p, over = over[0], over[1:]
		}
		if p.event != 0 && !fn(p.key, p.event) {
			return
		}
	}
}

// stateOf makes a state of pairs that are ascending by key: key, event, key, event ….
func stateOf(pairs []int64) stateMap {
	m := stateMap{base: make([]statePair, 0, len(pairs)/2), count: len(pairs) / 2}
	for ; len(pairs) >= 2; pairs = pairs[2:] {
		m.base = append(m.base, statePair{pairs[0], pairs[1]})
	}
	return m
}

// pairs is the inverse of stateOf.
func (m stateMap) pairs() []int64 {
	out := make([]int64, 0, 2*m.count)
	m.all(func(key, event int64) bool { out = append(out, key, event); return true })
	return out
}
