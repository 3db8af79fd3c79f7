package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"rempart/tests/load/scenario"
	"rempart/tests/load/spawn"
	"rempart/tests/load/wire"
)

// target is a server to measure and the engine whose goals it is held to.
type target struct {
	scenario.Target
	engine string
}

// options is what the command line asks for.
type options struct {
	targets   []target
	scenarios []scenario.Scenario
	sizes     scenario.Sizes
	sizesText map[string]string
	spawn     spawn.Options
	json      string
	list      bool
	wall      time.Duration
}

func parseFlags(args []string, out io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	fs.SetOutput(out)
	base := fs.String("base", "", "base URL of the server, on a loopback address")
	pid := fs.String("pid", "", "process id of the server[, and of its database], to read CPU and memory")
	name := fs.String("name", "server", "name of the server in the table")
	secret := fs.String("shared-secret", "", "register by /_synapse/admin/v1/register with this secret (default: open registration)")
	engine := fs.String("goals", "", "hold the server to the goals for this engine: sqlite or postgres")
	fs.Func("target", "a further server: name=N,base=URL[,pid=SERVER[:DATABASE]][,secret=S][,goals=ENGINE]; may be repeated", func(v string) error {
		t, err := parseTarget(v)
		o.targets = append(o.targets, t)
		return err
	})
	names := fs.String("run", "all", "scenarios, separated by commas (see -list)")
	fs.BoolVar(&o.list, "list", false, "list the scenarios and end")
	fs.StringVar(&o.json, "json", "", "also write the results to this file")
	fs.DurationVar(&o.wall, "wall", 90*time.Minute, "end the whole run after this time")
	spawnFlags(fs, &o.spawn)
	plain := map[string]bool{}
	fs.VisitAll(func(f *flag.Flag) { plain[f.Name] = true })
	sizeFlags(fs, &o.sizes)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", fs.Arg(0))
	}
	o.sizesText = map[string]string{}
	fs.VisitAll(func(f *flag.Flag) {
		if !plain[f.Name] {
			o.sizesText[f.Name] = f.Value.String()
		}
	})
	if *base != "" {
		t, err := newTarget(*name, *base, *pid, ",", *secret, *engine)
		if err != nil {
			return o, err
		}
		o.targets = append([]target{t}, o.targets...)
	}
	return o, errors.Join(checkSizes(o.sizes), o.choose(*names))
}

func spawnFlags(fs *flag.FlagSet, s *spawn.Options) {
	fs.Func("spawn", "build rempart and start it on a temporary folder: sqlite, postgres or sqlite,postgres", func(v string) error {
		s.Engines = strings.Split(v, ",")
		return nil
	})
	fs.StringVar(&s.Module, "module", ".", "folder of the module that -spawn builds")
	fs.StringVar(&s.Binary, "binary", "", "with -spawn: start this binary instead of building one")
	fs.StringVar(&s.Keep, "keep", "", "with -spawn: use this folder and keep it (default: a temporary one, removed)")
}

func sizeFlags(fs *flag.FlagSet, s *scenario.Sizes) {
	fs.IntVar(&s.Members, "members", 100, "people in the room of the send scenarios")
	fs.IntVar(&s.Events, "events", 20000, "events per measurement, at most")
	fs.DurationVar(&s.Time, "time", 15*time.Second, "length of a measurement, at most")
	fs.Float64Var(&s.FanoutRate, "fanout-rate", 20, "events per second of the fanout scenario")
	fs.DurationVar(&s.FanoutTime, "fanout-time", 20*time.Second, "length of the fanout scenario")
	fs.IntVar(&s.SyncRooms, "sync-rooms", 100, "rooms of the account in firstsync")
	fs.IntVar(&s.SyncRepeats, "sync-repeats", 30, "first syncs; later ones are a hundred times as many")
	fs.IntVar(&s.PageEvents, "page-events", 2000, "messages in the room of paginate")
	fs.IntVar(&s.PageLimit, "page-limit", 50, "events on a page")
	fs.IntVar(&s.KeyUsers, "key-users", 200, "users of the keys scenario")
	fs.IntVar(&s.KeyClaims, "key-claims", 20, "one-time keys that each user claims")
	fs.Float64Var(&s.MixedRate, "mixed-rate", 0.2, "messages per user and second of the mixed day")
	fs.DurationVar(&s.MixedTime, "mixed-time", 30*time.Second, "length of the mixed day")
	s.MemberSizes = []int{100, 1000, 10000}
	fs.Var(numbers{&s.MemberSizes}, "member-sizes", "room sizes of the members scenario")
	fs.IntVar(&s.GrowTo, "grow-to", 100000, "events in the database at the end of grow")
	fs.DurationVar(&s.GrowTime, "grow-time", 20*time.Minute, "time to fill the database, at most")
	fs.StringVar(&s.RoomVersion, "room-version", "", "version of the rooms (default: the server's)")
}

