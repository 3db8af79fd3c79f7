// Package spawn builds rempart, starts it on temporary folders, on SQLite or on
// a throw-away PostgreSQL, and stops and removes everything after the run. What
// it starts listens on loopback addresses and Unix sockets only.
package spawn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"rempart/tests/load/csapi"
	"rempart/tests/load/wire"
)

// Options say what to start. No engine: nothing.
type Options struct {
	Engines []string // "sqlite", "postgres"
	Module  string   // folder of the module to build
	Binary  string   // instead of building
	Keep    string   // folder for all data, kept; empty: a temporary one
}

// Server is a running rempart.
type Server struct {
	Name, Base, Engine string
	PID                int
	Databases          []int
	Database           string        // path or URL
	FirstStart         time.Duration // from its start to its first answer, on an empty database

	process *process
	launch  func() (*process, error)
}

// Servers are all that Start started. Stop ends them.
type Servers struct {
	List    []*Server
	started []*process // in order of start
	folder  string
	keep    bool
}

const (
	startTime = 30 * time.Second
	stopTime  = 15 * time.Second
)

// Start starts one rempart for each engine. On an error nothing is left behind.
func Start(ctx context.Context, log *slog.Logger, o Options) (*Servers, error) {
	s := &Servers{keep: o.Keep != ""}
	if len(o.Engines) == 0 {
		return s, nil
	}
	if err := s.start(ctx, log, o); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Servers) start(ctx context.Context, log *slog.Logger, o Options) (err error) {
	if s.folder = o.Keep; !s.keep {
		s.folder, err = os.MkdirTemp("", "rempart-load-")
	} else {
		err = os.MkdirAll(s.folder, 0o755)
	}
	if err != nil {
		return err
	}
	if s.folder, err = filepath.Abs(s.folder); err != nil {
		return err
	}
	// Why: PostgreSQL runs as its own user and must reach its folder below.
	if err := os.Chmod(s.folder, 0o755); err != nil {
		return err
	}
	binary := o.Binary
	if binary == "" {
		binary = filepath.Join(s.folder, "rempart")
		log.Info("building", "module", o.Module)
		if err := build(ctx, o.Module, binary); err != nil {
			return err
		}
	}
	for _, engine := range o.Engines {
		if err := s.one(ctx, log, engine, binary); err != nil {
			return fmt.Errorf("%s: %w", engine, err)
		}
	}
	return nil
}

func build(ctx context.Context, module, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/rempart")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build rempart: %w\n%s", err, out)
	}
	return nil
}

// one starts rempart on an engine and waits until it answers.
func (s *Servers) one(ctx context.Context, log *slog.Logger, engine, binary string) error {
	dir := filepath.Join(s.folder, engine)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	server := &Server{Name: "rempart-" + engine, Engine: engine}
	c := config{Dir: filepath.Join(dir, "data")}
	switch engine {
	case "sqlite":
	case "postgres":
		pg, url, err := startPostgres(ctx, dir)
		if err != nil {
			return err
		}
		s.started = append(s.started, pg)
		server.Databases, c.Database = []int{pg.pid()}, url
	default:
		return errors.New("the engines are sqlite and postgres")
	}
	if server.Database = c.Database; c.Database == "" {
		server.Database = filepath.Join(c.Dir, "rempart.db")
	}
	var err error
	if c.Client, err = freeAddress(ctx); err != nil {
		return err
	}
	file, err := c.write()
	if err != nil {
		return err
	}
	server.Base = "http://" + c.Client
	server.launch = func() (*process, error) {
		return launch(filepath.Join(dir, "rempart.log"), syscall.SIGTERM, nil, binary, "serve", "-config", file)
	}
	if server.FirstStart, err = s.run(ctx, server); err != nil {
		return err
	}
	log.Info("started", "server", server.Name, "base", server.Base, "pid", server.PID)
	s.List = append(s.List, server)
	return nil
}

// run starts a server's process and says how long it took to answer.
func (s *Servers) run(ctx context.Context, server *Server) (time.Duration, error) {
	begin := time.Now()
	p, err := server.launch()
	if err != nil {
		return 0, err
	}
	s.started = append(s.started, p)
	server.process, server.PID = p, p.pid()
	err = p.await(ctx, func() error { return answers(ctx, server.Base) })
	return time.Since(begin), err
}

// Restart stops a server and starts it again on its data, and says how long it
// took from the start to the first answer. Its process id is another then.
func (s *Servers) Restart(ctx context.Context, server *Server) (time.Duration, error) {
	server.process.stop()
	return s.run(ctx, server)
}

// While stops a server, acts, and starts the server again.
func (s *Servers) While(ctx context.Context, server *Server, act func() error) error {
	server.process.stop()
	if err := act(); err != nil {
		return err
	}
	_, err := s.run(ctx, server)
	return err
}

func answers(ctx context.Context, base string) error {
	addr, err := wire.ParseBase(base)
	if err != nil {
		return err
	}
	c := csapi.NewClient(addr, csapi.User{})
	defer c.Conn.Close()
	return c.Versions(ctx)
}

// freeAddress finds a loopback port that nobody listens on now.
func freeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// Stop ends all processes, the last started first, and removes their data.
func (s *Servers) Stop() {
	for i := len(s.started) - 1; i >= 0; i-- {
		s.started[i].stop()
	}
	s.started = nil
	if s.folder != "" && !s.keep {
		_ = os.RemoveAll(s.folder)
	}
}
