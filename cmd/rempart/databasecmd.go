package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rempart/storage"
)

// told is from how many rows on a table is named while a database is moved.
const told = 10_000

// databaseMove takes a server that began with SQLite to PostgreSQL.
func databaseMove(ctx context.Context, args []string, c console) (err error) {
	cfg, words, err := configured(flags("database move"), args, 1)
	if err != nil {
		return err
	}
	if cfg.Database.URL != "" {
		return fmt.Errorf("%s names a PostgreSQL database already (database.url): there is no SQLite database to move", cfg.File)
	}
	target, err := moveTarget(words[0], c)
	if err != nil {
		return err
	}
	release, err := lockFolder(cfg.Server.DataDir)
	if err != nil {
		return fmt.Errorf("stop the server first: %w", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	there := *cfg
	there.Database.URL = target // Why: where the data go is judged as it will be when the server runs there
	g, err := openedDoor(&there)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.egress.Close()) }()
	began := time.Now()
	done, err := storage.Move(ctx, cfg.Database.Path, storage.Options{URL: target, Dial: g.dialStore, Log: g.log}, func(table string, rows int64) {
		if rows >= told {
			c.say("  %s: %d rows", table, rows)
		}
	})
	if err != nil {
		return err
	}
	c.say("%d rows of %d tables were moved in %s, read again and found equal.", done.Rows, done.Tables, time.Since(began).Round(100*time.Millisecond))
	return sayMoved(c, cfg.File, cfg.Database.Path, target)
}

// moveTarget is the URL in the command's words, or the first line of the input for "-".
func moveTarget(word string, c console) (string, error) {
	if word != "-" {
		return word, nil
	}
	line, err := bufio.NewReader(c.in).ReadString('\n')
	if line = strings.TrimSpace(line); line == "" {
		return "", errors.Join(errors.New("no URL was given"), err)
	}
	return line, nil
}

// sayMoved says what to write into the configuration.
func sayMoved(c console, file, path, target string) error {
	address, password, err := withoutPassword(target)
	if err != nil {
		return err
	}
	c.say("\nWrite this into %s, in place of the section database that may be there, and start the server:\n\n    database:\n      url: %s\n", file, address)
	if password != "" {
		c.say("with the password, or leave the line out and set REMPART_DATABASE_URL to the whole URL in the server's environment.")
	}
	c.say("%s is as it was. Once a server has run on PostgreSQL never start one on that file again: to others both would be the same server, with two histories. Uploaded files and keys stay where they are.", path)
	return nil
}
