package main

import (
	"cmp"
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"rempart/core/ledger"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/policy"
)

// maxReplayed bounds the different things that a replay judges; what comes beyond is counted as left out.
const maxReplayed = 200_000

// replay is what the record holds of some time, by what was judged: how often the same was recorded.
type replay struct {
	judge *judge
	count map[policy.Facts]int64
	// records were read from since on; left says how many could not be judged again.
	records, left, since int64
}

// replayed reads the record between two instants in milliseconds.
func replayed(ctx context.Context, l *ledger.Service, j *judge, from, to int64) (*replay, error) {
	r := &replay{judge: j, count: map[policy.Facts]int64{}}
	var err error
	r.since, err = l.Replay(ctx, from, to, func(rec *ledger.Record) error { r.take(rec); return nil })
	return r, err
}

func (r *replay) take(rec *ledger.Record) {
	n := max(rec.Count, 1)
	r.records += n
	all := r.judge.factsOf(rec)
	if len(all) == 0 {
		r.left += n
	}
	for _, f := range all {
		if _, known := r.count[f]; !known && len(r.count) >= maxReplayed {
			r.left += n
			return
		}
		r.count[f] += n
	}
}

// flipped is a decision that another policy makes differently, and how many records are about it.
type flipped struct {
	policy.Flip
	records int64
}

// flips compares two policies over what was recorded, as if all of it happened now. The most frequent come first.
func (r *replay) flips(old, next *policy.Generation, now time.Time) []flipped {
	type key struct {
		facts    policy.Facts
		was, now string
	}
	sums := map[key]*flipped{}
	for f, n := range r.count {
		f.Now = now
		for _, flip := range policy.WhatIf(old, next, []policy.Facts{f}) {
			k := key{flip.Facts, flip.Was.Rule, flip.Now.Rule}
			k.facts.Addr = netip.AddrPort{} // by destination and rule
			if sums[k] == nil {
				sums[k] = &flipped{Flip: flip}
			}
			sums[k].records += n
		}
	}
	out := make([]flipped, 0, len(sums))
	for _, f := range sums {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b flipped) int {
		return cmp.Or(cmp.Compare(b.records, a.records), cmp.Compare(a.Facts.Point, b.Facts.Point), cmp.Compare(a.dest(), b.dest()), cmp.Compare(a.Facts.Data, b.Facts.Data))
	})
	return out
}

// dest is whom a decision is about.
func (f *flipped) dest() string {
	if f.Facts.Server != "" {
		return string(f.Facts.Server)
	}
	return f.Facts.Host
}

// factsOf are the facts that were judged when a record was written; none when they cannot be told from it.
func (j *judge) factsOf(r *ledger.Record) []policy.Facts {
	f := policy.Facts{Tenant: matrix.ServerName(r.Tenant), Server: matrix.ServerName(r.Dest)}
	switch r.Kind {
	case ledger.Answer:
		accept, query := f, f
		accept.Point, accept.Tenant, accept.Addr = policy.FedAccept, "", addrOf(r.Addr)
		query.Point, query.Data = policy.FedInQuery, dataAsked(&url.URL{Path: "/_matrix/federation/v1/" + strings.ReplaceAll(r.For, " ", "/")})
		return []policy.Facts{accept, query}
	case ledger.Transaction, ledger.Internal:
		f.Point, f.Data = policy.RoomClosure, policy.DataRooms
		return []policy.Facts{f}
	default:
	}
	if point := pointOf(egress.Kind(r.For)); point != "" {
		return []policy.Facts{j.dialled(r, point)}
	}
	f.Point = policy.Point(r.For)
	i := slices.IndexFunc(policy.Points(), func(p policy.PointInfo) bool { return p.Point == f.Point })
	if i < 0 {
		return nil // such as an alarm about a room
	}
	if !policy.Points()[i].Partner {
		f.Server, f.Host = "", r.Dest
	}
	if f.Point == policy.FedAccept || f.Point == policy.RTCICE {
		f.Addr = addrOf(r.Addr)
	}
	if len(r.Types) == 1 {
		f.Data = r.Types[0]
	}
	return []policy.Facts{f}
}

// dialled are the facts of a connection.
func (j *judge) dialled(r *ledger.Record, point policy.Point) policy.Facts {
	i := egress.Intent{Kind: egress.Kind(r.For), Tenant: matrix.ServerName(r.Tenant), Host: cmp.Or(r.Host, r.Dest), Addr: addrOf(r.Addr), Socket: r.Addr == "unix"}
	switch point {
	case policy.FedDial, policy.FedResolve, policy.MediaRemote:
		i.Server = matrix.ServerName(r.Dest)
	default:
	}
	f := j.facts(&i)
	f.Now = time.Time{}
	return f
}

// addrOf reads an address as it stands in a record, with or without a port.
func addrOf(s string) netip.AddrPort {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, 0)
}
