package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockFolder keeps a second server from serving the same SQLite database: it would not hear of this one's commits. The
// lock ends with the process, however it ends.
func lockFolder(dir string) (release func() error, err error) {
	path := filepath.Join(dir, "rempart.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("another server runs on %s; several servers need PostgreSQL (database.url)", dir)
	}
	return f.Close, nil
}
