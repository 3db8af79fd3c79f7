package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"rempart/config"
	"rempart/core/ledger"
	"rempart/storage"
)

func ledgerVerify(ctx context.Context, args []string, c console) error {
	f := flags("ledger verify")
	named, bundle, key := configFlag(f), f.String("bundle", "", "exported record"), f.String("key", "", "file of the public key")
	territory := f.String("territory", "", "also list what left these countries")
	var witnesses, known several
	f.Var(&witnesses, "witness", "file of a witness's public key")
	f.Var(&known, "checkpoint", "file of a checkpoint that was kept elsewhere")
	if _, err := parse(f, args, 0); err != nil {
		return err
	}
	how, err := verification(*key, witnesses, known)
	if err != nil {
		return err
	}
	if *territory != "" {
		how.Territory = strings.Split(*territory, ",")
	}
	if *bundle == "" {
		return verifyOwn(ctx, *named, how, c)
	}
	if how.Key == "" {
		c.say("No -key: the bundle is checked by the key in it, which says nothing about who wrote it.")
	}
	file, err := os.Open(*bundle)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return sayReport(c)(ledger.VerifyBundle(file, how))
}

// verification reads the files by which a log is checked.
func verification(key string, witnesses, known []string) (how ledger.Verification, err error) {
	if key != "" {
		raw, err := os.ReadFile(key)
		if err != nil {
			return how, err
		}
		how.Key = strings.TrimSpace(string(raw))
	}
	for _, file := range witnesses {
		raw, err := os.ReadFile(file)
		if err != nil {
			return how, err
		}
		how.Witnesses = append(how.Witnesses, strings.TrimSpace(string(raw)))
	}
	for _, file := range known {
		raw, err := os.ReadFile(file)
		if err != nil {
			return how, err
		}
		how.Known = append(how.Known, raw)
	}
	return how, nil
}

// verifyOwn checks the log in the database of a configuration, and that it is what the anchor says. It opens no ledger, which would
// write to it.
func verifyOwn(ctx context.Context, named string, how ledger.Verification, c console) error {
	cfg, err := loadConfig(named)
	if err != nil {
		return err
	}
	if how.Key == "" {
		own, err := verification(ledgerKey(cfg)+".pub", nil, nil)
		if err != nil {
			return err
		}
		how.Key = own.Key
	}
	how.Witnesses = append(how.Witnesses, cfg.Ledger.Witnesses...)
	if raw, err := os.ReadFile(anchorOf(cfg)); err == nil {
		how.Known = append(how.Known, raw)
	}
	return withDatabase(ctx, cfg, func(db *storage.DB) error { return sayReport(c)(ledger.Verify(ctx, db, how)) })
}

// errLedger ends a verification that found something.
var errLedger = errors.New("the record is not what was written")

// sayReport prints a report for people.
func sayReport(c console) func(ledger.Report, error) error {
	return func(r ledger.Report, err error) error {
		if err != nil {
			return err
		}
		c.say("%d records, %d of them sealed away; root %s.", r.Records, r.Sealed, r.Root)
		c.say("%d checkpoints agree; %d records are signed, %d witnessed.", r.Checkpoints, r.Signed, r.Witnessed)
		for _, left := range r.Left {
			c.say("left the territory: record %d, %s to %s at %s (%s)", left.N, left.For, left.Dest, left.Addr, left.CC)
		}
		for _, p := range r.Problems {
			c.say("%s: %s", strings.ToUpper(p.What), p.Text)
		}
		if len(r.Problems) > 0 {
			return errLedger
		}
		return nil
	}
}

func anchorOf(cfg *config.Config) string { return ledgerKey(cfg) + ".head" }
