// Command load drives homeservers over the public client-server API and says
// what they can do and what it costs: rates, latencies, CPU time per event and
// per delivery, memory per waiting client. See README.md beside this file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rempart/tests/load/report"
	"rempart/tests/load/scenario"
	"rempart/tests/load/spawn"
	"rempart/tests/load/stats"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o, err := parseFlags(args, os.Stderr)
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range scenario.All() {
			fmt.Printf("%-12s %s\n", s.Name, s.About)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.wall)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	servers, err := spawn.Start(ctx, log, o.spawn)
	if err != nil {
		return err
	}
	defer servers.Stop()
	targets := o.targets
	for _, s := range servers.List {
		t, err := spawned(s)
		if err != nil {
			return err
		}
		targets = append(targets, t)
	}
	if len(targets) == 0 {
		return errors.New("nothing to measure: give -base URL, -target or -spawn (see -help)")
	}
	rep := newReport(o, targets, args)
	measure(ctx, log, o, targets, rep)
	for i, s := range servers.List {
		t := rep.Targets[len(o.targets)+i]
		t.Results = append(t.Results, restart(ctx, servers, s))
	}
	return write(o, rep)
}

func newReport(o options, targets []target, args []string) *report.Report {
	rep := &report.Report{
		Started: time.Now().UTC(), Command: args, Sizes: o.sizesText,
		Machine: report.Machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH},
	}
	for _, t := range targets {
		rep.Targets = append(rep.Targets, &report.Target{Name: t.Name, Base: t.Address.String(), Engine: t.engine})
	}
	return rep
}

// measure runs each scenario on each target in turn, so that two servers are
// measured close to one another in time.
func measure(ctx context.Context, log *slog.Logger, o options, targets []target, rep *report.Report) {
	envs := make([]*scenario.Env, len(targets))
	prefix := "load" + strconv.FormatInt(time.Now().UnixMilli(), 36) + "x"
	for i, t := range targets {
		envs[i] = scenario.NewEnv(t.Target, o.sizes, prefix, log)
	}
	on := func(name string, act scenario.Act) {
		for i, e := range envs {
			rep.Targets[i].Results = append(rep.Targets[i].Results, one(ctx, log, name, act, e))
		}
	}
	for _, sc := range o.scenarios {
		if sc.Early != nil {
			on(sc.Name, sc.Early)
		}
	}
	for _, sc := range o.scenarios {
		on(sc.Name, sc.Run)
	}
	on("end", func(ctx context.Context, e *scenario.Env, s *scenario.Sheet) error {
		select { // what a server holds once it is left in peace, not what it has not yet given back
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(endRest):
		}
		return e.Memory(s)
	})
}

// endRest is how long a server is left in peace before its memory is read at the end.
const endRest = 10 * time.Second

// restart measures a start on the data that the scenarios left behind.
func restart(ctx context.Context, servers *spawn.Servers, s *spawn.Server) report.Result {
	r := report.Result{Scenario: "start", Values: []report.Value{{Name: "first start", Unit: "ms", Value: stats.Millis(s.FirstStart)}}}
	took, err := servers.Restart(ctx, s)
	if err != nil {
		r.Error = err.Error()
		return r
	}
	r.Values = append(r.Values, report.Value{Name: "start with data", Unit: "ms", Value: stats.Millis(took)})
	return r
}

// write shows the report and fails if a scenario could not be carried out.
func write(o options, rep *report.Report) error {
	if err := rep.WriteTable(os.Stdout); err != nil {
		return err
	}
	if o.json != "" {
		if err := rep.WriteJSON(o.json); err != nil {
			return err
		}
	}
	if rep.Failed() {
		return errors.New("some scenarios could not be carried out, see above")
	}
	return nil
}

func one(ctx context.Context, log *slog.Logger, name string, act scenario.Act, e *scenario.Env) report.Result {
	start := time.Now()
	log.Info("scenario", "name", name, "target", e.Target.Name)
	var s scenario.Sheet
	err := act(ctx, e, &s)
	r := report.Result{Scenario: name, Values: s.Values, Notes: s.Notes, Seconds: time.Since(start).Seconds()}
	if err != nil {
		r.Error = err.Error()
		log.Error("scenario", "name", name, "target", e.Target.Name, "err", err)
	}
	var brief strings.Builder
	for _, v := range s.Values {
		fmt.Fprintf(&brief, "; %s %s %s", v.Name, report.Number(v.Value), v.Unit)
	}
	log.Info("done", "name", name, "target", e.Target.Name, "seconds", report.Number(r.Seconds), "values", strings.TrimPrefix(brief.String(), "; "))
	return r
}
