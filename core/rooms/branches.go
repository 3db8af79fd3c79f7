package rooms

import (
	"context"
	"slices"

	"rempart/storage"
)

// lineage is the way from a version to the root of its tree: the version itself, then the base of each branch.
func (b *builder) lineage(ctx context.Context, v Version) ([]Version, error) {
	path := []Version{v}
	for v.Branch > 0 {
		base, err := b.base(ctx, v.Branch)
		if err != nil {
			return nil, err
		}
		if !base.Known() {
			break
		}
		path = append(path, base)
		v = base
	}
	return path, nil
}

// base is the version that a branch starts at, also of one opened here.
func (b *builder) base(ctx context.Context, branch int64) (Version, error) {
	if row := b.opened; row != nil && row.Branch == branch {
		return Version{row.BaseBranch, row.BaseSeq}, nil
	}
	if v, ok := b.r.bases[branch]; ok {
		return v, nil
	}
	v, err := b.s.baseOf(ctx, b.r.nid, branch)
	if err == nil {
		if b.r.bases == nil || len(b.r.bases) > tipsLimit {
			b.r.bases = map[int64]Version{}
		}
		b.r.bases[branch] = v
	}
	return v, err
}

// divergence is what several versions of a room's state do not have in common.
type divergence struct {
	// keys are those that may differ, ascending. values has, per version, the event of each of them; 0 for none.
	keys   []int64
	values []map[int64]int64
}

// diverge compares versions by the rows that lie between them and the version from which they all come. It never looks at
// the whole state, unless they come from nowhere in common.
func (b *builder) diverge(ctx context.Context, versions []Version) (*divergence, error) {
	paths := make([][]Version, len(versions))
	for i, v := range versions {
		var err error
		if paths[i], err = b.lineage(ctx, v); err != nil {
			return nil, err
		}
	}
	common, ok := commonVersion(paths)
	if !ok {
		return b.compareWhole(ctx, versions)
	}
	d := &divergence{values: make([]map[int64]int64, len(versions))}
	base := map[int64]int64{}
	for i, path := range paths {
		d.values[i] = map[int64]int64{}
		for _, seg := range segments(path, common) {
			rows, err := b.stateRows(ctx, seg.branch, seg.after, seg.upto)
			if err != nil {
				return nil, err
			}
			for _, row := range rows {
				if _, seen := d.values[i][row.StateKey]; !seen {
					base[row.StateKey] = row.Old
				}
				d.values[i][row.StateKey] = row.Event
			}
		}
	}
	d.complete(base)
	return d, nil
}

// complete gives every version a value for every key: where it has no row of its own, the common one.
func (d *divergence) complete(base map[int64]int64) {
	for key, event := range base {
		d.keys = append(d.keys, key)
		for _, values := range d.values {
			if _, ok := values[key]; !ok {
				values[key] = event
			}
		}
	}
	slices.Sort(d.keys)
}

// commonVersion finds the last version that all paths go through.
func commonVersion(paths [][]Version) (Version, bool) {
	for _, v := range paths[0] {
		common, all := v, true
		for _, path := range paths[1:] {
			i := slices.IndexFunc(path, func(o Version) bool { return o.Branch == v.Branch })
			if i < 0 {
				all = false
				break
			}
			common.Seq = min(common.Seq, path[i].Seq)
		}
		if all {
			return common, true
		}
	}
	return Version{}, false
}

// segment is a piece of a branch: the rows with after < seq ≤ upto.
type segment struct{ branch, after, upto int64 }

// segments are the pieces of a path behind a version on it, oldest first.
func segments(path []Version, common Version) []segment {
	var out []segment
	for _, v := range path {
		if v.Branch == common.Branch {
			out = append(out, segment{v.Branch, common.Seq, v.Seq})
			break
		}
		out = append(out, segment{v.Branch, 0, v.Seq})
	}
	slices.Reverse(out)
	return out
}

// compareWhole compares states that have no version in common, as one that came from another server.
func (b *builder) compareWhole(ctx context.Context, versions []Version) (*divergence, error) {
	d := &divergence{values: make([]map[int64]int64, len(versions))}
	states := make([]stateMap, len(versions))
	keys := map[int64]struct{}{}
	for i, v := range versions {
		d.values[i] = map[int64]int64{}
		var err error
		if states[i], err = b.loadState(ctx, v); err != nil {
			return nil, err
		}
		states[i].all(func(key, _ int64) bool { keys[key] = struct{}{}; return true })
	}
	for key := range keys {
		first := states[0].get(key)
		if !slices.ContainsFunc(states[1:], func(m stateMap) bool { return m.get(key) != first }) {
			continue
		}
		d.keys = append(d.keys, key)
		for i := range states {
			d.values[i][key] = states[i].get(key)
		}
	}
	slices.Sort(d.keys)
	return d, nil
}

