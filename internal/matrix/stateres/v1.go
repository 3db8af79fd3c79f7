package stateres

import (
	"bytes"
	"cmp"
	"crypto/sha1" //nolint:gosec // Spec: rooms/v1/#state-resolution orders by it; nothing is protected by it.
	"slices"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
)

// resolveV1 is the algorithm of room version 1. A key that only some states have is not in conflict there.
// Spec: rooms/v1/#state-resolution
func (r *resolution) resolveV1() (map[matrix.StateTuple]matrix.EventID, error) {
	for key, ids := range r.conflicted {
		if len(ids) == 1 {
			r.agreed[key] = ids[0]
			delete(r.conflicted, key)
		}
	}
	state := &partial{r: r, resolved: make(map[matrix.StateTuple]*matrix.Event, len(r.conflicted)), onBase: true}
	for _, typ := range []string{typePowerLevels, typeJoinRules, typeMember} {
		err := state.settle(func(key matrix.StateTuple) bool { return key.Type == typ }, (*partial).lastAllowed)
		if err != nil {
			return nil, err
		}
	}
	other := func(key matrix.StateTuple) bool { return state.resolved[key] == nil }
	if err := state.settle(other, (*partial).greatestAllowed); err != nil {
		return nil, err
	}
	out := make(map[matrix.StateTuple]matrix.EventID, len(state.resolved))
	for key, e := range state.resolved {
		out[key] = e.ID
	}
	return r.result(out), nil
}

// settle picks one event for each conflicting key that is meant, and adds them all at the end.
// Why: the specification gives no order among the keys of one type; as in the servers deployed, they do not see
// one another, so that there is none.
func (p *partial) settle(meant func(matrix.StateTuple) bool, pick func(*partial, []*matrix.Event) *matrix.Event) error {
	chosen := map[matrix.StateTuple]*matrix.Event{}
	for key, ids := range p.r.conflicted {
		if !meant(key) {
			continue
		}
		list, err := p.r.byDepth(ids)
		if err != nil {
			return err
		}
		chosen[key] = pick(p, list)
		delete(p.resolved, key)
		if p.err != nil {
			return p.err
		}
	}
	for key, e := range chosen {
		p.resolved[key] = e
	}
	return nil
}

// lastAllowed takes the first event and goes on for as long as the next is allowed after it.
func (p *partial) lastAllowed(list []*matrix.Event) *matrix.Event {
	last := list[0]
	for _, e := range list[1:] {
		p.resolved[last.Tuple()] = last
		if authrules.Check(e, p) != nil {
			break
		}
		last = e
	}
	return last
}

// greatestAllowed takes the event with the highest depth that is allowed.
// Why: when none is, the servers deployed take the one of least depth; the specification is silent.
func (p *partial) greatestAllowed(list []*matrix.Event) *matrix.Event {
	for i := len(list) - 1; i > 0; i-- {
		if authrules.Check(list[i], p) == nil {
			return list[i]
		}
	}
	return list[0]
}

// byDepth sorts by ascending depth, then descending SHA-1 of the event id.
func (r *resolution) byDepth(ids []matrix.EventID) ([]*matrix.Event, error) {
	list := make([]*matrix.Event, 0, len(ids))
	for _, id := range ids {
		e, err := r.event(id)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(x, y *matrix.Event) int {
		hx, hy := sha1.Sum([]byte(x.ID)), sha1.Sum([]byte(y.ID)) //nolint:gosec // as above
		return cmp.Or(cmp.Compare(x.Depth, y.Depth), bytes.Compare(hy[:], hx[:]))
	})
	return list, nil
}
