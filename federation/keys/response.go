package keys

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// response is what a server says of its keys. Spec: server-server-api/#get_matrixkeyv2server
type response struct {
	ServerName matrix.ServerName    `json:"server_name"`
	Verify     map[string]publicKey `json:"verify_keys"`
	Old        map[string]oldKey    `json:"old_verify_keys"`
	ValidUntil int64                `json:"valid_until_ts"`
}

type publicKey struct {
	Key string `json:"key"`
}

type oldKey struct {
	Key     string `json:"key"`
	Expired int64  `json:"expired_ts"`
}

// maxKeys bounds how many keys of one answer are taken.
const maxKeys = 64

// parse reads the keys out of a server's answer. A key in use counts only if it has signed the answer, and one at least must
// have. A key is valid for a week at most.
func parse(name matrix.ServerName, raw []byte, now time.Time) ([]storage.ServerKey, error) {
	// Why canonical first: then what is read is what the signature covers, equal keys in the text notwithstanding.
	object, err := matrix.CanonicalJSON(raw)
	if err != nil {
		return nil, err
	}
	var res response
	if err := matrix.Decode(object, &res); err != nil {
		return nil, fmt.Errorf("decode keys: %w", err)
	}
	if res.ServerName != name {
		return nil, fmt.Errorf("the keys are those of %q", res.ServerName)
	}
	if len(res.Verify)+len(res.Old) > maxKeys {
		return nil, fmt.Errorf("%d keys are too many", len(res.Verify)+len(res.Old))
	}
	until := min(res.ValidUntil, now.Add(maxValid).UnixMilli())
	var out []storage.ServerKey
	for id, k := range res.Verify {
		pub, ok := decodeKey(id, k.Key)
		if !ok || matrix.VerifyJSON(object, name, id, pub) != nil {
			continue
		}
		out = append(out, storage.ServerKey{Server: name, KeyID: id, Public: pub, ValidUntil: until})
	}
	if len(out) == 0 {
		return nil, errors.New("no key has signed the answer")
	}
	for id, k := range res.Old {
		pub, ok := decodeKey(id, k.Key)
		if _, inUse := res.Verify[id]; !ok || inUse || k.Expired <= 0 {
			continue
		}
		expired := min(k.Expired, now.UnixMilli())
		out = append(out, storage.ServerKey{Server: name, KeyID: id, Public: pub, ValidUntil: expired, Expired: expired})
	}
	return out, nil
}

// maxKeyID bounds the length of a key's id.
const maxKeyID = 255

// decodeKey reads an ed25519 key; keys of other kinds are passed over.
func decodeKey(id, text string) (ed25519.PublicKey, bool) {
	version, ok := strings.CutPrefix(id, "ed25519:")
	if !ok || version == "" || len(id) > maxKeyID || strings.ContainsFunc(version, notInVersion) {
		return nil, false
	}
	pub, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	return pub, err == nil && len(pub) == ed25519.PublicKeySize
}

func notInVersion(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
}
