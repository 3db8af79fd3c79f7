package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"rempart/config"
	"rempart/core/ledger"
	"rempart/storage"
)

// ledgerCommands are the commands about the record of what left.
func ledgerCommands() []command {
	return []command{
		{"ledger verify", "[-config FILE | -bundle FILE] [-key FILE] [-witness FILE]... [-checkpoint FILE]... [-territory FR,RE…]",
			"check that the record of what left is whole; a bundle is checked without the server", ledgerVerify},
		{"ledger export", "[-config FILE] FILE", "write the record into a file that others can check", ledgerExport},
		{"ledger trace", "[-config FILE] room|user|media|server ID", "list what left of a room, a person or a file, or to a server", ledgerTrace},
		{"ledger residency", "[-config FILE] room|media ID", "say where an object is: own stores, other servers, readers", ledgerResidency},
		{"ledger left-territory", "[-config FILE] [-from DATE] [-to DATE]", "list what was let out to places outside the territory or unknown", ledgerBetween(true)},
		{"ledger read-abroad", "[-config FILE] [-from DATE] [-to DATE]", "list what people read from outside the territory", ledgerBetween(false)},
		{"ledger prove", "[-config FILE] N", "prove that a record stands in the log of the newest checkpoint", ledgerProve},
		{"ledger erase", "[-config FILE] room|user|media ID", "forget whom the records mean by a name; they stay", ledgerErase},
		{"ledger offer", "[-config FILE] [-since N]", "print the newest checkpoint with its proof, for a witness", ledgerOffer},
		{"ledger witness", "-key FILE [-name NAME] -log KEY-FILE -state FILE OFFER", "as a witness: check an offer against the last one, and cosign it", ledgerWitness},
		{"ledger cosign", "[-config FILE] NOTE", "take in the signature of a witness", ledgerCosign},
	}
}

// several is a flag that may be given several times.
type several []string

func (s *several) String() string     { return strings.Join(*s, ",") }
func (s *several) Set(v string) error { *s = append(*s, v); return nil } //nolint:revive // flag.Value

// withLedger opens the ledger of a configuration beside the server.
func withLedger(ctx context.Context, f *flag.FlagSet, args []string, n int, fn func(l *ledger.Service, words []string) error) (err error) {
	named := configFlag(f)
	words, err := parse(f, args, n)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(*named)
	if err != nil {
		return err
	}
	return withGround(ctx, cfg, func(g *ground) error { return fn(g.ledger, words) })
}

// answer prints an answer as JSON.
func answer[T any](c console) func(T, error) error {
	return func(v T, err error) error {
		if err != nil {
			return err
		}
		raw, err := json.MarshalIndent(v, "", "  ")
		c.say("%s", raw)
		return err
	}
}

func ledgerTrace(ctx context.Context, args []string, c console) error {
	return withLedger(ctx, flags("ledger trace"), args, 2, func(l *ledger.Service, words []string) error {
		if words[0] == "server" {
			return answer[ledger.Trail](c)(l.TraceDest(ctx, words[1]))
		}
		name, err := ledger.NameOf(words[0], words[1])
		if err != nil {
			return err
		}
		return answer[ledger.Trail](c)(l.TraceName(ctx, name))
	})
}

func ledgerResidency(ctx context.Context, args []string, c console) error {
	return withLedger(ctx, flags("ledger residency"), args, 2, func(l *ledger.Service, words []string) error {
		name, err := ledger.NameOf(words[0], words[1])
		if err != nil {
			return err
		}
		class := map[string]string{"room": "rooms", "media": "files", "user": "accounts"}[words[0]]
		return answer[ledger.Residency](c)(l.Resides(ctx, name, class))
	})
}

func ledgerErase(ctx context.Context, args []string, c console) error {
	return withLedger(ctx, flags("ledger erase"), args, 2, func(l *ledger.Service, words []string) error {
		name, err := ledger.NameOf(words[0], words[1])
		if err != nil {
			return err
		}
		c.say("Nobody can tell any more which records are about %s.", words[1])
		return l.Erase(ctx, name)
	})
}

// ledgerBetween asks what left the territory, or what was read abroad.
func ledgerBetween(left bool) func(context.Context, []string, console) error {
	return func(ctx context.Context, args []string, c console) error {
		f := flags("ledger between")
		from, to := f.String("from", "", "date, such as 2026-01-31"), f.String("to", "", "date, without that day")
		return withLedger(ctx, f, args, 0, func(l *ledger.Service, _ []string) error {
			a, err := instant(*from)
			if err != nil {
				return err
			}
			b, err := instant(*to)
			if err != nil {
				return err
			}
			if left {
				return answer[ledger.Trail](c)(l.LeftTerritory(ctx, a, b))
			}
			return answer[ledger.Trail](c)(l.ReadAbroad(ctx, a, b))
		})
	}
}

// instant reads a date, in milliseconds; 0 for none.
func instant(date string) (int64, error) {
	if date == "" {
		return 0, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, date, time.Local)
	return t.UnixMilli(), err
}

func ledgerProve(ctx context.Context, args []string, c console) error {
	return withLedger(ctx, flags("ledger prove"), args, 1, func(l *ledger.Service, words []string) error {
		var n int64
		if _, err := fmt.Sscan(words[0], &n); err != nil {
			return errUsage
		}
		return answer[ledger.Proof](c)(l.Prove(ctx, n))
	})
}

func ledgerExport(ctx context.Context, args []string, c console) error {
	f := flags("ledger export")
	named := configFlag(f)
	words, err := parse(f, args, 1)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(*named)
	if err != nil {
		return err
	}
	return withGround(ctx, cfg, func(g *ground) error {
		if err := g.ledger.Checkpoint(ctx); err != nil {
			return err
		}
		file, err := os.OpenFile(words[0], os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		c.say("The record is in %s. It names no people, rooms or files.", words[0])
		return errors.Join(ledger.Export(ctx, g.db, g.ledger.Key.Public, file), file.Close())
	})
}

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
		own, err := verification(cfg.Ledger.Key+".pub", nil, nil)
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

func anchorOf(cfg *config.Config) string { return cfg.Ledger.Key + ".head" }
