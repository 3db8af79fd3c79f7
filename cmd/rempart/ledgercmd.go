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

	"rempart/core/ledger"
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
	cfg, words, err := configured(f, args, n)
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
	cfg, words, err := configured(f, args, 1)
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
