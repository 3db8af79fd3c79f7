package rooms

import (
	"context"

	"rempart/storage"
)

// The auth-chain index. State events are laid in chains: an event continues the chain of the event
// of the same (type, state key) that it names as auth event, if it is the first to do so; else it starts a chain that
// bears its own number. So all that is at or before a place in a chain is in the auth chain of what is at or behind it, and
// links tell which places of other chains are reached from where.

// chain gives a state event its place in the index and adds its links. auth are its auth events.
func (b *builder) chain(ctx context.Context, e *Stored, auth authEvents) error {
	if e.Row.Chain != 0 {
		return nil // it has been known as an outlier
	}
	e.Row.Chain, e.Row.ChainSeq = e.Row.NID, 1
	for _, a := range auth {
		if a.Type != e.Type || !a.StateKeyEquals(*e.StateKey) || a.Row.Chain == 0 {
			continue
		}
		tip, err := b.tipOf(ctx, a.Row.Chain)
		if err != nil {
			return err
		}
		if tip == a.Row.ChainSeq {
			e.Row.Chain, e.Row.ChainSeq = a.Row.Chain, tip+1
		}
	}
	if b.tips == nil {
		b.tips = map[int64]int64{}
	}
	b.tips[e.Row.Chain] = e.Row.ChainSeq
	for _, a := range auth {
		if a.Row.Chain == 0 || a.Row.Chain == e.Row.Chain || a.Type == "m.room.create" && len(auth) > 1 {
			continue // Why: every other auth event reaches the create event.
		}
		link := &storage.ChainLinkRow{Room: b.r.nid, Chain: e.Row.Chain, Seq: e.Row.ChainSeq,
			ToChain: a.Row.Chain, ToSeq: a.Row.ChainSeq}
		b.change.Add(link)
		b.links = append(b.links, link)
	}
	return nil
}

// tipOf is the last place taken in a chain, counting what is under way.
func (b *builder) tipOf(ctx context.Context, chain int64) (int64, error) {
	if tip, ok := b.tips[chain]; ok {
		return tip, nil
	}
	if tip, ok := b.r.tips[chain]; ok {
		return tip, nil
	}
	tip, err := b.s.db.ChainTip(ctx, chain)
	if err != nil {
		return 0, err
	}
	b.r.learnTips(map[int64]int64{chain: tip})
	return tip, nil
}

const tipsLimit = 4096

// learnTips remembers ends of chains; mu is held.
func (r *Room) learnTips(tips map[int64]int64) {
	if len(tips) == 0 {
		return
	}
	if r.tips == nil || len(r.tips) > tipsLimit && len(r.pending) == 0 {
		r.tips = map[int64]int64{}
	}
	for chain, tip := range tips {
		r.tips[chain] = tip
		delete(r.links, chain)
	}
}
