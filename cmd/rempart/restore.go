package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"rempart/config"
	"rempart/storage"
)

// restore puts a backup into a data folder that has nothing of the kind yet. Everything lands in that folder, wherever the
// server of the backup had it: that one may still be there.
func restore(ctx context.Context, args []string, c console) error {
	words, err := parse(flags("restore"), args, 2)
	if err != nil {
		return err
	}
	folder := words[0]
	data, err := filepath.Abs(words[1])
	if err != nil {
		return err
	}
	m, err := readManifest(folder)
	if err != nil {
		return err
	}
	cfg, err := restoreConfig(ctx, folder, data, c)
	if err != nil {
		return err
	}
	for _, file := range m.Files {
		target := filepath.Join(data, file.Name)
		switch file.Name {
		case backupPostgres, config.DefaultFile:
			continue
		case backupSQLite:
			target = cfg.Database.Path
		}
		if err := copyFile(filepath.Join(folder, file.Name), target); err != nil {
			return err
		}
	}
	if err := copyMedia(ctx, c, filepath.Join(folder, backupMedia), cfg.Media.Path, false); err != nil {
		return err
	}
	if cfg.Database.URL != "" {
		if err := loadPostgres(ctx, cfg.Database.URL, filepath.Join(folder, backupPostgres)); err != nil {
			return fmt.Errorf("fill the database that database.url names; remove %s before another attempt: %w", data, err)
		}
	}
	if err := storage.BeginAnew(ctx, databaseURL(cfg)); err != nil {
		return err
	}
	for _, f := range backedUp(cfg) {
		if _, err := os.Stat(f.path); errors.Is(err, os.ErrNotExist) {
			c.say("Its configuration wants the key %s: put %s there.", f.path, filepath.Join(data, f.name))
		}
	}
	c.say("%s of %s is back in %s. Start it with: rempart serve -config %s", m.ServerName, m.Created, data, cfg.File)
	return nil
}

// restoreConfig writes the configuration into the new data folder and reads it. When it does not fit this machine, the folder
// is left as it was.
func restoreConfig(ctx context.Context, folder, data string, c console) (*config.Config, error) {
	text, err := os.ReadFile(filepath.Join(folder, config.DefaultFile)) //nolint:gosec // the operator's own backup
	if err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	made := os.Mkdir(data, 0o700)
	if made != nil && !errors.Is(made, os.ErrExist) {
		return nil, fmt.Errorf("make data folder: %w", made)
	}
	if taken := inTheWay(data); taken != "" {
		return nil, fmt.Errorf("a backup is restored into a new folder: %s is there already", taken)
	}
	path := filepath.Join(data, config.DefaultFile)
	text, moved := movedTo(text, data)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	cfg, err := config.Load(path)
	if err == nil {
		err = staysIn(cfg, data)
	}
	if err == nil && cfg.Database.URL != "" {
		if err = storage.CheckEmpty(ctx, cfg.Database.URL); err != nil {
			err = fmt.Errorf("database.url (REMPART_DATABASE_URL names another database than that of the backup): %w", err)
		}
	}
	if err != nil {
		err = fmt.Errorf("the configuration of the backup does not fit here; put what it names into %s, or set it by the environment, and restore again:\n%w", data, err)
		err = errors.Join(err, os.Remove(path))
		if made == nil {
			err = errors.Join(err, os.Remove(data))
		}
		return nil, err
	}
	if moved {
		c.say("server.data_dir in %s was changed to %s.", path, data)
	}
	return cfg, nil
}

// inTheWay finds what must not be in a folder that a backup is put into.
func inTheWay(data string) string {
	for _, name := range []string{config.DefaultFile, "rempart.db", "signing.key", backupLedger, "rempart.lock"} {
		if path := filepath.Join(data, name); exists(path) {
			return path
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

var dataDirLine = regexp.MustCompile(`(?m)^(\s+data_dir:)[^\n]*$`)

// movedTo makes a configuration that names its data folder name another.
func movedTo(text []byte, data string) ([]byte, bool) {
	out := dataDirLine.ReplaceAll(text, []byte("${1} "+strings.ReplaceAll(strconv.Quote(data), "$", "$$")))
	return out, !bytes.Equal(out, text)
}

// staysIn refuses a configuration by which the restored server would use the data of another folder.
func staysIn(cfg *config.Config, data string) error {
	if cfg.Server.DataDir != data {
		return fmt.Errorf("server.data_dir: it is %s, not %s (set REMPART_SERVER_DATA_DIR for this command and for the server)", cfg.Server.DataDir, data)
	}
	if rel, err := filepath.Rel(data, cfg.Database.Path); cfg.Database.URL == "" && (err != nil || !filepath.IsLocal(rel)) {
		return fmt.Errorf("database.path: %s is outside of %s (set REMPART_DATABASE_PATH for this command and for the server)", cfg.Database.Path, data)
	}
	return nil
}
