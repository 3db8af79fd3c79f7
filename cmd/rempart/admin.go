package main

import (
	"context"

	"rempart/adminapi"
	"rempart/clientapi"
	"rempart/core/admin"
	"rempart/core/media"
)

// admin makes what administrators do beside their own accounts, and the worker that does their long work.
func (a *app) admin(ctx context.Context, g *ground, d clientapi.Deps, files *media.Service, f *outside, rules policyAdmin) (adminapi.Deps, error) {
	names, err := g.db.ListServerNames(ctx)
	if err != nil {
		return adminapi.Deps{}, err
	}
	tenants := map[int64]struct{}{}
	for _, t := range names {
		tenants[t] = struct{}{}
	}
	s := admin.New(ctx, admin.Options{DB: g.db, Accounts: d.Users, Graph: d.Rooms, Files: files, Tenants: len(tenants), Retry: f.heard, Log: g.log})
	a.onClose = append(a.onClose, closing(s.Close), closing(f.notices.close))
	f.notices.begin(ctx, s, g.judge)
	return adminapi.Deps{Admin: s, Users: d.Users, Rooms: d.Rooms, Ledger: g.ledger, Policy: rules, Services: f.services.courier, Version: version()}, nil
}
