package rooms

import (
	"context"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

const flagRejected = storage.FlagRejected

// reach is what an auth chain covers: per chain, the last place in it. All before that is covered too.
type reach map[int64]int64

// linksOf are the links that leave a chain, in order of seq.
func (b *builder) linksOf(ctx context.Context, chain int64) ([]storage.ChainLinkRow, error) {
	links, ok := b.r.links[chain]
	if !ok {
		var err error
		if links, err = b.s.db.ListChainLinks(ctx, b.r.nid, chain); err != nil {
			return nil, err
		}
		if b.r.links == nil || len(b.r.links) > tipsLimit {
			b.r.links = map[int64][]storage.ChainLinkRow{}
		}
		b.r.links[chain] = links
	}
	for _, l := range b.links {
		if l.Chain == chain {
			links = append(links[:len(links):len(links)], *l)
		}
	}
	return links, nil
}

// cover adds a place and everything that it reaches.
func (b *builder) cover(ctx context.Context, to reach, chain, seq int64) error {
	todo := []storage.ChainLinkRow{{ToChain: chain, ToSeq: seq}}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		was := to[at.ToChain]
		if at.ToSeq <= was {
			continue
		}
		to[at.ToChain] = at.ToSeq
		links, err := b.linksOf(ctx, at.ToChain)
		if err != nil {
			return err
		}
		for _, l := range links {
			if l.Seq > was && l.Seq <= at.ToSeq && l.ToSeq > to[l.ToChain] {
				todo = append(todo, l)
			}
		}
	}
	return nil
}

// authDifference finds the events in the auth chains of some of the states but not of all. What the states agree on is in
// all of them with its whole chain: it matters only where it reaches something that the rest has not in common.
// Spec: rooms/v2/#definitions, "auth difference".
func (r *resolver) authDifference(ctx context.Context) ([]matrix.EventID, error) {
	covers := make([]reach, len(r.values))
	for i, values := range r.values {
		covers[i] = reach{}
		for _, key := range r.conflicted {
			if err := r.coverAuth(ctx, covers[i], values[key]); err != nil {
				return nil, err
			}
		}
	}
	var nids []int64
	shared := &sharedReach{r: r, dead: reach{}}
	for chain, span := range spans(covers) {
		low, err := shared.last(ctx, chain, span[0], span[1])
		if err != nil {
			return nil, err
		}
		found, err := r.chainEvents(ctx, chain, low, span[1])
		if err != nil {
			return nil, err
		}
		nids = append(nids, found...)
	}
	return r.identify(ctx, nids)
}

// coverAuth adds the auth chain of an event, without the event.
func (r *resolver) coverAuth(ctx context.Context, to reach, nid int64) error {
	if nid == 0 {
		return nil
	}
	e := r.nids[nid]
	if err := r.load(ctx, e.Row.Auth); err != nil {
		return err
	}
	for _, a := range e.Row.Auth {
		row := &r.nids[a].Row
		if err := r.b.cover(ctx, to, row.Chain, row.ChainSeq); err != nil {
			return err
		}
	}
	return nil
}

// spans are the chains that are not covered equally far, with the least and the greatest place.
func spans(covers []reach) map[int64][2]int64 {
	out := map[int64][2]int64{}
	for _, c := range covers {
		for chain := range c {
			if _, done := out[chain]; done {
				continue
			}
			low, high := c[chain], c[chain]
			for _, o := range covers {
				low, high = min(low, o[chain]), max(high, o[chain])
			}
			out[chain] = [2]int64{low, high}
		}
	}
	for chain, span := range out {
		if span[0] == span[1] {
			delete(out, chain)
		}
	}
	return out
}

// chainEvents lists the events of a piece of a chain, those of this Change included.
func (r *resolver) chainEvents(ctx context.Context, chain, after, upto int64) ([]int64, error) {
	if after >= upto {
		return nil, nil
	}
	found, err := r.b.s.db.ListChainEvents(ctx, chain, after, upto)
	var nids []int64
	for _, e := range found {
		nids = append(nids, e.NID)
	}
	for _, e := range r.b.stored {
		if e.Row.Chain == chain && e.Row.ChainSeq > after && e.Row.ChainSeq <= upto {
			nids = append(nids, e.Row.NID)
		}
	}
	return nids, err
}

func (r *resolver) identify(ctx context.Context, nids []int64) ([]matrix.EventID, error) {
	if err := r.load(ctx, nids); err != nil {
		return nil, err
	}
	ids := make([]matrix.EventID, len(nids))
	for i, nid := range nids {
		ids[i] = r.nids[nid].ID
	}
	return ids, nil
}

