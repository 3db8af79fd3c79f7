package main

import (
	"fmt"

	"rempart/config"
	"rempart/internal/matrix"
)

// signingKeyRing holds the signing keys of every server name of this installation; the first signs.
type signingKeyRing map[matrix.ServerName][]matrix.SigningKey

// SigningKey implements rooms.Keys.
func (r signingKeyRing) SigningKey(server matrix.ServerName) (matrix.SigningKey, bool) {
	keys := r[server]
	if len(keys) == 0 {
		return matrix.SigningKey{}, false
	}
	return keys[0], true
}

// signingKeys reads the signing keys of every tenant, and makes those that do not exist yet.
func signingKeys(cfg *config.Config) (signingKeyRing, error) {
	keys := signingKeyRing{}
	tenants := append([]config.Tenant{{Name: cfg.Server.Name, SigningKey: cfg.Server.SigningKey}}, cfg.Server.Tenants...)
	for _, t := range tenants {
		name := matrix.ServerName(t.Name)
		own, err := matrix.LoadOrCreateSigningKey(t.SigningKey, name)
		if err != nil {
			return nil, fmt.Errorf("signing key of %s: %w", name, err)
		}
		keys[name] = own
	}
	return keys, nil
}
