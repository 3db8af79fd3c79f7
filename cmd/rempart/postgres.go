package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
)

// dumpPostgres copies a PostgreSQL database by its own tool, which sees one moment of a database in use.
func dumpPostgres(ctx context.Context, database, file string) error {
	return postgresTool(ctx, database, "pg_dump", "--format=custom", "--no-owner", "--file="+file)
}

// loadPostgres fills an empty PostgreSQL database from such a copy.
func loadPostgres(ctx context.Context, database, file string) error {
	return postgresTool(ctx, database, "pg_restore", "--no-owner", "--exit-on-error", "--single-transaction", file)
}

// postgresTool runs one of PostgreSQL's programs on a database.
func postgresTool(ctx context.Context, database, tool string, args ...string) error {
	address, password, err := withoutPassword(database)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, tool, append([]string{"--dbname=" + address}, args...)...) //nolint:gosec // the administrator's own database
	cmd.Env = os.Environ()
	if password != "" {
		cmd.Env = append(cmd.Env, "PGPASSWORD="+password)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s (of the package postgresql-client): %w: %s", tool, err, strings.TrimSpace(said.String()))
	}
	return nil
}

// withoutPassword takes the password out of a URL. Why: arguments can be read by everybody on the machine.
func withoutPassword(database string) (address, password string, err error) {
	u, err := url.Parse(database)
	if err != nil {
		return "", "", errors.New("database.url is no URL") // Why no cause: it would show the password
	}
	if u.User != nil {
		password, _ = u.User.Password()
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	if p := q.Get("password"); p != "" {
		password = p
		q.Del("password")
		u.RawQuery = q.Encode()
	}
	return u.String(), password, nil
}
