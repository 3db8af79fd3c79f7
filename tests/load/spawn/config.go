package spawn

import (
	"fmt"
	"os"
	"path/filepath"
)

// config is the part of rempart's configuration that a load run sets.
type config struct {
	Dir      string // data folder
	Client   string // address of the client API
	Database string // PostgreSQL URL; empty: SQLite in the data folder
}

// write makes the data folder and its configuration file: open registration, no
// rate limits, cheap password hashes, nothing but the client API listening.
func (c config) write() (string, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return "", err
	}
	text := fmt.Sprintf(`server: {name: localhost}
listen: {client: %q, metrics: ""}
database: {url: %q}
registration: {open: true}
password: {argon2_time: 1, argon2_memory_kib: 64}
limits: {enabled: false}
log: {level: warn}
`, c.Client, c.Database)
	file := filepath.Join(c.Dir, "rempart.yaml")
	return file, os.WriteFile(file, []byte(text), 0o600)
}
