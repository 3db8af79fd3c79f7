package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
)

// ErrDamaged says that a SQLite file is not what was written.
var ErrDamaged = errors.New("the database file is damaged: stop the server, keep the file, and put a backup back (docs/operate/backup.md)")

// plainly adds ErrDamaged to what SQLite says of a broken file.
func plainly(err error) error {
	var e *sqlite.Error
	// Spec: sqlite.org/rescode.html: 11 corrupt, 26 not a database; the low byte is the primary code.
	if errors.As(err, &e) && (e.Code()&0xff == 11 || e.Code()&0xff == 26) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// Examine connects to a database that may be in use, which checks PostgreSQL's settings, reads a SQLite one from end to end,
// and says what is wrong with it. It returns the time of the newest checkpoint of the ledger, the zero time when there is none.
func Examine(ctx context.Context, url string) (last time.Time, err error) {
	db := &DB{opts: Options{URL: url, Readers: 1}}
	if err := db.connect(ctx); err != nil {
		return last, fmt.Errorf("open database: %w", plainly(err))
	}
	defer func() { err = errors.Join(err, db.closePools()) }()
	found := "ok"
	if db.dialect.arrays {
		err = db.read.PingContext(ctx)
	} else {
		err = db.read.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&found)
	}
	if err != nil {
		return last, plainly(err)
	}
	if found != "ok" {
		return last, fmt.Errorf("%w (%s)", ErrDamaged, found)
	}
	var ms int64
	err = db.read.QueryRowContext(ctx, `SELECT ts FROM ledger_checkpoints ORDER BY size DESC LIMIT 1`).Scan(&ms)
	if err != nil { // none, or a database of before there were any
		return last, nil
	}
	return time.UnixMilli(ms), nil
}
