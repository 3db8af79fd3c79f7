package main

import (
	"context"

	"rempart/clientapi"
	"rempart/config"
	"rempart/core/retention"
	"rempart/core/rooms"
)

// retain starts the deletion of what nobody needs any more.
func (a *app) retain(ctx context.Context, cfg *config.Config, g *ground, d clientapi.Deps) error {
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

// lifetimes says for how long messages of rooms are kept.
func lifetimes(c config.Retention) rooms.Lifetimes {
	return rooms.Lifetimes{Enabled: c.Messages, Default: days(c.MessagesDefaultDays).Milliseconds(),
		Min: days(c.MessagesMinDays).Milliseconds(), Max: days(c.MessagesMaxDays).Milliseconds()}
}
