package matrix

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// OldKey is the public half of a key that signs no more, and when it stopped, in milliseconds.
type OldKey struct {
	KeyID   string
	Public  ed25519.PublicKey
	Expired int64
}

// oldMark begins the line of an old key. It is a comment to whoever reads signing keys only.
const oldMark = "# old ed25519 "

// ReadOldKeys reads the keys of a key file that sign no more. A line that is none is passed over: nothing is signed
// by it, and what it was for can still be told by others who have it.
func ReadOldKeys(path string) ([]OldKey, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read old keys: %w", err)
	}
	var keys []OldKey
	for line := range strings.SplitSeq(string(file), "\n") {
		rest, ok := strings.CutPrefix(line, oldMark)
		fields := strings.Fields(rest)
		if !ok || len(fields) != 3 || !validKeyVersion(fields[0]) {
			continue
		}
		public, err := decodeBase64(fields[1])
		expired, bad := strconv.ParseInt(fields[2], 10, 64)
		if err == nil && bad == nil && len(public) == ed25519.PublicKeySize {
			keys = append(keys, OldKey{KeyID: "ed25519:" + fields[0], Public: public, Expired: expired})
		}
	}
	return keys, nil
}

// RotateSigningKey gives a key file a new key and makes of those that signed so far old ones, whose private halves are
// forgotten. The file is replaced as a whole or not at all, and is on disk when this returns.
func RotateSigningKey(path string, server ServerName, nowMS int64) (SigningKey, error) {
	was, err := ReadSigningKeyFile(path, server)
	if err != nil {
		return SigningKey{}, err
	}
	old, err := ReadOldKeys(path)
	if err != nil {
		return SigningKey{}, err
	}
	for _, k := range was {
		old = append(old, OldKey{KeyID: k.KeyID, Public: k.Public(), Expired: nowMS})
	}
	key, err := freshKey(server, old)
	if err != nil {
		return SigningKey{}, err
	}
	text := FormatSigningKey(key)
	for _, k := range old {
		text += oldMark + strings.TrimPrefix(k.KeyID, "ed25519:") + " " + base64.RawStdEncoding.EncodeToString(k.Public) + " " +
			strconv.FormatInt(k.Expired, 10) + "\n"
	}
	if err := replaceKeyFile(path, text); err != nil {
		return SigningKey{}, fmt.Errorf("rotate signing key: %w", err)
	}
	return key, nil
}

// freshKey makes a key whose id none of the old ones has.
func freshKey(server ServerName, old []OldKey) (SigningKey, error) {
	for {
		key, err := GenerateSigningKey(server)
		taken := false
		for _, k := range old {
			taken = taken || k.KeyID == key.KeyID
		}
		if !taken || err != nil {
			return key, err
		}
	}
}

func replaceKeyFile(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".signing-key-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
