package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"rempart/config"
	"rempart/internal/matrix"
	"rempart/storage"
)

// doctor looks at everything a start depends on and says in plain words what is wrong.
func doctor(ctx context.Context, args []string, c console) error {
	f := flags("doctor")
	server := f.String("federation", "", "another server, which is asked whether it can be spoken to")
	gateways := f.Bool("push", false, "the push gateways that phones have named: each is asked whether it takes notifications")
	cfg, _, err := configured(f, args, 0)
	if err != nil {
		return err
	}
	if *gateways {
		return examineGateways(ctx, cfg, c)
	}
	if *server != "" {
		return examineServer(ctx, cfg, *server, c)
	}
	problems := 0
	for _, e := range examinations() {
		if err := e.look(cfg); err != nil {
			problems++
			c.say("problem  %s: %v", e.name, err)
			continue
		}
		c.say("ok       %s", e.name)
	}
	if problems > 0 {
		return fmt.Errorf("%d of %d examinations found a problem", problems, len(examinations()))
	}
	return nil
}

// examination looks at one thing.
type examination struct {
	name string
	look func(*config.Config) error
}

func examinations() []examination {
	return []examination{
		{"server name", examineName},
		{"data folder", examineFolder},
		{"database", examineDatabase},
		{"free space", examineSpace},
		{"signing key", examineKeys},
		{"certificate", examineCertificate},
		{"open files", examineOpenFiles},
	}
}

func examineName(cfg *config.Config) error {
	if cfg.Server.Name == config.DefaultServerName {
		return errors.New("it is localhost, which is fine to try things out and cannot be changed once accounts exist")
	}
	return nil
}

// examineFolder checks that the data folder is private and that a file in it reaches the disk.
func examineFolder(cfg *config.Config) error {
	info, err := os.Stat(cfg.Server.DataDir)
	if err != nil {
		return fmt.Errorf("it cannot be opened: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return fmt.Errorf("everybody on this machine can read %s: chmod o= %s", cfg.Server.DataDir, cfg.Server.DataDir)
	}
	if err := probe(cfg.Server.DataDir); err != nil {
		return fmt.Errorf("nothing can be written there: %w", err)
	}
	return nil
}

// probe writes a file in a folder, down to the disk, and removes it.
func probe(dir string) error {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(make([]byte, 4096)) // Why not nothing: a full disk still takes names
	return errors.Join(err, f.Sync(), f.Close())
}

// examineDatabase reads the whole of a SQLite file, or connects to PostgreSQL, and looks whether the clock has gone back since the last checkpoint of
// the record was signed.
func examineDatabase(cfg *config.Config) error {
	if _, err := os.Stat(cfg.Database.Path); cfg.Database.URL == "" && errors.Is(err, os.ErrNotExist) {
		return nil // the first start makes it
	}
	last, err := storage.Examine(context.Background(), databaseURL(cfg))
	if err != nil {
		return err
	}
	if ahead := time.Until(last); ahead > time.Minute {
		return fmt.Errorf("something in it was signed %s from now: set the clock of this machine (timedatectl)", ahead.Round(time.Second))
	}
	return nil
}

// leastSpace is the free space below which a server should not go on.
const leastSpace = 1 << 30

func examineSpace(cfg *config.Config) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(cfg.Server.DataDir, &fs); err != nil {
		return fmt.Errorf("it cannot be measured: %w", err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < leastSpace {
		return fmt.Errorf("only %d MiB are left on the disk of %s", free>>20, cfg.Server.DataDir)
	}
	return nil
}

func examineKeys(cfg *config.Config) error {
	for _, path := range keyFiles(cfg) {
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			if _, err := os.Stat(cfg.Database.Path); err == nil {
				return fmt.Errorf("%s is missing though there is a database: put the key back from a backup", path)
			}
			continue // the first start makes it
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			return fmt.Errorf("others can read %s: chmod 600 %s", path, path)
		}
		if _, err := matrix.ReadSigningKeyFile(path, matrix.ServerName(cfg.Server.Name)); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

// soon is how long before its end a certificate is a problem.
const soon = 14 * 24 * time.Hour

func examineCertificate(cfg *config.Config) error {
	if cfg.Listen.TLSCert == "" {
		return nil // a proxy in front has it
	}
	pair, err := tls.LoadX509KeyPair(cfg.Listen.TLSCert, cfg.Listen.TLSKey)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return err
	}
	if err := leaf.VerifyHostname(matrix.ServerName(cfg.Server.Name).Host()); err != nil && cfg.Listen.Federation != "" {
		return fmt.Errorf("other servers will refuse it unless a well-known file names another host: %w", err)
	}
	if left := time.Until(leaf.NotAfter); left < soon {
		return fmt.Errorf("it ends on %s", leaf.NotAfter.Format(time.DateOnly))
	}
	return nil
}

// leastFiles is how many files and connections a busy server has open.
const leastFiles = 4096

func examineOpenFiles(*config.Config) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < leastFiles {
		return fmt.Errorf("this process may open %d files; raise the limit to %d (LimitNOFILE in the systemd unit)", limit.Max, leastFiles)
	}
	return nil
}
