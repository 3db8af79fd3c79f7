package rooms

import (
	"context"
	"sort"

	"rempart/internal/matrix"
	"rempart/storage"
)

// aheadFrom is how many events are worth a look ahead.
const aheadFrom = 8

func visibilityTuple() matrix.StateTuple { return matrix.StateTuple{Type: "m.room.history_visibility"} }

func (v *viewer) ownTuple() matrix.StateTuple {
	return matrix.StateTuple{Type: "m.room.member", Key: string(v.user)}
}

// lookAhead reads at once what is asked for each of many events of the main branch: what decided over the user before it, and
// which event a piece of state took the place of. Asked one by one these are four reads an event.
func (v *viewer) lookAhead(ctx context.Context, events []*Stored) error {
	v.earlier = nil
	if len(events) < aheadFrom {
		return nil
	}
	if v.past == nil && !v.all {
		past := map[matrix.StateTuple][]storage.StateRow{}
		for _, t := range []matrix.StateTuple{visibilityTuple(), v.ownTuple()} {
			key, err := v.room.key(ctx, t)
			if err != nil {
				return err
			}
			if key == 0 {
				past[t] = nil
			} else if past[t], err = v.s.db.ListKeyRows(ctx, v.room.nid, key); err != nil {
				return err
			}
		}
		v.past = past
	}
	return v.findEarlier(ctx, events)
}

// findEarlier finds what state events of the main branch took the place of.
func (v *viewer) findEarlier(ctx context.Context, events []*Stored) error {
	asked := make([]storage.KeyPlace, 0, len(events))
	for _, e := range events {
		if e.IsState() && e.Row.Branch == 0 {
			asked = append(asked, storage.KeyPlace{Key: e.Row.StateKey, Seq: e.Row.Seq})
		}
	}
	if len(asked) == 0 {
		return nil
	}
	values, err := v.s.db.ListValuesAt(ctx, v.room.nid, asked)
	if err != nil {
		return err
	}
	nids := make([]int64, 0, len(values))
	for _, nid := range values {
		nids = append(nids, nid)
	}
	found, err := v.s.Events(ctx, nids)
	if err != nil {
		return err
	}
	byNID := make(map[int64]*Stored, len(found))
	for _, e := range found {
		byNID[e.Row.NID] = e
	}
	v.earlier = make(map[int64]*Stored, len(asked))
	for _, e := range events {
		if !e.IsState() || e.Row.Branch != 0 {
			continue
		}
		nid := values[storage.KeyPlace{Key: e.Row.StateKey, Seq: e.Row.Seq}]
		if nid == 0 || byNID[nid] != nil {
			v.earlier[e.Row.NID] = byNID[nid]
		}
	}
	return nil
}

// keyAt is [Service.KeyAt], from memory where lookAhead has read it.
func (v *viewer) keyAt(ctx context.Context, at Version, t matrix.StateTuple) (*Stored, error) {
	rows, known := v.past[t]
	if !known || at.Branch != 0 {
		return v.s.KeyAt(ctx, v.room, at, t)
	}
	n := sort.Search(len(rows), func(i int) bool { return rows[i].Seq > at.Seq })
	if n == 0 || rows[n-1].Event == 0 {
		return nil, nil
	}
	return v.s.event(ctx, rows[n-1].Event)
}
