package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// ServerKey is a public key of another server.
type ServerKey struct {
	Server matrix.ServerName
	KeyID  string // "ed25519:version"
	Public []byte
	// ValidUntil is until when the key signs, as its server said last; milliseconds.
	ValidUntil int64
	// Expired is when an old key stopped to sign, 0 for one in use.
	Expired int64
}

// ServerKeyRow sets a public key of another server.
type ServerKeyRow struct{ ServerKey }

var serverKeysTable = newTable("server_keys", "server:t key_id:t public:b valid_until:i expired:i", 2, "update")

func (*ServerKeyRow) table() *table { return serverKeysTable }
func (r *ServerKeyRow) args(dst []any) []any {
	return append(dst, string(r.Server), r.KeyID, r.Public, r.ValidUntil, r.Expired)
}

// ListServerKeys lists the keys that are known of a server.
func (db *DB) ListServerKeys(ctx context.Context, server matrix.ServerName) ([]ServerKey, error) {
	var out []ServerKey
	err := db.each(ctx, `SELECT key_id, public, valid_until, expired FROM server_keys WHERE server = $1 ORDER BY key_id`,
		[]any{string(server)}, func(r *sql.Rows) error {
			k := ServerKey{Server: server}
			err := r.Scan(&k.KeyID, &k.Public, &k.ValidUntil, &k.Expired)
			out = append(out, k)
			return err
		})
	return out, err
}
