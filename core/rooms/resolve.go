package rooms

import (
	"context"
	"fmt"
	"slices"

	"rempart/internal/matrix"
	"rempart/internal/matrix/stateres"
)

// merged is the resolution of several versions, as the keys in which it may differ from any of them.
type merged struct {
	div   *divergence
	final map[int64]int64 // for every key of div, and for those that resolution brought in
}

// merge resolves versions. further versions are compared with them but have no say.
// Everything that the versions rest on must be committed, or of this Change.
func (b *builder) merge(ctx context.Context, versions []Version, further ...Version) (*merged, error) {
	d, err := b.diverge(ctx, append(slices.Clone(versions), further...))
	if err != nil {
		return nil, err
	}
	m := &merged{div: d, final: make(map[int64]int64, len(d.keys))}
	var conflicted []int64
	for _, key := range d.keys {
		m.final[key] = d.values[0][key]
		for i := range versions {
			if d.values[i][key] != d.values[0][key] {
				conflicted = append(conflicted, key)
				break
			}
		}
	}
	if len(conflicted) == 0 {
		return m, nil
	}
	r := &resolver{b: b, versions: versions, values: d.values[:len(versions)], conflicted: conflicted, known: m.final,
		ids: map[matrix.EventID]*Stored{}, nids: map[int64]*Stored{}}
	return m, r.run(ctx, m.final)
}

// changesFrom lists what the resolution changes against one of the versions that were compared.
func (m *merged) changesFrom(i int) []keyChange {
	var out []keyChange
	for key, event := range m.final {
		if old := m.div.values[i][key]; old != event {
			out = append(out, keyChange{key: key, old: old, new: event})
		}
	}
	slices.SortFunc(out, func(a, b keyChange) int { return int(a.key - b.key) })
	return out
}

// resolver hands one resolution its events and indexes.
type resolver struct {
	b          *builder
	versions   []Version
	values     []map[int64]int64
	conflicted []int64
	known      map[int64]int64 // values of all keys that were compared
	ids        map[matrix.EventID]*Stored
	nids       map[int64]*Stored
}

// run resolves and writes the outcome into final.
func (r *resolver) run(ctx context.Context, final map[int64]int64) error {
	in, err := r.input(ctx)
	if err != nil {
		return err
	}
	out, err := stateres.Resolve(ctx, in, r)
	if err != nil {
		return fmt.Errorf("resolve state of room %s: %w", r.b.r.id, err)
	}
	for t, id := range out {
		key, err := r.b.need.stateKey(ctx, r.b.s, t)
		if err != nil {
			return err
		}
		if id == "" {
			final[key] = 0
			continue
		}
		e, err := r.stored(ctx, id)
		if err != nil {
			return err
		}
		final[key] = e.Row.NID
	}
	return nil
}

func (r *resolver) input(ctx context.Context) (stateres.Input, error) {
	in := stateres.Input{
		Version: r.b.r.version, Unconflicted: r.unconflicted, AuthDifference: r.authDifference,
		ConflictedSubgraph: r.subgraph, Rejected: r.rejected,
	}
	var nids []int64
	for _, values := range r.values {
		for _, key := range r.conflicted {
			if values[key] != 0 {
				nids = append(nids, values[key])
			}
		}
	}
	if err := r.load(ctx, nids); err != nil {
		return in, err
	}
	for _, values := range r.values {
		set := make(map[matrix.StateTuple]matrix.EventID, len(r.conflicted))
		for _, key := range r.conflicted {
			if e := r.nids[values[key]]; e != nil {
				set[e.Tuple()] = e.ID
			}
		}
		in.Sets = append(in.Sets, set)
	}
	return in, nil
}

// load reads events and remembers them for this resolution.
func (r *resolver) load(ctx context.Context, nids []int64) error {
	var missing []int64
	for _, nid := range nids {
		if r.nids[nid] != nil {
			continue
		}
		if e := r.b.own(nid); e != nil {
			r.keep(e)
			continue
		}
		missing = append(missing, nid)
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	events, err := r.b.s.Events(ctx, missing)
	if err != nil {
		return err
	}
	if len(events) != len(missing) {
		return fmt.Errorf("resolve state of room %s: an event is missing", r.b.r.id)
	}
	for _, e := range events {
		r.keep(e)
	}
	return nil
}

func (r *resolver) keep(e *Stored) { r.nids[e.Row.NID], r.ids[e.ID] = e, e }

// stored finds an event by id.
func (r *resolver) stored(ctx context.Context, id matrix.EventID) (*Stored, error) {
	if e := r.ids[id]; e != nil {
		return e, nil
	}
	e, err := r.b.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, fmt.Errorf("event %s is missing", id)
	}
	r.keep(e)
	return e, nil
}

// Event implements stateres.Source.
func (r *resolver) Event(ctx context.Context, id matrix.EventID) (*matrix.Event, error) {
	e, err := r.stored(ctx, id)
	if err != nil {
		return nil, err
	}
	return e.unredacted(), nil
}

// AuthEvents implements stateres.Source.
func (r *resolver) AuthEvents(ctx context.Context, id matrix.EventID) ([]matrix.EventID, error) {
	e, err := r.stored(ctx, id)
	if err != nil {
		return nil, err
	}
	if r.b.r.version.RoomIDIsCreateHash && e.Type != "m.room.create" {
		return append(slices.Clone(e.AuthEvents), e.RoomID.CreateEventID()), nil
	}
	return e.AuthEvents, nil
}

func (r *resolver) rejected(ctx context.Context, id matrix.EventID) (bool, error) {
	e, err := r.stored(ctx, id)
	return err == nil && e.Row.Flags&flagRejected != 0, err
}

func (r *resolver) unconflicted(ctx context.Context, t matrix.StateTuple) (matrix.EventID, error) {
	key, err := r.b.r.key(ctx, t)
	if err != nil || key == 0 {
		return "", err
	}
	nid, err := r.common(ctx, key)
	if err != nil || nid == 0 {
		return "", err
	}
	if err := r.load(ctx, []int64{nid}); err != nil {
		return "", err
	}
	return r.nids[nid].ID, nil
}

// common is the event that all versions have for a key which is not in conflict.
func (r *resolver) common(ctx context.Context, key int64) (int64, error) {
	if nid, ok := r.known[key]; ok {
		return nid, nil
	}
	return r.b.valueAt(ctx, r.versions[0], key)
}
