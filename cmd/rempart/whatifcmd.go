package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"rempart/policy"
)

// policyWhatIf says what another policy would decide differently: of everybody who is known, and of what was recorded since a day.
func policyWhatIf(ctx context.Context, args []string, c console) error {
	f := flags("policy what-if")
	named, file := configFlag(f), f.String("policy", "", "the other policy")
	since, until := f.String("since", "", "date, such as 2026-01-31: also judge what was recorded since"), f.String("until", "", "date, without that day")
	words, err := parse(f, args, 1)
	if *file != "" {
		words, err = parse(f, args, 0)
		words = append(words, *file)
	}
	if err != nil {
		return err
	}
	cfg, err := loadConfig(*named)
	if err != nil {
		return err
	}
	old, err := loadPolicy(cfg)
	if err != nil {
		return err
	}
	next, err := readPolicy(words[0])
	if err != nil {
		return err
	}
	known, err := knownServers(ctx, cfg)
	if err != nil {
		return err
	}
	flips := policy.WhatIf(old, next, policy.Questions(time.Now(), known, old, next))
	for _, flip := range flips {
		c.say("%s (now %s, then %s)", flipWords(&flip), flip.Was.Rule, flip.Now.Rule)
	}
	c.say("%d decisions would change; %d servers are known by name. Addresses are judged when they are dialled.", len(flips), len(known))
	if *since == "" {
		return nil
	}
	from, err := instant(*since)
	if err != nil {
		return err
	}
	to, err := instant(*until)
	if err != nil {
		return err
	}
	if _, err := os.Stat(cfg.Database.Path); cfg.Database.URL == "" && err != nil {
		return nil // nothing has run here yet
	}
	return withGround(ctx, cfg, func(g *ground) error {
		r, err := replayed(ctx, g.ledger, g.judge, from, to)
		if err == nil {
			sayReplay(c, r, r.flips(old, next, time.Now()))
		}
		return err
	})
}

// sayReplay says what another policy makes of what was recorded.
func sayReplay(c console, r *replay, flips []flipped) {
	var refused, admitted int64
	for _, f := range flips {
		c.say("%8d records: %s (now %s, then %s)", f.records, flipWords(&f.Flip), f.Was.Rule, f.Now.Rule)
		if f.Loosens {
			admitted += f.records
		} else {
			refused += f.records
		}
	}
	begin := "there are none"
	if r.since != 0 {
		begin = "the first is of " + time.UnixMilli(r.since).Format(time.RFC3339)
	}
	c.say("%d records were judged again (%s), %d of them do not say enough: %d decisions admitted now would be refused, %d refused now would be admitted.",
		r.records, begin, r.left, refused, admitted)
}

// flipWords says what would change.
func flipWords(f *policy.Flip) string {
	what := "would be REFUSED"
	if f.Loosens {
		what = "would be ADMITTED"
	}
	dest := string(f.Facts.Server)
	if dest == "" {
		dest = f.Facts.Host
	}
	return fmt.Sprintf("%-16s %s %s %s", f.Facts.Point, dest, f.Facts.Data, what)
}
