package ledger

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Key signs checkpoints.
type Key struct {
	signer note.Signer
	// Public is what others need to check its signatures.
	Public string
}

// LoadOrCreateKey reads a key, or makes one under a name at first; its public part is kept in the file beside it that ends in
// ".pub". The name must hold neither spaces nor "+".
func LoadOrCreateKey(file, name string) (Key, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(file + ".pub"); err == nil {
			return Key{}, fmt.Errorf("the ledger's key %s is missing, and what it signed is checked by %s.pub: put it back from a backup; if there is none, "+
				"move the .pub file to a safe place, and a new key is made", file, file)
		}
		private, _, err := note.GenerateKey(rand.Reader, name)
		if err != nil {
			return Key{}, err
		}
		if raw = []byte(private + "\n"); os.WriteFile(file, raw, 0o600) != nil {
			return Key{}, fmt.Errorf("the ledger's key cannot be written to %s", file)
		}
	} else if err != nil {
		return Key{}, err
	}
	k, err := parseKey(strings.TrimSpace(string(raw)))
	if err != nil {
		return Key{}, fmt.Errorf("the ledger's key in %s: %w", file, err)
	}
	switch known, err := os.ReadFile(file + ".pub"); {
	case err == nil && strings.TrimSpace(string(known)) == k.Public:
		return k, nil
	case err == nil: // Why: whoever checks what the other key signed needs it
		return Key{}, fmt.Errorf("the ledger's key %s and %s.pub do not belong together: put back the right one, or move the .pub file to a safe place", file, file)
	}
	return k, os.WriteFile(file+".pub", []byte(k.Public+"\n"), 0o644) //nolint:gosec // it is public
}

// parseKey reads a private key. Spec: golang.org/x/mod/sumdb/note, "PRIVATE+KEY+name+hash+key", base64 of an algorithm byte and a seed.
func parseKey(private string) (Key, error) {
	signer, err := note.NewSigner(private)
	if err != nil {
		return Key{}, err
	}
	// Why at most five parts: base64 text may hold "+" itself.
	parts := strings.SplitN(private, "+", 5)
	raw, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return Key{}, errors.New("not an Ed25519 key")
	}
	public, ok := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return Key{}, errors.New("not an Ed25519 key")
	}
	verifier, err := note.NewEd25519VerifierKey(signer.Name(), public)
	return Key{signer, verifier}, err
}
