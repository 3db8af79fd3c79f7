// Command large fills a large installation – 50,000 accounts, 20,000 rooms, one of 50,000 members, a million events – and
// tells what requests whose cost could grow with it take of the server's processor time and memory.
//
//	go run ./tests/load/large -keep /tmp/large            # fill once, measure
//	go run ./tests/load/large -keep /tmp/large -only admin  # again, on what is there
//	go run ./tests/load/large -engine postgres -accounts 5000 -rooms 2000 -hall 5000 -busy 1000 -events 100000
//
// What the figures mean: see [figures]. With -keep a SQLite database is filled once and used again.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"rempart/tests/load/spawn"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "large:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	sizes  sizes
	spawn  spawn.Options
	only   string
	filled bool
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("large", flag.ContinueOnError)
	engine := f.String("engine", "sqlite", "sqlite or postgres")
	f.StringVar(&o.spawn.Module, "module", ".", "folder of the module to build")
	f.StringVar(&o.spawn.Binary, "binary", "", "start this binary instead of building one")
	f.StringVar(&o.spawn.Keep, "keep", "", "use this folder and keep it (default: a temporary one, removed)")
	f.StringVar(&o.only, "only", "", "measure only requests whose name has this")
	f.BoolVar(&o.filled, "fill-only", false, "fill, and measure nothing")
	s := &o.sizes
	f.IntVar(&s.Accounts, "accounts", 50_000, "accounts")
	f.IntVar(&s.Devices, "devices", 4, "devices of each, with a session")
	f.IntVar(&s.Others, "others", 100_000, "people of other servers")
	f.IntVar(&s.Servers, "servers", 1_000, "other servers")
	f.IntVar(&s.Rooms, "rooms", 20_000, "rooms")
	f.IntVar(&s.Events, "events", 1_000_000, "events, about")
	f.IntVar(&s.Hall, "hall", 50_000, "members of the large room")
	f.IntVar(&s.Busy, "busy", 10_000, "rooms of the account that is in many")
	f.IntVar(&s.Space, "space", 1_000, "rooms of the space")
	f.IntVar(&s.Media, "media", 200_000, "files")
	err = f.Parse(args)
	o.spawn.Engines = []string{*engine}
	if err == nil && (s.Accounts < 100 || s.Servers < 1 || s.Rooms < 1) {
		err = errors.New("at least 100 accounts, a room and a server")
	}
	return o, err
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	servers, err := spawn.Start(ctx, log, o.spawn)
	if err != nil {
		return err
	}
	defer servers.Stop()
	s := servers.List[0]
	in, err := known(ctx, log, o, servers, s)
	if err != nil || o.filled {
		return err
	}
	b, err := newBench(s)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.rest(ctx); err != nil {
		return err
	}
	now, _, err := b.used()
	if err != nil {
		return err
	}
	t := table{os.Stdout}
	t.head(s.Name, now.RSS)
	for _, r := range requests(in) {
		if !strings.Contains(r.name, o.only) {
			continue
		}
		f, err := b.measure(ctx, r)
		if err != nil {
			return err
		}
		t.row(r.name, f)
	}
	return nil
}

// known is the installation that the folder holds; it is filled when it holds none.
func known(ctx context.Context, log *slog.Logger, o options, servers *spawn.Servers, s *spawn.Server) (*installation, error) {
	note := filepath.Join(filepath.Dir(s.Database), "large.json")
	in := &installation{}
	text, err := os.ReadFile(filepath.Clean(note))
	if err == nil {
		return in, json.Unmarshal(text, in)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	err = servers.While(ctx, s, func() error {
		if in, err = fill(ctx, log, s.Database, o.sizes); err != nil || s.Engine != "sqlite" {
			return err
		}
		if text, err = json.Marshal(in); err != nil {
			return err
		}
		return os.WriteFile(note, text, 0o600)
	})
	return in, err
}
