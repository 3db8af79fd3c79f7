package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"

	"rempart/config"
	"rempart/core/ledger"
	"rempart/internal/metrics"
	"rempart/storage"
)

// withGround opens what the core stands on, beside a server that may run, and closes it after fn.
func withGround(ctx context.Context, cfg *config.Config, fn func(*ground) error) (err error) {
	g, err := openGround(ctx, cfg, slog.New(slog.DiscardHandler), metrics.New())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	return fn(g)
}

// withDatabase opens no more than the database.
func withDatabase(ctx context.Context, cfg *config.Config, fn func(*storage.DB) error) (err error) {
	g, err := openedDoor(cfg)
	if err != nil {
		return err
	}
	db, err := storage.Open(ctx, storage.Options{Fresh: keyless(cfg), Dial: g.dialStore, URL: databaseURL(cfg)})
	if err != nil {
		return errors.Join(err, g.egress.Close())
	}
	defer func() { err = errors.Join(err, db.Close(), g.egress.Close()) }()
	return fn(db)
}

// openedDoor is the way out of a command that needs no more of the ground.
func openedDoor(cfg *config.Config) (*ground, error) {
	g := &ground{log: slog.New(slog.DiscardHandler)}
	if err := g.openDoor(cfg, metrics.New()); err != nil {
		return nil, misconfigured(err)
	}
	return g, nil
}

func ledgerOffer(ctx context.Context, args []string, c console) error {
	f := flags("ledger offer")
	since := f.Int64("since", 0, "how many records the witness has cosigned")
	return withLedger(ctx, f, args, 0, func(l *ledger.Service, _ []string) error {
		return answer[ledger.Offer](c)(l.Offer(ctx, *since))
	})
}

// ledgerWitness needs no server: it is run by another body, with nothing but files.
func ledgerWitness(_ context.Context, args []string, c console) error {
	f := flags("ledger witness")
	key, log, state := f.String("key", "", "own key; made at first"), f.String("log", "", "public key of the log"), f.String("state", "", "what was cosigned last")
	name := f.String("name", "witness", "what a new key is called")
	words, err := parse(f, args, 1)
	if err != nil {
		return err
	}
	if *key == "" || *log == "" || *state == "" {
		return errUsage
	}
	own, err := ledger.LoadOrCreateKey(*key, *name)
	if err != nil {
		return err
	}
	how, err := verification(*log, nil, nil)
	if err != nil {
		return err
	}
	last, err := os.ReadFile(*state)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	raw, err := os.ReadFile(words[0])
	if err != nil {
		return err
	}
	var offer ledger.Offer
	if err := json.Unmarshal(raw, &offer); err != nil {
		return err
	}
	note, err := ledger.Cosign(own, how.Key, last, offer)
	if err != nil {
		return err
	}
	if err := os.WriteFile(*state, note, 0o600); err != nil {
		return err
	}
	_, err = c.out.Write(note)
	return err
}

func ledgerCosign(ctx context.Context, args []string, c console) error {
	return withLedger(ctx, flags("ledger cosign"), args, 1, func(l *ledger.Service, words []string) error {
		raw, err := os.ReadFile(words[0])
		if err != nil {
			return err
		}
		s, err := l.AddCosignature(ctx, raw)
		if err == nil {
			c.say("The checkpoint of %d records is signed by %v.", s.Size, s.Signers)
		}
		return err
	})
}