// subgraph finds the events on auth paths between conflicted ones: in each chain those that a conflicted event reaches
// and that reach one themselves. MSC4297
func (r *resolver) subgraph(ctx context.Context, conflicted []matrix.EventID) ([]matrix.EventID, error) {
	top, from := reach{}, reach{}
	for _, id := range conflicted {
		e, err := r.stored(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := r.b.cover(ctx, top, e.Row.Chain, e.Row.ChainSeq); err != nil {
			return nil, err
		}
		if at, ok := from[e.Row.Chain]; !ok || e.Row.ChainSeq < at {
			from[e.Row.Chain] = e.Row.ChainSeq
		}
	}
	if err := r.raise(ctx, top, from); err != nil {
		return nil, err
	}
	var nids []int64
	for chain, at := range from {
		found, err := r.chainEvents(ctx, chain, at-1, top[chain])
		if err != nil {
			return nil, err
		}
		nids = append(nids, found...)
	}
	return r.identify(ctx, nids)
}

// raise extends from, the first place of each chain that reaches something, along the links within top.
func (r *resolver) raise(ctx context.Context, top, from reach) error {
	into := map[int64][]storage.ChainLinkRow{}
	for chain, upto := range top {
		links, err := r.b.linksOf(ctx, chain)
		if err != nil {
			return err
		}
		for _, l := range links {
			if l.Seq <= upto {
				into[l.ToChain] = append(into[l.ToChain], l)
			}
		}
	}
	todo := make([]int64, 0, len(from))
	for chain := range from {
		todo = append(todo, chain)
	}
	for len(todo) > 0 {
		chain := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, l := range into[chain] {
			if at, ok := from[l.Chain]; l.ToSeq >= from[chain] && (!ok || l.Seq < at) {
				from[l.Chain] = l.Seq
				todo = append(todo, l.Chain)
			}
		}
	}
	return nil
}

// sharedReach tells how far the auth chains of what the states agree on go.
type sharedReach struct {
	r *resolver
	// dead are places that nothing shared reaches: per chain the first of them, all behind included.
	dead reach
}

// last is the last place of a chain up to high that something shared reaches; low when that is not further.
func (s *sharedReach) last(ctx context.Context, chain, low, high int64) (int64, error) {
	for at := high; at > low; at-- {
		yes, err := s.reached(ctx, chain, at)
		if err != nil || yes {
			return at, err
		}
	}
	return low, nil
}

// reached reports whether a shared event has the place in its auth chain. It walks up the links.
func (s *sharedReach) reached(ctx context.Context, chain, seq int64) (bool, error) {
	seen := reach{}
	todo := []storage.ChainLinkRow{{Chain: chain, Seq: seq + 1}}
	yes, err := s.above(ctx, chain, seq, &todo)
	for ; !yes && err == nil && len(todo) > 0; yes, err = s.step(ctx, seen, &todo) {
	}
	if err == nil && !yes {
		for c, at := range seen {
			if was, ok := s.dead[c]; !ok || at < was {
				s.dead[c] = at
			}
		}
	}
	return yes, err
}

// step looks at one place: is it, or something behind it in its chain, shared?
func (s *sharedReach) step(ctx context.Context, seen reach, todo *[]storage.ChainLinkRow) (bool, error) {
	l := (*todo)[len(*todo)-1]
	*todo = (*todo)[:len(*todo)-1]
	if was, ok := seen[l.Chain]; ok && was <= l.Seq {
		return false, nil
	}
	if was, ok := s.dead[l.Chain]; ok && was <= l.Seq {
		return false, nil
	}
	seen[l.Chain] = l.Seq
	yes, err := s.shared(ctx, l.Chain, l.Seq)
	if yes || err != nil {
		return yes, err
	}
	return s.above(ctx, l.Chain, l.Seq, todo)
}

// shared reports whether the states agree on an event of the chain at or behind a place. All events of a chain
// set the same key, so that only one can be in the state.
func (s *sharedReach) shared(ctx context.Context, chain, seq int64) (bool, error) {
	if err := s.r.load(ctx, []int64{chain}); err != nil {
		return false, err
	}
	key := s.r.nids[chain].Row.StateKey
	if _, conflict := slices.BinarySearch(s.r.conflicted, key); conflict {
		return false, nil
	}
	nid, err := s.r.common(ctx, key)
	if err != nil || nid == 0 {
		return false, err
	}
	if err := s.r.load(ctx, []int64{nid}); err != nil {
		return false, err
	}
	row := &s.r.nids[nid].Row
	return row.Chain == chain && row.ChainSeq >= seq, nil
}

const linkPage = 256

// above adds the places that link to one, or to what is behind it. The first page is judged at once: in a large
// room nearly everything is shared, so that the answer is among the first.
func (s *sharedReach) above(ctx context.Context, chain, seq int64, todo *[]storage.ChainLinkRow) (bool, error) {
	for after := int64(0); ; {
		page, err := s.r.b.s.db.ListChainLinksTo(ctx, s.r.b.r.nid, chain, seq, after, linkPage)
		if err != nil {
			return false, err
		}
		for _, l := range page {
			if yes, err := s.shared(ctx, l.Chain, l.Seq); yes || err != nil {
				return yes, err
			}
		}
		*todo = append(*todo, page...)
		if len(page) < linkPage {
			return false, nil
		}
		after = page[len(page)-1].Chain
	}
}
