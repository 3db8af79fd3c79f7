package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	"rempart/config"
	"rempart/core/ledger"
	"rempart/internal/matrix"
	"rempart/internal/metrics"
	"rempart/storage"
)

// checkWitnesses finds what is no key among those of the witnesses, such as the name of a file with one: nothing would ever be cosigned.
func checkWitnesses(cfg *config.Config) error {
	for i, key := range cfg.Ledger.Witnesses {
		if err := ledger.CheckPublicKey(key); err != nil {
			return misconfigured(fmt.Errorf("ledger.witnesses[%d]: %q is no public key of a witness: write the one line of its file .pub here (%w)", i, key, err))
		}
	}
	return nil
}

// openLedger opens the record of what leaves; the way out has waited for it.
func (g *ground) openLedger(ctx context.Context, cfg *config.Config) error {
	if err := checkWitnesses(cfg); err != nil {
		return err
	}
	key, err := ledger.LoadOrCreateKey(ledgerKey(cfg), cfg.Server.Name)
	if err != nil {
		return misconfigured(err)
	}
	o := ledger.Options{
		DB: g.db, Key: key, Anchor: anchorOf(cfg), Lax: !cfg.Ledger.Strict,
		Territory: cfg.Ledger.Territory, Place: g.countryOf, Mission: g.missionOf, Witnesses: cfg.Ledger.Witnesses, Keep: days(cfg.Ledger.RetentionDays), Log: g.log,
	}
	for _, s := range cfg.Ledger.Stores {
		o.Stores = append(o.Stores, ledger.Store(s))
	}
	if g.ledger, err = ledger.New(ctx, o); err == nil {
		g.recorder.opened(g.ledger)
	}
	return err
}

// meter tells the record what people read; nil when that is not recorded.
func (g *ground) meter(cfg *config.Config) func(c *matrix.Caller, room matrix.RoomID, from, to, events int64) {
	if !cfg.Ledger.Reads {
		return nil
	}
	return func(c *matrix.Caller, room matrix.RoomID, from, to, events int64) {
		g.ledger.Read(ledger.Reader{Session: c.Session, User: c.User, Addr: c.Addr}, room, from, to, events)
	}
}

// ledgerKey is the file of the key that signs checkpoints: beside the signing key unless it is named.
func ledgerKey(cfg *config.Config) string {
	if cfg.Ledger.Key != "" {
		return cfg.Ledger.Key
	}
	return filepath.Join(filepath.Dir(cfg.Server.SigningKey), "ledger.key")
}

// countryOf is the country of an address by the policy's data, "" when it is not known.
func (g *ground) countryOf(a netip.Addr) string {
	return country(g.judge.policy.Current().Territory().Judge(a, time.Now()).Country.String())
}

// missionOf is the number of the mission under which somebody is in a country, "" when he has none.
func (g *ground) missionOf(ctx context.Context, user matrix.UserID, country string, at time.Time) (string, error) {
	nid, err := g.db.FindMissionAt(ctx, user, country, at.UnixMilli())
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	return strconv.FormatInt(nid, 10), err
}

// country is what the record says for a country of which nothing is known.
func country(cc string) string {
	if cc == "?" {
		return ""
	}
	return cc
}

// measureLedger shows how the record grows.
func measureLedger(registry *metrics.Registry, g *ground) {
	l := g.ledger
	registry.Gauge("rempart_ledger_records", "Records of what left and who read what.", func() float64 { return float64(l.Size()) })
	registry.Gauge("rempart_ledger_unsigned", "Of these, those behind the newest checkpoint.", func() float64 { return float64(l.Size() - l.Signed()) })
	registry.Gauge("rempart_ledger_checkpoint_age_seconds", "How long ago the newest checkpoint was signed.", g.checkpointAge)
}
