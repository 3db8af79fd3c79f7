package storage

import (
	"context"
	"database/sql"
)

// CrossSigningKey is one of a user's three cross-signing keys. Usage is master, self_signing or user_signing; KeyID is
// the public part.
type CrossSigningKey struct {
	User         int64
	Usage, KeyID string
	Body         []byte
}

// CrossSigningRow sets a cross-signing key.
type CrossSigningRow struct{ CrossSigningKey }

var crossSigningTable = newTable("cross_signing_keys", "usr:i usage:t key_id:t body:b", 2, "update")

func (*CrossSigningRow) table() *table { return crossSigningTable }
func (r *CrossSigningRow) args(dst []any) []any {
	return append(dst, r.User, r.Usage, r.KeyID, r.Body)
}

// DeleteCrossSigning removes the cross-signing keys of a user with what they signed of his own.
func DeleteCrossSigning(user int64) []Guard {
	return []Guard{
		{sql: `DELETE FROM cross_signing_keys WHERE usr = $1`, args: []any{user}, want: anyRows},
		{sql: `DELETE FROM key_signatures WHERE usr = $1 AND signer = $1`, args: []any{user}, want: anyRows},
	}
}

// ListCrossSigning lists the cross-signing keys of some users.
func (db *DB) ListCrossSigning(ctx context.Context, users []int64) ([]CrossSigningKey, error) {
	var out []CrossSigningKey
	err := db.eachIn(ctx, `SELECT usr, usage, key_id, body FROM cross_signing_keys WHERE usr IN`, users, ``,
		func(r *sql.Rows) error {
			var k CrossSigningKey
			err := r.Scan(&k.User, &k.Usage, &k.KeyID, &k.Body)
			out = append(out, k)
			return err
		})
	return out, err
}

// KeySignature is a signature that was uploaded apart from the key it signs. Target is a device id or the public part
// of a cross-signing key; KeyID is the whole id of the signing key, with its algorithm.
type KeySignature struct {
	User             int64 // whose key was signed
	Target           string
	Signer           int64
	KeyID, Signature string
}

// KeySignatureRow adds a signature.
type KeySignatureRow struct{ KeySignature }

var keySignaturesTable = newTable("key_signatures", "usr:i target:t signer:i key_id:t signature:t", 4, "update")

func (*KeySignatureRow) table() *table { return keySignaturesTable }
func (r *KeySignatureRow) args(dst []any) []any {
	return append(dst, r.User, r.Target, r.Signer, r.KeyID, r.Signature)
}

// ListKeySignatures lists the signatures on keys of some users, whoever made them.
func (db *DB) ListKeySignatures(ctx context.Context, users []int64) ([]KeySignature, error) {
	var out []KeySignature
	err := db.eachIn(ctx, `SELECT usr, target, signer, key_id, signature FROM key_signatures WHERE usr IN`, users, ``,
		func(r *sql.Rows) error {
			var k KeySignature
			err := r.Scan(&k.User, &k.Target, &k.Signer, &k.KeyID, &k.Signature)
			out = append(out, k)
			return err
		})
	return out, err
}
