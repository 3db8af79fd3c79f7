package main

import (
	"context"
	"log/slog"

	"rempart/config"
	"rempart/core/users"
	"rempart/internal/bus"
	"rempart/internal/matrix"
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
}

func openGround(ctx context.Context, cfg *config.Config, logger *slog.Logger) (*ground, error) {
	g := &ground{bus: bus.New[storage.Batch](), signals: bus.New[[]byte](), log: logger}
	o := storage.Options{URL: databaseURL(cfg), Publish: g.bus.Publish, Signal: g.signals.Publish, Log: logger}
	if cfg.Database.URL != "" {
		o.Readers = cfg.Database.Connections - 1 // one writes
	}
	var err error
	if g.people, err = peopleOf(cfg); err != nil {
		return nil, err
	}
	g.db, err = storage.Open(ctx, o)
	return g, err
}

// databaseURL is what storage opens: a PostgreSQL URL or the path of a SQLite file.
func databaseURL(cfg *config.Config) string {
	if cfg.Database.URL != "" {
		return cfg.Database.URL
	}
	return cfg.Database.Path
}

func (g *ground) close() error { return g.db.Close() }

// check asks the database for something small.
func (g *ground) check(ctx context.Context) error {
	_, err := g.db.ListServerNames(ctx)
	return err
}

// users are the options of the accounts.
func (g *ground) users(cfg *config.Config) users.Options {
	servers := []matrix.ServerName{matrix.ServerName(cfg.Server.Name)}
	for _, t := range cfg.Server.Tenants {
		servers = append(servers, matrix.ServerName(t.Name))
	}
	return users.Options{
		DB: g.db, Bus: g.bus, Servers: servers, Log: g.log, People: g.people,
		Registration: users.Registration{
			Open: cfg.Registration.Open, Tokens: cfg.Registration.Tokens, SharedSecret: cfg.Registration.SharedSecret,
		},
		Argon2: users.Argon2{
			Time: uint32(cfg.Password.Argon2Time), MemoryKiB: uint32(cfg.Password.Argon2MemoryKiB),
		},
	}
}
