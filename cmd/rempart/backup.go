package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"rempart/config"
	"rempart/core/media"
	"rempart/storage"
)

// Names of what a backup folder holds besides the signing keys.
const (
	backupSQLite   = "database.db"
	backupPostgres = "database.dump"
	backupMedia    = "media"
	backupLedger   = "ledger.key"
)

// backup copies what a server needs to come back: database, keys, configuration and files. The server may run.
func backup(ctx context.Context, args []string, c console) error {
	f := flags("backup")
	withMedia := f.Bool("media", true, "copy the files that people uploaded too")
	cfg, words, err := configured(f, args, 1)
	if err != nil {
		return err
	}
	folder := words[0]
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("a backup needs a new folder: %w", err)
	}
	m := manifest{Version: version(), ServerName: cfg.Server.Name}
	if err := copyDatabase(ctx, cfg, folder); err != nil {
		return err
	}
	for _, f := range append(backedUp(cfg), backupFile{config.DefaultFile, cfg.File}) {
		if err := copyFile(f.path, filepath.Join(folder, f.name)); err != nil {
			return err
		}
	}
	if *withMedia { // Why after the database: whatever it names was there before
		if err := copyMedia(ctx, c, cfg.Media.Path, filepath.Join(folder, backupMedia), true); err != nil {
			return err
		}
	}
	if err := m.write(folder); err != nil {
		return err
	}
	c.say("%s holds a complete copy, keys included: keep it as safe as the server itself.", folder)
	return nil
}

// copyMedia copies a folder of files; where there is none there is nothing to copy.
func copyMedia(ctx context.Context, c console, from, to string, link bool) error {
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	got, err := media.Copy(ctx, from, to, link)
	if err != nil {
		return err
	}
	for _, path := range got.Damaged {
		c.say("%s is damaged: its content is not what was uploaded. It is left out.", path)
	}
	c.say("%d uploaded files, %d MiB, are in %s.", got.Files, got.Bytes>>20, to)
	return nil
}

// copyDatabase writes the database into the backup folder.
func copyDatabase(ctx context.Context, cfg *config.Config, folder string) error {
	if cfg.Database.URL != "" {
		return dumpPostgres(ctx, cfg.Database.URL, filepath.Join(folder, backupPostgres))
	}
	if _, err := os.Stat(cfg.Database.Path); err != nil {
		return fmt.Errorf("there is no database to copy: %w", err)
	}
	return storage.Snapshot(ctx, cfg.Database.Path, filepath.Join(folder, backupSQLite))
}

// backupFile is a file with its name in a backup.
type backupFile struct{ name, path string }

// backedUp are the keys: those that sign events, and that of the ledger, by which others check what is in the database.
func backedUp(cfg *config.Config) []backupFile {
	var files []backupFile
	for _, path := range keyFiles(cfg) {
		files = append(files, backupFile{filepath.Base(path), path})
	}
	if _, err := os.Stat(ledgerKey(cfg)); err == nil { // not before the first start of a version that has a ledger
		files = append(files, backupFile{backupLedger, ledgerKey(cfg)}, backupFile{backupLedger + ".pub", ledgerKey(cfg) + ".pub"})
	}
	return files
}

func keyFiles(cfg *config.Config) []string {
	files := []string{cfg.Server.SigningKey}
	for _, t := range cfg.Server.Tenants {
		files = append(files, t.SigningKey)
	}
	return files
}

// copyFile copies a file to a new one that only its owner can read, and returns when it is on disk.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}
