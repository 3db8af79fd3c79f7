package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"rempart/config"
	"rempart/core/rooms"
	"rempart/federation/peers"
	"rempart/internal/matrix"
	"rempart/internal/metrics"
)

// roomCommands are the commands about the graphs of rooms.
func roomCommands() []command {
	return []command{
		{"room show", "[-config FILE] ROOM", "say how a room's graph stands: servers in it, heads, forks, size of its state, state resets", roomShow},
		{"room repair", "[-config FILE] [-alone | [-adopt] [-server NAME]...] ROOM", "set a room's current state anew, from its graph and from what other servers in it tell", roomRepair},
	}
}

func roomShow(ctx context.Context, args []string, c console) error {
	return withRoom(ctx, flags("room show"), args, false, func(s *rooms.Service, r *rooms.Room) error {
		return answer[*rooms.Condition](c)(s.Condition(ctx, r))
	})
}

func roomRepair(ctx context.Context, args []string, c console) error {
	f := flags("room repair")
	alone := f.Bool("alone", false, "ask no other server: compute the state from the graph")
	adopt := f.Bool("adopt", false, "take the state of the one server that is named as it is")
	var named several
	f.Var(&named, "server", "ask this server instead of those with the most members; may be given several times")
	return withRoom(ctx, f, args, true, func(s *rooms.Service, r *rooms.Room) error {
		servers := make([]matrix.ServerName, len(named))
		for i, name := range named {
			servers[i] = matrix.ServerName(name)
		}
		return answer[*rooms.Repair](c)(s.RepairState(ctx, r, rooms.RepairRequest{Alone: *alone, Servers: servers, Adopt: *adopt}))
	})
}

// withRoom finds a room of a configuration. Who writes must be alone on a SQLite database: a server that runs would not hear of it.
func withRoom(ctx context.Context, f *flag.FlagSet, args []string, writes bool, fn func(*rooms.Service, *rooms.Room) error) error {
	cfg, words, err := configured(f, args, 1)
	if err != nil {
		return err
	}
	if writes && cfg.Database.URL == "" {
		release, err := lockFolder(cfg.Server.DataDir)
		if err != nil {
			return fmt.Errorf("the server runs: stop it, or let it repair the room (POST /_rempart/admin/v1/rooms/%s/repair): %w", words[0], err)
		}
		defer func() { _ = release() }()
	}
	return withGround(ctx, cfg, func(g *ground) error { return g.withRoom(ctx, cfg, matrix.RoomID(words[0]), fn) })
}

func (g *ground) withRoom(ctx context.Context, cfg *config.Config, id matrix.RoomID, fn func(*rooms.Service, *rooms.Room) error) (err error) {
	own, err := signingKeys(cfg, serverNames(cfg))
	if err != nil {
		return err
	}
	a := &app{health: &health{}}
	defer func() { err = errors.Join(err, a.close()) }()
	o, err := a.federate(cfg, g, own)
	if err != nil {
		return err
	}
	s, err := rooms.New(ctx, rooms.Options{DB: g.db, Bus: g.bus, Signals: g.signals, Keys: own, DefaultVersion: cfg.Rooms.DefaultVersion,
		Peers: peers.New(o.client, o.keys), Federated: o.open, Border: g.border, Server: matrix.ServerName(cfg.Server.Name), Log: g.log, Lifetimes: lifetimes(cfg.Retention)})
	if err != nil {
		return err
	}
	defer s.Close()
	r, err := s.Room(ctx, id)
	if err != nil {
		return err
	}
	return fn(s, r)
}

// watchRooms shows what went wrong in the graphs of rooms.
func watchRooms(registry *metrics.Registry, s *rooms.Service) {
	registry.Gauge("rempart_state_resets", "Pieces of state that resolution put back without reason, since the start.",
		func() float64 { return float64(s.Resets()) })
}
