package adminapi

import (
	"context"
	"strconv"

	"rempart/core/ledger"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// ledgerPrefix is where the routes about the record of what left are; no other server has them.
const ledgerPrefix = "/_rempart/admin/v1/ledger"

// ledgerRoutes adds the questions that the record of what left answers. It is the whole installation's, so they are for administrators of
// the organisation that runs it.
func ledgerRoutes(r *httpx.Router, l *ledger.Service) {
	ofLedger(r, l, "GET", "/checkpoint", func(ctx context.Context, p httpx.Path, _ httpx.Empty) (ledger.Offer, error) {
		since, err := natural(p, "since", 0)
		if err != nil {
			return ledger.Offer{}, err
		}
		return l.Offer(ctx, since)
	})
	type cosigned struct {
		Note string `json:"note"`
	}
	type signed struct {
		Size    int64    `json:"size"`
		Signers []string `json:"signers"`
	}
	ofLedger(r, l, "POST", "/cosign", func(ctx context.Context, _ httpx.Path, in cosigned) (signed, error) {
		s, err := l.AddCosignature(ctx, []byte(in.Note))
		return signed{s.Size, s.Signers}, err
	})
	ofLedger(r, l, "GET", "/proof/{n}", func(ctx context.Context, p httpx.Path, _ httpx.Empty) (ledger.Proof, error) {
		n, err := strconv.ParseInt(p.Var("n"), 10, 64)
		if err != nil || n < 0 || n >= l.Signed() {
			return ledger.Proof{}, matrix.NotFound("There is no such record that a checkpoint signs.")
		}
		return l.Prove(ctx, n)
	})
	ofLedger(r, l, "GET", "/trace/{kind}/{id}", func(ctx context.Context, p httpx.Path, _ httpx.Empty) (ledger.Trail, error) {
		if p.Var("kind") == "server" {
			return l.TraceDest(ctx, p.Var("id"))
		}
		name, err := ledger.NameOf(p.Var("kind"), p.Var("id"))
		if err != nil {
			return ledger.Trail{}, err
		}
		return l.TraceName(ctx, name)
	})
	ofLedger(r, l, "GET", "/residency/{kind}/{id}", func(ctx context.Context, p httpx.Path, _ httpx.Empty) (ledger.Residency, error) {
		name, err := ledger.NameOf(p.Var("kind"), p.Var("id"))
		if err != nil {
			return ledger.Residency{}, err
		}
		return l.Resides(ctx, name, map[string]string{"room": "rooms", "media": "files", "user": "accounts"}[p.Var("kind")])
	})
	between(r, l, "/left-territory", l.LeftTerritory)
	between(r, l, "/read-abroad", l.ReadAbroad)
}

// between declares a question about some time: from and to, in milliseconds.
func between(r *httpx.Router, l *ledger.Service, path string, ask func(ctx context.Context, from, to int64) (ledger.Trail, error)) {
	ofLedger(r, l, "GET", path, func(ctx context.Context, p httpx.Path, _ httpx.Empty) (ledger.Trail, error) {
		from, err := natural(p, "from", 0)
		if err != nil {
			return ledger.Trail{}, err
		}
		to, err := natural(p, "to", 0)
		if err != nil {
			return ledger.Trail{}, err
		}
		return ask(ctx, from, to)
	})
}

func ofLedger[In, Out any](r *httpx.Router, l *ledger.Service, method, path string, fn func(context.Context, httpx.Path, In) (Out, error)) {
	httpx.Handle(r, method, ledgerPrefix+path, httpx.Route{Access: httpx.Admin},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in In) (out Out, err error) {
			if string(c.Server) != l.Origin() {
				return out, matrix.Forbidden("The record of what left belongs to the organisation that runs this server.")
			}
			return fn(ctx, p, in)
		})
}
