package storage

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

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
	// transient reports whether an error says that the connection or the server is gone for now, so that the same
	// transaction may succeed on another try.
	transient func(error) bool
	// unique reports whether an error is a broken uniqueness rule.
	unique func(error) bool
}

var sqliteDialect = dialect{
	name:  "sqlite",
	words: map[string]string{"int": "INTEGER", "bytes": "BLOB", "norowid": " WITHOUT ROWID"},
	begin: "BEGIN IMMEDIATE",
	transient: func(err error) bool {
		var e *sqlite.Error
		// Spec: sqlite.org/rescode.html: 5 busy, 6 locked; the low byte is the primary code.
		return errors.As(err, &e) && (e.Code()&0xff == 5 || e.Code()&0xff == 6) || connectionGone(err)
	},
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
	transient: func(err error) bool {
		var e *pq.Error
		if errors.As(err, &e) {
			return transientState(string(e.Code))
		}
		return connectionGone(err)
	},
	unique: func(err error) bool {
		var e *pq.Error
		return errors.As(err, &e) && e.Code == "23505"
	},
}

// transientState reports whether PostgreSQL's error code says that another try may succeed.
// Spec: PostgreSQL, appendix A: connection exceptions, idle-in-transaction timeout, serialization, deadlock,
// shutdowns, starting up, too many connections.
func transientState(code string) bool {
	switch code {
	case "25P03", "40001", "40P01", "57P01", "57P02", "57P03", "53300":
		return true
	}
	return strings.HasPrefix(code, "08")
}

// connectionGone reports whether the connection, not the statement, failed.
func connectionGone(err error) bool {
	var n net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &n) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED)
}

// expand turns the common schema text into the engine's own.
func (d *dialect) expand(text string) string {
	for word, own := range d.words {
		text = strings.ReplaceAll(text, "{{"+word+"}}", own)
	}
	return text
}
