// Package pgtest gives tests a throw-away PostgreSQL: one cluster for each test process, a fresh database for each
// test. Nothing needs to be set up: the binaries of the Debian package are found by themselves, the server listens on
// a unix socket in a temporary folder only, and a watchdog process ends it and removes its files when the test process
// is gone, however it ended.
//
// REMPART_TEST_POSTGRES=postgres://… uses an existing server instead; its user must be allowed to create databases.
package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"sync"
	"testing"

	_ "github.com/lib/pq" // the driver by which databases are created
)

// ErrNotInstalled says that this machine has no PostgreSQL server to start.
var ErrNotInstalled = errors.New("no PostgreSQL here: install the package postgresql, or set REMPART_TEST_POSTGRES")

// server starts the process's cluster at first need and gives its maintenance URL.
var server = sync.OnceValues(func() (string, error) {
	if given := os.Getenv("REMPART_TEST_POSTGRES"); given != "" {
		return given, nil
	}
	return startCluster()
})

// Start gives the URL of the process's server, for programs that are no tests.
func Start() (string, error) { return server() }

// New gives the URL of a fresh, empty database for one test.
func New(t testing.TB) string {
	t.Helper()
	return newFrom(t, "template0")
}

// NewFilled gives the URL of a fresh database that is a copy of one which fill prepared, once for each process.
// Why: to copy a schema takes a fifth of the time that it takes to make it.
func NewFilled(t testing.TB, fill func(url string) error) string {
	t.Helper()
	if os.Getenv("REMPART_TEST_POSTGRES") != "" { // nobody would remove the original
		fresh := New(t)
		if err := fill(fresh); err != nil {
			t.Fatal(err)
		}
		return fresh
	}
	filled.once.Do(func() {
		original := New(t)
		filled.name, filled.err = nameOf(original), fill(original)
	})
	if filled.err != nil {
		t.Fatal(filled.err)
	}
	return newFrom(t, filled.name)
}

// filled is the process's prepared database.
var filled struct {
	once sync.Once
	name string
	err  error
}

func newFrom(t testing.TB, template string) string {
	t.Helper()
	admin, err := server()
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := create(t.Context(), admin, template)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("REMPART_TEST_POSTGRES") != "" { // our own server goes as a whole, which is quicker
		t.Cleanup(func() {
			if err := Drop(context.Background(), admin, fresh); err != nil {
				t.Errorf("drop the test's database: %v", err)
			}
		})
	}
	return fresh
}

// Create makes a fresh database, collation C, on the server behind admin and returns its URL.
func Create(ctx context.Context, admin string) (string, error) {
	return create(ctx, admin, "template0")
}

func create(ctx context.Context, admin, template string) (string, error) {
	u, err := url.Parse(admin)
	if err != nil {
		return "", err
	}
	name := "rempart_test_" + rand.Text()
	err = Run(ctx, admin, `CREATE DATABASE "`+name+`" TEMPLATE "`+template+`" ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`)
	u.Path = "/" + name
	return u.String(), err
}

func nameOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Path[1:]
}

// Drop removes a database made by Create, ending its sessions.
func Drop(ctx context.Context, admin, fresh string) error {
	return Run(ctx, admin, `DROP DATABASE IF EXISTS "`+nameOf(fresh)+`" WITH (FORCE)`)
}

// Run has a database do what a text says, of as many statements as it has.
func Run(ctx context.Context, database, text string) error {
	db, err := sql.Open("postgres", database)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, text)
	return err
}
