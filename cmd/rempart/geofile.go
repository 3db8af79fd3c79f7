package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"rempart/policy/territory"
)

// plainKey reads an ed25519 key from a file (the seed in base64), or makes it. It also gives the public half.
func plainKey(path string) (ed25519.PrivateKey, string, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the administrator names it
	if errors.Is(err, os.ErrNotExist) {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, "", err
		}
		b = []byte(base64.StdEncoding.EncodeToString(key.Seed()) + "\n")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return nil, "", err
		}
	} else if err != nil {
		return nil, "", err
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, "", fmt.Errorf("%s holds no key", path)
	}
	key := ed25519.NewKeyFromSeed(seed)
	public, _ := key.Public().(ed25519.PublicKey)
	return key, base64.StdEncoding.EncodeToString(public), nil
}

// writeWhole replaces a file at once, or not at all.
func writeWhole(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil { // Why readable by all: nothing in it is secret
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// judgedBy says which networks that a policy names for its partners a new file knows, before it is put in force.
func judgedBy(file []byte, path string, c console) error {
	g, err := readPolicy(path)
	if err != nil {
		return err
	}
	d, err := territory.Read(file, nil)
	if err != nil {
		return err
	}
	old := g.Territory()
	next := *old
	next.Data = d
	for _, at := range g.Networks() {
		now := old.Judge(at.Addr(), d.Built)
		then := next.Judge(at.Addr(), d.Built)
		if now.OK != then.OK {
			c.say("CHANGES %s: now %s, then %s", at, now.Rule, then.Rule)
		}
	}
	return nil
}