// loadState is a whole state, also of a version of this Change.
func (b *builder) loadState(ctx context.Context, v Version) (stateMap, error) {
	var m stateMap
	var err error
	switch {
	case b.opened == nil || v.Branch != b.opened.Branch:
		m, err = b.s.loadState(ctx, b.r.nid, v.Branch, v.Seq)
	case b.opened.BaseBranch >= 0:
		m, err = b.s.loadState(ctx, b.r.nid, b.opened.BaseBranch, b.opened.BaseSeq)
	}
	if err != nil {
		return m, err
	}
	var changes []statePair
	for _, r := range b.branchRows { // Why for every branch: an older one may be continued in this Change
		if r.Branch == v.Branch && r.Seq <= v.Seq {
			changes = append(changes, statePair{r.StateKey, r.Event})
		}
	}
	return m.with(changes...), nil
}

// stateRows reads rows of a branch, those of this Change included.
func (b *builder) stateRows(ctx context.Context, branch, after, upto int64) ([]storage.StateRow, error) {
	if after >= upto {
		return nil, nil
	}
	rows, err := b.s.db.ListStateRows(ctx, b.r.nid, branch, after, upto)
	for _, r := range b.branchRows {
		if r.Branch == branch && r.Seq > after && r.Seq <= upto {
			rows = append(rows, *r)
		}
	}
	return rows, err
}

// maxLineage bounds how many branches lie under one another, and so how long it takes to find a key.
const maxLineage = 24

// openBranch starts the branch of an event at a version, with some keys changed.
func (b *builder) openBranch(ctx context.Context, branch int64, base Version, changes []keyChange) (Version, error) {
	path, err := b.lineage(ctx, base)
	if err != nil {
		return Version{}, err
	}
	if len(path) > maxLineage {
		if base, changes, err = b.flatten(ctx, path, changes); err != nil {
			return Version{}, err
		}
	}
	b.opened = &storage.BranchRow{Room: b.r.nid, Branch: branch, BaseBranch: base.Branch, BaseSeq: base.Seq, HeadSeq: 1}
	b.change.Add(b.opened)
	b.addBranchRows(branch, 1, changes)
	b.exact = true
	return Version{branch, 1}, nil
}

// flatten moves a branch to the root of its tree: all that the branches between changed becomes its own.
func (b *builder) flatten(ctx context.Context, path []Version, changes []keyChange) (Version, []keyChange, error) {
	root := path[len(path)-1]
	d, err := b.diverge(ctx, []Version{path[0], root})
	if err != nil {
		return root, nil, err
	}
	out := slices.Clone(changes)
	own := map[int64]int{}
	for i, c := range out {
		own[c.key] = i
	}
	for _, key := range d.keys {
		if i, ok := own[key]; ok {
			out[i].old = d.values[1][key]
		} else if d.values[0][key] != d.values[1][key] {
			out = append(out, keyChange{key: key, old: d.values[1][key], new: d.values[0][key]})
		}
	}
	return root, out, nil
}

func (b *builder) addBranchRows(branch, seq int64, changes []keyChange) {
	for _, c := range changes {
		row := &storage.StateRow{Room: b.r.nid, Branch: branch, Seq: seq, StateKey: c.key, Event: c.new, Old: c.old}
		b.change.Add(row)
		b.branchRows = append(b.branchRows, row)
	}
}

// forkState adds the version after a state event that does not move the current state by itself.
func (b *builder) forkState(ctx context.Context, e *Stored) error {
	before := e.Before()
	old, err := b.valueAt(ctx, before, e.Row.StateKey)
	if err != nil {
		return err
	}
	change := []keyChange{{key: e.Row.StateKey, tuple: e.Tuple(), old: old, new: e.Row.NID}}
	next, err := b.extends(ctx, e, before)
	if err != nil {
		return err
	}
	if next == nil {
		e.Row.Flags |= storage.FlagOwnBranch
		_, err := b.openBranch(ctx, e.Row.NID, before, change)
		return err
	}
	b.exact = true
	next.HeadSeq++
	b.addBranchRows(next.Branch, next.HeadSeq, change)
	if next != b.opened {
		b.change.Add(next)
	}
	return nil
}

// extends is the branch that the state after an event continues; nil when it needs one of its own.
func (b *builder) extends(ctx context.Context, e *Stored, before Version) (*storage.BranchRow, error) {
	if before.Branch == e.Row.NID {
		return b.opened, nil
	}
	if before.Branch == 0 || e.Has(storage.FlagSoftFailed) {
		return nil, nil
	}
	row, err := b.s.db.FindBranch(ctx, b.r.nid, before.Branch)
	if err != nil || row.HeadSeq != before.Seq {
		return nil, err
	}
	return &row, nil
}

// valueAt is the event that holds a key at a version, those of this Change included.
func (b *builder) valueAt(ctx context.Context, v Version, key int64) (int64, error) {
	if v == b.snap.current() {
		return b.snap.state.get(key), nil
	}
	for _, r := range slices.Backward(b.branchRows) {
		if r.Branch == v.Branch && r.StateKey == key && r.Seq <= v.Seq {
			return r.Event, nil
		}
	}
	if b.opened != nil && v.Branch == b.opened.Branch {
		v = Version{b.opened.BaseBranch, b.opened.BaseSeq}
		if !v.Known() {
			return 0, nil
		}
		return b.valueAt(ctx, v, key)
	}
	return b.s.valueAt(ctx, b.r.nid, v, key)
}
