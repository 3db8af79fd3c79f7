package main

import (
	"context"
	"time"

	"rempart/clientapi"
	"rempart/config"
	"rempart/core/retention"
)

// retain starts the deletion of what nobody needs any more.
func (a *app) retain(ctx context.Context, cfg *config.Config, g *ground, d clientapi.Deps) error {
	days := func(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
	s, err := retention.New(ctx, retention.Options{DB: g.db, Rooms: d.Rooms, Log: g.log, Keep: retention.Keep{
		Changes:      days(cfg.Retention.StreamDays),
		Transactions: days(cfg.Retention.TransactionsDays),
		ToDevice:     days(cfg.Retention.ToDeviceDays),
	}})
	if err == nil {
		a.onClose = append(a.onClose, closing(s.Close))
	}
	return err
}
