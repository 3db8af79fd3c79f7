package storage

import (
	"context"
	"database/sql"
)

// ChainLinkRow says that (Chain, Seq) reaches (ToChain, ToSeq) in the auth-chain index.
type ChainLinkRow struct{ Room, Chain, Seq, ToChain, ToSeq int64 }

var chainLinksTable = newTable("chain_links", "room:i chain:i seq:i to_chain:i to_seq:i", 4, "update")

func (*ChainLinkRow) table() *table { return chainLinksTable }
func (r *ChainLinkRow) args(dst []any) []any {
	return append(dst, r.Room, r.Chain, r.Seq, r.ToChain, r.ToSeq)
}

// ChainEvent is an event's place in the auth-chain index.
type ChainEvent struct{ NID, StateKey, Chain, Seq int64 }

// ChainTip is the greatest number in a chain; 0 when it is empty.
func (db *DB) ChainTip(ctx context.Context, chain int64) (int64, error) {
	var tip int64
	err := db.row(ctx, `SELECT COALESCE(max(chain_seq), 0) FROM events WHERE chain = $1 AND chain <> 0`, []any{chain}, &tip)
	return tip, err
}

// ListChainEvents lists the events of a chain with lo < seq ≤ hi.
func (db *DB) ListChainEvents(ctx context.Context, chain, lo, hi int64) ([]ChainEvent, error) {
	var out []ChainEvent
	err := db.each(ctx, `SELECT nid, skey, chain_seq FROM events WHERE chain = $1 AND chain <> 0 AND chain_seq > $2 AND chain_seq <= $3
		ORDER BY chain_seq`, []any{chain, lo, hi}, func(r *sql.Rows) error {
		e := ChainEvent{Chain: chain}
		err := r.Scan(&e.NID, &e.StateKey, &e.Seq)
		out = append(out, e)
		return err
	})
	return out, err
}

// ListChainLinks lists all links that leave a chain, in order of seq.
func (db *DB) ListChainLinks(ctx context.Context, room, chain int64) ([]ChainLinkRow, error) {
	return db.chainLinks(ctx, `SELECT chain, seq, to_chain, to_seq FROM chain_links WHERE room = $1 AND chain = $2 ORDER BY seq`,
		room, chain)
}

// ListChainLinksTo lists, a page at a time, links that reach a chain at toSeq or later, of chains greater than after.
func (db *DB) ListChainLinksTo(ctx context.Context, room, toChain, toSeq, after int64, limit int) ([]ChainLinkRow, error) {
	return db.chainLinks(ctx, `SELECT chain, min(seq), to_chain, max(to_seq) FROM chain_links
		WHERE room = $1 AND to_chain = $2 AND to_seq >= $3 AND chain > $4 GROUP BY chain, to_chain ORDER BY chain LIMIT $5`,
		room, toChain, toSeq, after, int64(limit))
}

func (db *DB) chainLinks(ctx context.Context, text string, args ...any) ([]ChainLinkRow, error) {
	var out []ChainLinkRow
	err := db.each(ctx, text, args, func(r *sql.Rows) error {
		var l ChainLinkRow
		err := r.Scan(&l.Chain, &l.Seq, &l.ToChain, &l.ToSeq)
		out = append(out, l)
		return err
	})
	return out, err
}
