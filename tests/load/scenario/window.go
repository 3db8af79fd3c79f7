package scenario

import (
	"context"
	"time"

	"rempart/tests/load/proc"
	"rempart/tests/load/stats"
)

// usage is what the three parties have used at one moment.
type usage struct {
	at                     time.Time
	server, database, self time.Duration
	serverRSS, databaseRSS int64
}

// cost is the difference of two usages.
type cost struct {
	wall, server, database, self time.Duration
	before, after                usage
}

func (e *Env) usage() (u usage, err error) {
	if e.Target.Server != 0 {
		t, err := proc.Tree(e.Target.Server)
		if err != nil {
			return u, err
		}
		u.server, u.serverRSS = t.CPU, t.RSS
	}
	for _, pid := range e.Target.Databases {
		t, err := proc.Tree(pid)
		if err != nil {
			return u, err
		}
		u.database += t.CPU
		u.databaseRSS += t.RSS
	}
	u.self = proc.Self()
	u.at = time.Now()
	return u, nil
}

// since is what has been used from u on.
func (e *Env) since(u usage) (cost, error) {
	now, err := e.usage()
	return cost{
		wall: now.at.Sub(u.at), server: now.server - u.server, database: now.database - u.database,
		self: now.self - u.self, before: u, after: now,
	}, err
}

// quiet waits until server and database have come to rest (at most 20 ms of CPU
// in 400 ms), so that what was prepared is not counted; at most ten seconds.
func (e *Env) quiet(ctx context.Context) error {
	last, err := e.usage()
	if err != nil {
		return err
	}
	for range 25 {
		if err := pause(ctx, 400*time.Millisecond); err != nil {
			return err
		}
		c, err := e.since(last)
		if err != nil {
			return err
		}
		if c.server+c.database <= 20*time.Millisecond {
			return nil
		}
		last = c.after
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// cpu writes the CPU time per act of all whose process is known.
func (s *Sheet) cpu(e *Env, c cost, n int, what string) {
	if e.Target.Server != 0 {
		s.add("server CPU per "+what, "ms", stats.Per(stats.Millis(c.server), n))
	}
	if len(e.Target.Databases) > 0 {
		s.add("database CPU per "+what, "ms", stats.Per(stats.Millis(c.database), n))
	}
	s.add("generator CPU per "+what, "ms", stats.Per(stats.Millis(c.self), n))
}

// memory writes the server's memory before and after.
func (s *Sheet) memory(e *Env, c cost) {
	if e.Target.Server != 0 {
		s.add("server memory before", "MiB", mib(c.before.serverRSS))
		s.add("server memory after", "MiB", mib(c.after.serverRSS))
	}
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// latency writes the percentiles of a sample.
func (s *Sheet) latency(what string, d *stats.Sample) {
	for _, p := range []struct {
		name string
		of   float64
	}{{" p50", 50}, {" p95", 95}, {" p99", 99}} {
		s.add(what+p.name, "ms", stats.Millis(d.Percentile(p.of)))
	}
}

// Memory writes what the processes hold at the end of a run.
func (e *Env) Memory(s *Sheet) error {
	u, err := e.usage()
	if err != nil {
		return err
	}
	if e.Target.Server != 0 {
		s.add("server memory", "MiB", mib(u.serverRSS))
	}
	if len(e.Target.Databases) > 0 {
		s.add("database memory", "MiB", mib(u.databaseRSS))
	}
	s.add("events made", "", float64(e.events.Load()))
	return nil
}
