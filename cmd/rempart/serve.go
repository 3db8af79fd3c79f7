package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"rempart/config"
	"rempart/internal/log"
	"rempart/internal/metrics"
	"rempart/storage"
)

// stopTime is how long a stop waits for requests under way.
const stopTime = 25 * time.Second

// serve runs the server until ctx ends. The first start without a configuration writes one.
func serve(ctx context.Context, args []string, c console) error {
	f := flags("serve")
	named := configFlag(f)
	name := f.String("name", os.Getenv("REMPART_SERVER_NAME"), "server name for a first start")
	if _, err := parse(f, args, 0); err != nil {
		return err
	}
	fresh := false
	if *named == "" {
		if *name == "" {
			*name = config.DefaultServerName
		}
		var err error
		if fresh, err = config.Create(configPath(""), *name); err != nil {
			return err
		}
	}
	cfg, err := loadConfig(*named)
	if err != nil {
		return err
	}
	if *named == "" && cfg.Server.Name != *name && *name != config.DefaultServerName {
		return misconfigured(fmt.Errorf("this data folder belongs to %s (server.name in %s), not to %s", cfg.Server.Name, cfg.File, *name))
	}
	if cfg.Listen.Pprof == "" {
		runtime.MemProfileRate = 0 // Why: nobody can ask where memory went, and the notes for that take 2 MiB
	}
	s, err := start(ctx, cfg, c)
	if err != nil {
		return err
	}
	if *named == "" {
		s.welcome(c, fresh)
	}
	return s.wait(ctx)
}

// writable makes the data folder, and says whose it must be when nothing can be written there.
func writable(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = probe(dir)
	}
	if errors.Is(err, os.ErrPermission) {
		return misconfigured(fmt.Errorf("the data folder %s cannot be written by the user of this process (number %d): make it his, or name another by server.data_dir: %w", dir, os.Getuid(), err))
	}
	if err != nil {
		return fmt.Errorf("the data folder %s cannot be used: %w", dir, err)
	}
	return nil
}

// start brings everything up, or nothing: on an error all that had started is stopped again.
func start(ctx context.Context, cfg *config.Config, c console) (*server, error) {
	defer sparing()()
	sleepCoarsely()
	if err := writable(cfg.Server.DataDir); err != nil {
		return nil, err
	}
	registry := metrics.New()
	registry.AddRuntime(version())
	logger := log.New(cfg.Log.Level, cfg.Log.Format, c.err)
	a, err := build(ctx, cfg, logger, registry)
	if err != nil {
		return nil, err
	}
	s := &server{app: a, config: cfg, logger: logger, failed: make(chan error, 4)}
	if err := s.listen(ctx, registry); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	logger.Info("started", "server", cfg.Server.Name, "version", version(), "client", s.clientAddress())
	if cfg.Server.Name == config.DefaultServerName {
		logger.Warn("the server name is localhost: fine to try things out, but it can never change once accounts exist")
	}
	return s, nil
}

// wait serves until ctx ends or a listener fails, then stops.
func (s *server) wait(ctx context.Context) error {
	calm, cancel := context.WithCancel(ctx)
	var tidy sync.WaitGroup
	tidy.Go(func() { giveBack(calm, s.app.onCalm) })
	defer tidy.Wait()
	defer cancel()
	var failure error
	select {
	case <-ctx.Done():
		s.logger.Info("stopping", "reason", "signal")
	case failure = <-s.failed:
		s.logger.Error("stopping", "error", failure)
	case <-s.app.lost: // Why not go on: what is in memory is of another life of the database
		failure = storage.ErrRestored
		s.logger.Error("stopping, to be started anew by whoever watches over this process", "error", failure)
	}
	err := s.stop()
	s.logger.Info("stopped")
	return errors.Join(failure, err)
}
