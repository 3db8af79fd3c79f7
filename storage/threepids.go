package storage

import (
	"context"
	"database/sql"
)

// Threepid is a third-party identifier of an account, proven to be its owner's.
type Threepid struct {
	Tenant           int64
	Medium, Address  string
	User             int64
	Validated, Added int64
}

// InsertThreepid gives an address to an account; it fails when another account of the tenant has it. Giving it to the
// same one again changes nothing.
func InsertThreepid(t Threepid) Guard {
	return Guard{sql: `INSERT INTO threepids (tenant, medium, address, usr, validated, added) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (tenant, medium, address) DO UPDATE SET validated = excluded.validated WHERE threepids.usr = excluded.usr`,
		args: []any{t.Tenant, t.Medium, t.Address, t.User, t.Validated, t.Added}, want: 1}
}

// DeleteThreepid takes an address from an account that may have it.
func DeleteThreepid(user int64, medium, address string) Guard {
	return Guard{sql: `DELETE FROM threepids WHERE usr = $1 AND medium = $2 AND address = $3`,
		args: []any{user, medium, address}, want: anyRows}
}

// DeletePerson forgets what is known of the person behind an account: the account was closed.
func DeletePerson(user int64) []Guard {
	var out []Guard
	for _, sql := range []string{
		`DELETE FROM threepids WHERE usr = $1`,
		`DELETE FROM email_proofs WHERE usr = $1`,
		`DELETE FROM person_tokens WHERE usr = $1`,
		`DELETE FROM account_ends WHERE usr = $1`,
		`DELETE FROM spent_refresh WHERE usr = $1`,
	} {
		out = append(out, Guard{sql: sql, args: []any{user}, want: anyRows})
	}
	return out
}

// FindThreepid is whose an address is; ErrNotFound when nobody's.
func (db *DB) FindThreepid(ctx context.Context, tenant int64, medium, address string) (t Threepid, err error) {
	t = Threepid{Tenant: tenant, Medium: medium, Address: address}
	err = db.row(ctx, `SELECT usr, validated, added FROM threepids WHERE tenant = $1 AND medium = $2 AND address = $3`,
		[]any{tenant, medium, address}, &t.User, &t.Validated, &t.Added)
	return t, err
}

// ListThreepids lists the addresses of an account.
func (db *DB) ListThreepids(ctx context.Context, user int64) ([]Threepid, error) {
	var out []Threepid
	err := db.each(ctx, `SELECT tenant, medium, address, validated, added FROM threepids WHERE usr = $1 ORDER BY medium, address`,
		[]any{user}, func(r *sql.Rows) error {
			t := Threepid{User: user}
			err := r.Scan(&t.Tenant, &t.Medium, &t.Address, &t.Validated, &t.Added)
			out = append(out, t)
			return err
		})
	return out, err
}

// EmailProof is a proof under way that an address is somebody's.
type EmailProof struct {
	SID                   string
	Tenant                int64
	Purpose, Address      string
	SecretHash, TokenHash []byte
	Attempt, User         int64
	Expires, Proven       int64
}

// EmailProofRow begins a proof, or begins it anew with another token.
type EmailProofRow struct{ EmailProof }

var emailProofsTable = newTable("email_proofs", `sid:t tenant:i purpose:t address:t secret_hash:b token_hash:b attempt:i
	usr:i expires:i proven:i`, 1, "update")

func (*EmailProofRow) table() *table { return emailProofsTable }
func (r *EmailProofRow) args(dst []any) []any {
	return append(dst, r.SID, r.Tenant, r.Purpose, r.Address, r.SecretHash, r.TokenHash, r.Attempt, r.User, r.Expires, r.Proven)
}

const proofColumns = `SELECT sid, tenant, purpose, address, secret_hash, token_hash, attempt, usr, expires, proven FROM email_proofs `

func (p *EmailProof) dest() []any {
	return []any{&p.SID, &p.Tenant, &p.Purpose, &p.Address, &p.SecretHash, &p.TokenHash, &p.Attempt, &p.User, &p.Expires, &p.Proven}
}

// FindEmailProof reads a proof that has not expired; ErrNotFound when there is none.
func (db *DB) FindEmailProof(ctx context.Context, sid string, now int64) (p EmailProof, err error) {
	err = db.row(ctx, proofColumns+`WHERE sid = $1 AND expires > $2`, []any{sid, now}, p.dest()...)
	return p, err
}

// FindEmailProofByToken reads the proof of a letter's token; ErrNotFound when there is none.
func (db *DB) FindEmailProofByToken(ctx context.Context, tokenHash []byte, now int64) (p EmailProof, err error) {
	err = db.row(ctx, proofColumns+`WHERE token_hash = $1 AND expires > $2`, []any{tokenHash, now}, p.dest()...)
	return p, err
}

// FindEmailProofOf reads the proof that a client began for an address; ErrNotFound when there is none.
func (db *DB) FindEmailProofOf(ctx context.Context, tenant int64, purpose, address string, secretHash []byte, now int64) (p EmailProof, err error) {
	err = db.row(ctx, proofColumns+`WHERE address = $1 AND tenant = $2 AND purpose = $3 AND secret_hash = $4 AND expires > $5`,
		[]any{address, tenant, purpose, secretHash, now}, p.dest()...)
	return p, err
}

// ProveEmail notes that a letter's link was used; it fails when there is no such proof any more.
func ProveEmail(tokenHash []byte, now int64) Guard {
	return Guard{sql: `UPDATE email_proofs SET proven = $2 WHERE token_hash = $1 AND expires > $2`, args: []any{tokenHash, now}, want: 1}
}

// UseEmailProof ends a proof that was proven, so that it serves once; it fails when it was not, or has served.
func UseEmailProof(sid string) Guard {
	return Guard{sql: `DELETE FROM email_proofs WHERE sid = $1 AND proven > 0`, args: []any{sid}, want: 1}
}
