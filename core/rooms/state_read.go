package rooms

import (
	"context"
	"errors"
	"fmt"

	"rempart/internal/matrix"
	"rempart/storage"
)

// valueAt is the event that holds a key at a version, 0 when none does. Only what is committed counts.
func (s *Service) valueAt(ctx context.Context, room int64, v Version, key int64) (int64, error) {
	for v.Branch >= 0 {
		row, err := s.db.FindStateRow(ctx, room, v.Branch, key, v.Seq)
		if err == nil {
			return row.Event, nil
		}
		if !errors.Is(err, storage.ErrNotFound) {
			return 0, err
		}
		if v.Branch == 0 {
			return 0, nil
		}
		if v, err = s.baseOf(ctx, room, v.Branch); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// baseOf is the version that a branch starts at; Branch -1 when it starts from nothing.
func (s *Service) baseOf(ctx context.Context, room, branch int64) (Version, error) {
	row, err := s.db.FindBranch(ctx, room, branch)
	if err != nil {
		return Version{}, fmt.Errorf("branch %d of room %d: %w", branch, room, err)
	}
	return Version{row.BaseBranch, row.BaseSeq}, nil
}

// loadState reads a whole state: the nearest checkpoint and the rows behind it, on top of the branch's base.
func (s *Service) loadState(ctx context.Context, room, branch, seq int64) (stateMap, error) {
	at, pairs, err := s.db.FindCheckpoint(ctx, room, branch, seq)
	if err != nil {
		return stateMap{}, err
	}
	if at == 0 && branch == 0 {
		// Why: of what is older than the floor there is no trace left but in the state at the floor.
		floor, err := s.db.FindStateFloor(ctx, room)
		if err != nil {
			return stateMap{}, err
		}
		if seq < floor {
			return s.loadState(ctx, room, 0, floor)
		}
	}
	m := stateOf(pairs)
	if at == 0 && branch != 0 {
		base, err := s.baseOf(ctx, room, branch)
		if err != nil {
			return m, err
		}
		if base.Known() {
			if m, err = s.loadState(ctx, room, base.Branch, base.Seq); err != nil {
				return m, err
			}
		}
	}
	rows, err := s.db.ListStateRows(ctx, room, branch, at, seq)
	if err != nil {
		return m, err
	}
	changes := make([]statePair, len(rows))
	for i, r := range rows {
		changes[i] = statePair{r.StateKey, r.Event}
	}
	return m.with(changes...), nil
}

// undoLimit is how many versions back a state is had by undoing changes of the current one.
const undoLimit = 512

// stateAt is a whole committed state.
func (s *Service) stateAt(ctx context.Context, r *Room, v Version) (stateMap, error) {
	if v.Branch != 0 {
		return s.loadState(ctx, r.nid, v.Branch, v.Seq)
	}
	now, err := r.snapshotNow(ctx)
	if err != nil {
		return stateMap{}, err
	}
	if v.Seq == now.seq {
		return now.state, nil
	}
	if v.Seq > now.seq || now.seq-v.Seq > undoLimit {
		return s.loadState(ctx, r.nid, 0, v.Seq)
	}
	floor, err := s.db.FindStateFloor(ctx, r.nid)
	if err != nil {
		return stateMap{}, err
	}
	v.Seq = max(v.Seq, floor)
	rows, err := s.db.ListStateRows(ctx, r.nid, 0, v.Seq, now.seq)
	if err != nil {
		return stateMap{}, err
	}
	undo := make([]statePair, 0, len(rows))
	for i := len(rows) - 1; i >= 0; i-- {
		undo = append(undo, statePair{rows[i].StateKey, rows[i].Old})
	}
	return now.state.with(undo...), nil
}

// StateAt is the whole state of a room at a version: state key number → event number.
func (s *Service) StateAt(ctx context.Context, r *Room, v Version) (map[int64]int64, error) {
	if !v.Known() {
		return nil, matrix.NotFound("The state there is not known here.")
	}
	m, err := s.stateAt(ctx, r, v)
	if err != nil {
		return nil, err
	}
	out := make(map[int64]int64, m.size())
	m.all(func(key, event int64) bool { out[key] = event; return true })
	return out, nil
}

// KeyAt is the event that holds a key at a version; nil when none does.
func (s *Service) KeyAt(ctx context.Context, r *Room, v Version, t matrix.StateTuple) (*Stored, error) {
	key, err := r.key(ctx, t)
	if err != nil || key == 0 {
		return nil, err
	}
	var nid int64
	if now := r.committed.Load(); now != nil && v == now.current() {
		nid = now.state.get(key)
	} else if nid, err = s.valueAt(ctx, r.nid, v, key); err != nil {
		return nil, err
	}
	if nid == 0 {
		return nil, nil
	}
	return s.event(ctx, nid)
}

// authAt reads pieces of the state at a version, also of one that is being built.
func (b *builder) authAt(ctx context.Context, v Version, tuples []matrix.StateTuple) (authEvents, error) {
	out := make(authEvents, 0, len(tuples))
	for _, t := range tuples {
		key, err := b.r.key(ctx, t)
		if err != nil {
			return nil, err
		}
		if key == 0 {
			continue
		}
		nid, err := b.valueAt(ctx, v, key)
		if err != nil {
			return nil, err
		}
		if nid == 0 {
			continue
		}
		e, err := b.event(ctx, nid)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// KeyHistory lists the events that ever held a key of the room's current state, oldest first.
func (s *Service) KeyHistory(ctx context.Context, r *Room, t matrix.StateTuple) ([]*Stored, error) {
	key, err := r.key(ctx, t)
	if err != nil || key == 0 {
		return nil, err
	}
	nids, err := s.db.ListKeyHistory(ctx, r.nid, key)
	if err != nil {
		return nil, err
	}
	return s.Events(ctx, nids)
}
