package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"rempart/config"
	"rempart/core/border"
	"rempart/core/ledger"
	"rempart/core/users"
	"rempart/internal/bus"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/metrics"
	"rempart/policy"
	"rempart/storage"
)

// ground is what the whole core stands on: the database, and the bus on which its commits are heard.
type ground struct {
	db  *storage.DB
	bus *bus.Bus[storage.Batch]
	// signals are the ephemeral messages of other nodes, whose first byte says whose they are.
	signals *bus.Bus[[]byte]
	log     *slog.Logger
	people  users.People
	// egress is the way out, of the database's connections too; services are whom the registration files name.
	egress   *egress.Egress
	judge    *judge
	doors    *roomPolicy
	services services
	ledger   *ledger.Service
	border   *border.Border // nil: there is one server only
	recorder recorder
	// signed are the server names that have signed events.
	signed []matrix.ServerName
}

func openGround(ctx context.Context, cfg *config.Config, logger *slog.Logger, registry *metrics.Registry) (*ground, error) {
	g := &ground{bus: bus.New[storage.Batch](), signals: bus.New[[]byte](), log: logger}
	if err := g.openDoor(cfg, registry); err != nil {
		return nil, misconfigured(err)
	}
	o := storage.Options{Fresh: keyless(cfg), Dial: g.dialStore, URL: databaseURL(cfg), Publish: g.bus.Publish, Signal: g.signals.Publish, Log: logger}
	if cfg.Database.URL != "" {
		o.Readers = cfg.Database.Connections - 1 // one writes
	}
	var err error
	if g.people, err = peopleOf(cfg, g.egress); err != nil {
		return nil, err
	}
	if g.db, err = storage.Open(ctx, o); err != nil {
		return nil, errors.Join(err, g.egress.Close())
	}
	if err = g.recognise(ctx, cfg); err == nil {
		err = g.openLedger(ctx, cfg)
	}
	if err != nil {
		return nil, errors.Join(err, g.db.Close(), g.egress.Close())
	}
	g.border = border.New(border.Options{Servers: serverNames(cfg), Judge: g.judge.passes, Ledger: g.ledger, Log: logger})
	return g, nil
}

// recognise refuses a database whose accounts are all of servers that the configuration does not name.
func (g *ground) recognise(ctx context.Context, cfg *config.Config) error {
	peopled, signed, err := g.db.ListPeopledNames(ctx)
	if err != nil {
		return err
	}
	g.signed = signed
	if p, err := g.db.FindLedgerCheckpoint(ctx); err == nil && time.Until(time.UnixMilli(p.TS)) > time.Minute {
		g.log.Warn("the clock of this machine is behind what was signed here already: set it (timedatectl)", "signed", time.UnixMilli(p.TS))
	}
	strangers := slices.DeleteFunc(slices.Clone(peopled), func(n matrix.ServerName) bool { return slices.Contains(serverNames(cfg), n) })
	switch {
	case len(strangers) == 0:
	case len(strangers) == len(peopled):
		return misconfigured(fmt.Errorf("the accounts in this database are of %s, and server.name in %s is %s: a name cannot change once accounts exist; set it back, or name another database",
			strings.Trim(fmt.Sprint(strangers), "[]"), cfg.File, cfg.Server.Name))
	default: // Why not an error: an organisation may have moved out
		g.log.Warn("there are accounts of servers that the configuration does not name: nobody can use them", "servers", strangers)
	}
	return nil
}

// serverNames are those of the installation; the first is the default.
func serverNames(cfg *config.Config) []matrix.ServerName {
	names := []matrix.ServerName{matrix.ServerName(cfg.Server.Name)}
	for _, t := range cfg.Server.Tenants {
		names = append(names, matrix.ServerName(t.Name))
	}
	return names
}

// databaseURL is what storage opens: a PostgreSQL URL or the path of a SQLite file.
func databaseURL(cfg *config.Config) string {
	if cfg.Database.URL != "" {
		return cfg.Database.URL
	}
	return cfg.Database.Path
}

// openDoor makes the way out, before anything that goes by it.
func (g *ground) openDoor(cfg *config.Config, registry *metrics.Registry) error {
	roots, err := authorities(cfg.Federation.CA)
	if err != nil {
		return err
	}
	if g.services, err = servicesOf(cfg); err != nil {
		return err
	}
	first, err := loadPolicy(cfg)
	if err != nil {
		return err
	}
	g.judge = &judge{policy: policy.NewJudge(first), endpoints: endpointsOf(cfg, g.services), log: g.log, recorder: &g.recorder}
	g.measureDecisions(registry)
	g.egress = egress.New(egress.Options{Judge: g.judge, Recorder: &g.recorder, RootCAs: roots, NameServers: cfg.Policy.NameServers(), Source: cfg.Federation.From()})
	return nil
}

// dialStore connects to the database.
func (g *ground) dialStore(ctx context.Context, network, address string) (net.Conn, error) {
	return g.egress.Dial(ctx, egress.Store, network, address)
}

func (g *ground) close() error {
	err := g.egress.Close()
	g.ledger.Close()
	return errors.Join(err, g.db.Close())
}

// check asks the database for something small.
func (g *ground) check(ctx context.Context) error {
	_, err := g.db.ListServerNames(ctx)
	return err
}

// users are the options of the accounts.
func (g *ground) users(cfg *config.Config) users.Options {
	return users.Options{
		DB: g.db, Bus: g.bus, Servers: serverNames(cfg), Border: g.border, Log: g.log, People: g.people,
		Registration: users.Registration{
			Open: cfg.Registration.Open, Tokens: cfg.Registration.Tokens, SharedSecret: cfg.Registration.SharedSecret,
		},
		Argon2: users.Argon2{
			Time: uint32(cfg.Password.Argon2Time), MemoryKiB: uint32(cfg.Password.Argon2MemoryKiB),
		},
	}
}
