package storage

import (
	"context"
	"database/sql"
)

// PersonToken is a secret that stands for a person for one purpose; only its hash is kept.
type PersonToken struct {
	Hash          []byte
	Purpose       string
	User, Expires int64
}

// PersonTokenRow adds a token.
type PersonTokenRow struct{ PersonToken }

var personTokensTable = newTable("person_tokens", "hash:b purpose:t usr:i expires:i", 1, "")

func (*PersonTokenRow) table() *table { return personTokensTable }
func (r *PersonTokenRow) args(dst []any) []any {
	return append(dst, r.Hash, r.Purpose, r.User, r.Expires)
}

// FindPersonToken is whom a token stands for; ErrNotFound when it is unknown or too old.
func (db *DB) FindPersonToken(ctx context.Context, hash []byte, purpose string, now int64) (user int64, err error) {
	err = db.row(ctx, `SELECT usr FROM person_tokens WHERE hash = $1 AND purpose = $2 AND expires > $3`, []any{hash, purpose, now}, &user)
	return user, err
}

// UsePersonToken ends a token; it holds for one of several who try.
func UsePersonToken(hash []byte, purpose string, now int64) Guard {
	return Guard{sql: `DELETE FROM person_tokens WHERE hash = $1 AND purpose = $2 AND expires > $3`, args: []any{hash, purpose, now}, want: 1}
}

// DeletePersonTokens ends the tokens of a person for a purpose.
func DeletePersonTokens(user int64, purpose string) Guard {
	return Guard{sql: `DELETE FROM person_tokens WHERE usr = $1 AND purpose = $2`, args: []any{user, purpose}, want: anyRows}
}

// PruneExpired forgets proofs and tokens that ended before now, and refresh tokens spent before an instant, in bites.
func (db *DB) PruneExpired(ctx context.Context, now, spentBefore int64) error {
	err := db.eatAll(ctx, now, bite{table: "email_proofs", column: "expires"}, bite{table: "person_tokens", column: "expires"})
	if err != nil {
		return err
	}
	return db.eatAll(ctx, spentBefore, bite{table: "spent_refresh", column: "spent"})
}

// AcceptedTermsRow notes that a user accepted a document.
type AcceptedTermsRow struct {
	User              int64
	Document, Version string
	TS                int64
}

var acceptedTermsTable = newTable("accepted_terms", "usr:i document:t version:t ts:i", 3, "ignore")

func (*AcceptedTermsRow) table() *table { return acceptedTermsTable }
func (r *AcceptedTermsRow) args(dst []any) []any {
	return append(dst, r.User, r.Document, r.Version, r.TS)
}

// ListAcceptedTerms lists what a user accepted.
func (db *DB) ListAcceptedTerms(ctx context.Context, user int64) ([]AcceptedTermsRow, error) {
	var out []AcceptedTermsRow
	err := db.each(ctx, `SELECT document, version, ts FROM accepted_terms WHERE usr = $1 ORDER BY document, version`, []any{user},
		func(r *sql.Rows) error {
			t := AcceptedTermsRow{User: user}
			err := r.Scan(&t.Document, &t.Version, &t.TS)
			out = append(out, t)
			return err
		})
	return out, err
}

// AccountEndRow sets when an account ends; Reminded 0: its owner has not been told.
type AccountEndRow struct{ User, Ends, Reminded int64 }

var accountEndsTable = newTable("account_ends", "usr:i ends:i reminded:i", 1, "update")

func (*AccountEndRow) table() *table          { return accountEndsTable }
func (r *AccountEndRow) args(dst []any) []any { return append(dst, r.User, r.Ends, r.Reminded) }

// FindAccountEnd is when an account ends; ErrNotFound when never.
func (db *DB) FindAccountEnd(ctx context.Context, user int64) (ends int64, err error) {
	err = db.row(ctx, `SELECT ends FROM account_ends WHERE usr = $1`, []any{user}, &ends)
	return ends, err
}

// ListEndingAccounts lists accounts that end before an instant and whose owners have not been told, soonest first.
func (db *DB) ListEndingAccounts(ctx context.Context, before int64, limit int) ([]AccountEndRow, error) {
	return db.accountEnds(ctx, `WHERE ends < $1 AND reminded = 0`, before, limit)
}

// ListEndedAccounts lists accounts that ended before an instant and are not marked as such yet.
func (db *DB) ListEndedAccounts(ctx context.Context, before int64, limit int) ([]AccountEndRow, error) {
	return db.accountEnds(ctx, `WHERE ends < $1 AND EXISTS (SELECT 1 FROM users u WHERE u.nid = account_ends.usr AND u.flags & 34 = 0)`,
		before, limit)
}

func (db *DB) accountEnds(ctx context.Context, where string, before int64, limit int) ([]AccountEndRow, error) {
	var out []AccountEndRow
	err := db.each(ctx, `SELECT usr, ends, reminded FROM account_ends `+where+` ORDER BY ends LIMIT $2`, []any{before, int64(limit)},
		func(r *sql.Rows) error {
			var e AccountEndRow
			err := r.Scan(&e.User, &e.Ends, &e.Reminded)
			out = append(out, e)
			return err
		})
	return out, err
}

// SpendRefresh remembers the refresh token of a session that ends because another one took its place.
func SpendRefresh(session, now int64) Guard {
	return Guard{sql: `INSERT INTO spent_refresh (hash, usr, device, spent)
			SELECT refresh_hash, usr, device, CAST($2 AS BIGINT) FROM sessions WHERE nid = $1 AND refresh_hash IS NOT NULL
			ON CONFLICT DO NOTHING`,
		args: []any{session, now}, want: anyRows}
}

// FindSpentRefresh is whose a refresh token was that has served already; ErrNotFound when there never was one.
func (db *DB) FindSpentRefresh(ctx context.Context, hash []byte) (user, device int64, err error) {
	err = db.row(ctx, `SELECT usr, device FROM spent_refresh WHERE hash = $1`, []any{hash}, &user, &device)
	return user, device, err
}

// EndDeviceSessions ends the sessions of a device and leaves the device: its owner may log in on it again.
func EndDeviceSessions(user, device int64) []Guard {
	return []Guard{
		{sql: `DELETE FROM session_seen WHERE session IN (SELECT nid FROM sessions WHERE usr = $1 AND device = $2)`,
			args: []any{user, device}, want: anyRows},
		{sql: `DELETE FROM sessions WHERE usr = $1 AND device = $2`, args: []any{user, device}, want: anyRows},
		{sql: `DELETE FROM spent_refresh WHERE usr = $1 AND device = $2`, args: []any{user, device}, want: anyRows},
	}
}
