package main

import (
	"context"
	"strings"

	"rempart/config"
)

// checkConfig prints what a configuration means, or every mistake in it.
func checkConfig(_ context.Context, args []string, c console) error {
	cfg, _, err := configured(flags("check-config"), args, 0)
	if err != nil {
		return err
	}
	if err := checkWitnesses(cfg); err != nil {
		return err
	}
	c.say("%s is correct.", cfg.File)
	explain(cfg, c)
	return nil
}

// explain says in plain words what the server will do.
func explain(cfg *config.Config, c console) {
	c.say("  Accounts are @name:%s.%s", cfg.Server.Name, when(cfg.Server.Name == config.DefaultServerName,
		" That is fine to try things out; set server.name before there are accounts, since it can never change afterwards.", ""))
	for _, t := range cfg.Server.Tenants {
		c.say("  A further organisation's accounts are @name:%s.", t.Name)
	}
	c.say("  Clients connect to %s%s.", cfg.Listen.Client, when(cfg.Listen.ClientTLS, " by TLS", ""))
	c.say("  Other servers %s.", when(cfg.Listen.Federation != "", "connect to "+cfg.Listen.Federation, "cannot connect: listen.federation is empty"))
	c.say("  Metrics: %s. Profiles: %s.", orNone(cfg.Listen.Metrics), orNone(cfg.Listen.Pprof))
	c.say("  Data is kept in %s; the database is %s.", cfg.Server.DataDir,
		when(cfg.Database.URL != "", "PostgreSQL", "SQLite at "+cfg.Database.Path))
	c.say("  Accounts are made by %s.", registrants(cfg.Registration))
	c.say("  Rate limits are %s.", when(cfg.Limits.Enabled, "on", "OFF: anybody may flood the server"))
	c.say("  New rooms have version %s.", cfg.Rooms.DefaultVersion)
	for _, s := range cfg.Services {
		c.say("  Application service %q (@%s:%s) is told what it follows at %s.", s.ID, s.SenderLocalpart, cfg.Server.Name,
			when(s.URL != "", s.URL, "no address: it wants no traffic"))
		if len(s.Ignored) > 0 {
			c.say("    What it asks for by %s is not known here and ignored.", strings.Join(s.Ignored, ", "))
		}
	}
}

func registrants(r config.Registration) string {
	who := []string{"administrators (rempart user create)"}
	if r.SharedSecret != "" {
		who = append(who, "whoever knows the shared secret")
	}
	if len(r.Tokens) > 0 {
		who = append(who, "whoever has a registration token")
	}
	if r.Open {
		who = []string{"ANYBODY: registration is open"}
	}
	return strings.Join(who, ", ")
}

func when(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}

func orNone(address string) string { return when(address != "", address, "none") }