// numbers is a flag with a list of positive numbers.
type numbers struct{ list *[]int }

// String is the list as it would be given.
func (n numbers) String() string {
	if n.list == nil {
		return ""
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(*n.list), " ", ","), "[]")
}

// Set reads a list separated by commas.
func (n numbers) Set(text string) error {
	var list []int
	for part := range strings.SplitSeq(text, ",") {
		v, err := strconv.Atoi(part)
		if err != nil || v < 1 {
			return fmt.Errorf("%q is not a positive number", part)
		}
		list = append(list, v)
	}
	*n.list = list
	return nil
}

func checkSizes(s scenario.Sizes) error {
	for _, n := range []int{s.Members, s.Events, s.SyncRooms, s.SyncRepeats, s.PageEvents, s.PageLimit, s.KeyClaims, s.GrowTo} {
		if n < 1 {
			return errors.New("all sizes must be positive")
		}
	}
	if s.KeyUsers < 2 || s.FanoutRate <= 0 || s.MixedRate <= 0 {
		return errors.New("rates must be positive, and -key-users at least 2")
	}
	return nil
}

// choose picks the scenarios by name, in the order of the list.
func (o *options) choose(names string) error {
	wanted := strings.Split(names, ",")
	for _, s := range scenario.All() {
		if i := slices.Index(wanted, s.Name); i >= 0 || names == "all" {
			o.scenarios = append(o.scenarios, s)
			if i >= 0 {
				wanted = slices.Delete(wanted, i, i+1)
			}
		}
	}
	if names != "all" && len(wanted) > 0 {
		return fmt.Errorf("unknown scenario %q (see -list)", wanted[0])
	}
	return nil
}

// parseTarget reads the value of -target.
func parseTarget(text string) (target, error) {
	f := map[string]string{"name": "server"}
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(part, "=")
		if !ok || !slices.Contains([]string{"name", "base", "pid", "secret", "goals"}, key) {
			return target{}, fmt.Errorf("%q is none of name=, base=, pid=, secret=, goals=", part)
		}
		f[key] = value
	}
	return newTarget(f["name"], f["base"], f["pid"], ":", f["secret"], f["goals"])
}

func newTarget(name, base, pids, separator, secret, engine string) (t target, err error) {
	t.Name, t.Secret, t.engine = name, secret, engine
	if !slices.Contains([]string{"", "sqlite", "postgres"}, engine) {
		return t, fmt.Errorf("there are no goals for %q, only for sqlite and postgres", engine)
	}
	if t.Address, err = wire.ParseBase(base); err != nil || pids == "" {
		return t, err
	}
	var list []int
	if err := (numbers{&list}).Set(strings.ReplaceAll(pids, separator, ",")); err != nil {
		return t, fmt.Errorf("process ids: %w", err)
	}
	t.Server, t.Databases = list[0], list[1:]
	return t, nil
}

// spawned makes a target of a server that this program started.
func spawned(s *spawn.Server) (target, error) {
	t, err := newTarget(s.Name, s.Base, "", "", "", s.Engine)
	t.Server, t.Databases = s.PID, s.Databases
	return t, err
}
