package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

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

// tenantKeys are the server names of an installation, each with its key file.
func tenantKeys(cfg *config.Config) []config.Tenant {
	return append([]config.Tenant{{Name: cfg.Server.Name, SigningKey: cfg.Server.SigningKey}}, cfg.Server.Tenants...)
}

// oldKeys reads the keys of every tenant that sign no more.
func oldKeys(cfg *config.Config) (map[matrix.ServerName][]matrix.OldKey, error) {
	old := map[matrix.ServerName][]matrix.OldKey{}
	for _, t := range tenantKeys(cfg) {
		var err error
		if old[matrix.ServerName(t.Name)], err = matrix.ReadOldKeys(t.SigningKey); err != nil {
			return nil, fmt.Errorf("signing key of %s: %w", t.Name, err)
		}
	}
	return old, nil
}

// keyRotate gives a server a new signing key.
func keyRotate(_ context.Context, args []string, c console) error {
	f := flags("key rotate")
	server := f.String("server", "", "server name, for one of several")
	lost := f.Bool("lost", false, "there is no key any more")
	cfg, _, err := configured(f, args, 0)
	if err != nil {
		return err
	}
	if *server == "" {
		*server = cfg.Server.Name
	}
	for _, t := range tenantKeys(cfg) {
		if t.Name != *server {
			continue
		}
		key, err := newKey(t, *lost)
		if err != nil {
			return err
		}
		c.say("%s has the new signing key %s, in %s. Restart the server to sign with it, all nodes at once.", t.Name, key.KeyID, t.SigningKey)
		return nil
	}
	return fmt.Errorf("%s is no server name of this installation", *server)
}

// newKey makes a key in place of that of a tenant, or where it was.
func newKey(t config.Tenant, lost bool) (matrix.SigningKey, error) {
	name := matrix.ServerName(t.Name)
	_, err := os.Stat(t.SigningKey)
	switch missing := errors.Is(err, os.ErrNotExist); {
	case lost && !missing:
		return matrix.SigningKey{}, fmt.Errorf("the key is not lost: %s is there; leave out -lost", t.SigningKey)
	case !lost && missing:
		return matrix.SigningKey{}, fmt.Errorf("there is no key %s to take the place of: put it back from a backup, or, if there is none, add -lost", t.SigningKey)
	case !lost:
		return matrix.RotateSigningKey(t.SigningKey, name, time.Now().UnixMilli())
	}
	keys, err := matrix.LoadOrCreateSigningKey(t.SigningKey, name)
	if err != nil {
		return matrix.SigningKey{}, err
	}
	return keys[0], nil
}

// signingKeys reads the signing keys of every tenant, and makes those that do not exist yet. Of servers that have signed
// already none is made: with another key a server is a stranger to all others.
func signingKeys(cfg *config.Config, signed []matrix.ServerName) (signingKeyRing, error) {
	keys := signingKeyRing{}
	for _, t := range tenantKeys(cfg) {
		name := matrix.ServerName(t.Name)
		if _, err := os.Stat(t.SigningKey); errors.Is(err, os.ErrNotExist) && slices.Contains(signed, name) {
			return nil, misconfigured(fmt.Errorf("the signing key %s is missing, and the rooms of %s are signed with it: put it back from a backup; if there is none, %q makes a new one",
				t.SigningKey, name, "rempart key rotate -lost -server "+t.Name))
		}
		own, err := matrix.LoadOrCreateSigningKey(t.SigningKey, name)
		if err != nil {
			return nil, fmt.Errorf("signing key of %s: %w", name, err)
		}
		keys[name] = own
	}
	return keys, nil
}
