package storage

import (
	"errors"
	"strings"

	"github.com/lib/pq"
	"modernc.org/sqlite"
)

// dialect holds everything in which the two engines differ, beside full-text search.
type dialect struct {
	name string
	// words replaces {{word}} in schema files.
	words map[string]string
	// begin opens a write transaction.
	begin string
	// arrays says that one statement may insert into all tables from arrays (PostgreSQL).
	arrays bool
	// unique reports whether an error is a broken uniqueness rule.
	unique func(error) bool
}

var sqliteDialect = dialect{
	name:  "sqlite",
	words: map[string]string{"int": "INTEGER", "bytes": "BLOB", "norowid": " WITHOUT ROWID"},
	begin: "BEGIN IMMEDIATE",
	unique: func(err error) bool {
		var e *sqlite.Error
		// Spec: sqlite.org/rescode.html: 1555 primary key, 2067 unique.
		return errors.As(err, &e) && (e.Code() == 1555 || e.Code() == 2067)
	},
}

var postgresDialect = dialect{
	name:   "postgres",
	words:  map[string]string{"int": "BIGINT", "bytes": "BYTEA", "norowid": ""},
	begin:  "BEGIN",
	arrays: true,
	unique: func(err error) bool {
		var e *pq.Error
		return errors.As(err, &e) && e.Code == "23505"
	},
}

// expand turns the common schema text into the engine's own.
func (d *dialect) expand(text string) string {
	for word, own := range d.words {
		text = strings.ReplaceAll(text, "{{"+word+"}}", own)
	}
	return text
}
