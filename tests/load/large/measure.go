package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"rempart/tests/load/csapi"
	"rempart/tests/load/proc"
	"rempart/tests/load/spawn"
	"rempart/tests/load/wire"
)

// figures are what one request costs: the mean of those after the first.
type figures struct {
	server, database, wall time.Duration
	first                  time.Duration // what the first took of the server, all of those that were made at once
	bytes, times           int
	// rise is by how much the server's memory rose above what it was, at most; kept, by how much it lay above that in the end.
	rise, kept int64
}

// Bounds of a measurement: the kernel counts processor time in pieces of 10 ms, so a request is repeated.
const (
	maxTimes = 50
	maxWall  = time.Second
)

// bench measures requests on a server.
type bench struct {
	server  *spawn.Server
	clients []*csapi.Client // one for each that is made at once
	txn     int
	since   map[string]string // where the sync of a path stands
}

func newBench(s *spawn.Server) (*bench, error) {
	addr, err := wire.ParseBase(s.Base)
	b := &bench{server: s, since: map[string]string{}}
	for range 4 {
		b.clients = append(b.clients, csapi.NewClient(addr, csapi.User{}))
	}
	return b, err
}

func (b *bench) close() {
	for _, c := range b.clients {
		c.Conn.Close()
	}
}

// used is the processor time of the server and of its database up to now, and the server's memory.
func (b *bench) used() (server proc.Usage, database time.Duration, err error) {
	if server, err = proc.Tree(b.server.PID); err != nil {
		return server, 0, err
	}
	for _, pid := range b.server.Databases {
		u, err := proc.Tree(pid)
		if err != nil {
			return server, 0, err
		}
		database += u.CPU
	}
	return server, database, nil
}

// rest waits until nothing is under way, ten seconds at most.
func (b *bench) rest(ctx context.Context) error {
	last, _, err := b.used()
	for range 25 {
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(400 * time.Millisecond):
		}
		now, _, err := b.used()
		if err != nil || now.CPU-last.CPU <= 20*time.Millisecond {
			return err
		}
		last = now
	}
	return nil
}

// measure makes a request once, and then as often as fits into its bounds.
func (b *bench) measure(ctx context.Context, r request) (f figures, err error) {
	if err := b.rest(ctx); err != nil {
		return f, err
	}
	if err := proc.ForgetPeak(b.server.PID); err != nil {
		return f, err
	}
	idle, _, err := b.used()
	if err != nil {
		return f, err
	}
	if _, err := b.once(ctx, r); err != nil {
		return f, err
	}
	before, db, err := b.used()
	if err != nil {
		return f, err
	}
	f.first = before.CPU - idle.CPU
	for began := time.Now(); f.times < maxTimes && time.Since(began) < maxWall; f.times++ {
		at := time.Now()
		if f.bytes, err = b.once(ctx, r); err != nil {
			return f, err
		}
		f.wall += time.Since(at)
	}
	after, dbAfter, err := b.used()
	if err != nil {
		return f, err
	}
	peak, err := proc.Peak(b.server.PID)
	n := time.Duration(f.times * max(r.at, 1))
	f.server, f.database, f.wall = (after.CPU-before.CPU)/n, (dbAfter-db)/n, f.wall/time.Duration(f.times)
	f.rise, f.kept = peak-idle.RSS, after.RSS-idle.RSS
	return f, err
}

// once makes a request, or as many at once as it asks for, and tells how long one answer is.
func (b *bench) once(ctx context.Context, r request) (int, error) {
	if r.before != nil {
		if _, err := b.exchange(ctx, b.clients[0], *r.before); err != nil {
			return 0, err
		}
	}
	if r.at == 0 {
		return b.exchange(ctx, b.clients[0], r)
	}
	var wait sync.WaitGroup
	length, failed := make([]int, r.at), make([]error, r.at)
	for i := range r.at {
		wait.Go(func() { length[i], failed[i] = b.exchange(ctx, b.clients[i], r) })
	}
	wait.Wait()
	for _, err := range failed {
		if err != nil {
			return 0, err
		}
	}
	return length[0], nil
}

func (b *bench) exchange(ctx context.Context, c *csapi.Client, r request) (int, error) {
	path := r.path
	if strings.Contains(path, "{txn}") {
		b.txn++
		path = strings.Replace(path, "{txn}", strconv.FormatInt(time.Now().UnixNano(), 36)+strconv.Itoa(b.txn), 1)
	}
	if since := b.since[r.path]; since != "" && r.before != nil {
		path += "&since=" + since
	}
	c.User.Token = token(r.account)
	var body []byte
	if r.body != "" {
		body = []byte(r.body)
	}
	answer, err := c.Raw(ctx, r.method, path, body)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", r.method, path, err)
	}
	if _, rest, ok := strings.Cut(tail(answer), `"next_batch":"`); ok && strings.Contains(path, "/sync") {
		b.since[r.path], _, _ = strings.Cut(rest, `"`)
	} else if _, rest, ok := strings.Cut(string(answer[:min(len(answer), 200)]), `"next_batch":"`); ok && strings.Contains(path, "/sync") {
		b.since[r.path], _, _ = strings.Cut(rest, `"`)
	}
	return len(answer), nil
}

// tail is the end of an answer. Why not all of it: it may be of a hundred megabytes.
func tail(answer []byte) string { return string(answer[max(0, len(answer)-200):]) }

// table writes the figures of a server below one another.
type table struct{ out io.Writer }

func (t table) head(server string, memory int64) {
	fmt.Fprintf(t.out, "\n%s (%d MiB before)\n\n| request | CPU of the server, ms (the first) | of the database, ms | answered in, ms | answer, KB | memory: at most, MiB | then |\n|---|---|---|---|---|---|---|\n",
		server, memory>>20)
}

func (t table) row(name string, f figures) {
	ms := func(d time.Duration) string { return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) }
	fmt.Fprintf(t.out, "| %s | %s (%s) | %s | %s | %d | %+d | %+d |\n", name, ms(f.server), ms(f.first), ms(f.database), ms(f.wall), f.bytes/1000, f.rise>>20, f.kept>>20)
}
