package matrix

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// GenerateSigningKey makes a new key with a random version, "ed25519:a_xxxx".
func GenerateSigningKey(server ServerName) (SigningKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return SigningKey{}, fmt.Errorf("generate signing key: %w", err)
	}
	return SigningKey{ServerName: server, KeyID: "ed25519:a_" + rand.Text()[:4], Private: private}, nil
}

// FormatSigningKey is the line of a key file: "ed25519 a_xxxx base64seed", the form that other servers use too.
func FormatSigningKey(key SigningKey) string {
	seed := base64.RawStdEncoding.EncodeToString(key.Private.Seed())
	return "ed25519 " + strings.TrimPrefix(key.KeyID, "ed25519:") + " " + seed + "\n"
}

// ParseSigningKeys reads the lines of a key file. Empty lines and those that begin with # are skipped.
func ParseSigningKeys(server ServerName, file []byte) ([]SigningKey, error) {
	var keys []SigningKey
	for i, line := range bytes.Split(file, []byte("\n")) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		key, err := parseKeyLine(fields)
		if err != nil {
			return nil, fmt.Errorf("signing key, line %d: %w", i+1, err)
		}
		key.ServerName = server
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("signing key: the file has no key")
	}
	return keys, nil
}

// parseKeyLine reads one key. Its errors never show the seed.
func parseKeyLine(fields []string) (SigningKey, error) {
	if len(fields) != 3 || fields[0] != "ed25519" {
		return SigningKey{}, errors.New(`must be "ed25519 version seed"`)
	}
	if !validKeyVersion(fields[1]) {
		return SigningKey{}, errors.New("the version may have letters, digits and _ only")
	}
	seed, err := decodeBase64(fields[2])
	if err != nil || len(seed) != ed25519.SeedSize {
		return SigningKey{}, errors.New("the seed must be 32 bytes in base64")
	}
	return SigningKey{KeyID: "ed25519:" + fields[1], Private: ed25519.NewKeyFromSeed(seed)}, nil
}

// validKeyVersion checks the version of a key id. Spec: server-server-api/#retrieving-server-keys
func validKeyVersion(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '_' {
			return false
		}
	}
	return s != ""
}

// ReadSigningKeyFile reads the keys of a file; the first is the one to sign with.
func ReadSigningKeyFile(path string, server ServerName) ([]SigningKey, error) {
	file, err := os.ReadFile(path) //nolint:gosec // the operator names the path
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	return ParseSigningKeys(server, file)
}

// WriteSigningKeyFile writes a new key file, readable by its owner only, and returns when it is on disk.
// It refuses to replace a file: a lost key cannot be had back.
func WriteSigningKeyFile(path string, key SigningKey) error {
	if err := writeKeyFile(path, FormatSigningKey(key)); err != nil {
		return fmt.Errorf("write signing key: %w", err)
	}
	return nil
}

func writeKeyFile(path, line string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".signing-key-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(line)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// Why: a link, unlike a rename, fails when the name is taken.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator names the path
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// LoadOrCreateSigningKey reads the key file or, if there is none, writes one with a new key.
func LoadOrCreateSigningKey(path string, server ServerName) ([]SigningKey, error) {
	keys, err := ReadSigningKeyFile(path, server)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	key, err := GenerateSigningKey(server)
	if err != nil {
		return nil, err
	}
	if err := WriteSigningKeyFile(path, key); err != nil {
		return nil, err
	}
	return []SigningKey{key}, nil
}
