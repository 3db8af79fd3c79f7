package matrix

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"

	"github.com/matrix-org/gomatrixserverlib"
)

// SigningKey is a server's private ed25519 key. KeyID is "ed25519:version".
type SigningKey struct {
	ServerName ServerName
	KeyID      string
	Private    ed25519.PrivateKey
}

// Public is the key's public half.
func (k SigningKey) Public() ed25519.PublicKey {
	pub, _ := k.Private.Public().(ed25519.PublicKey)
	return pub
}

// SignJSON adds a signature to any JSON object and returns it in canonical form; "signatures" and "unsigned" are
// not covered. Spec: appendices/#signing-json
func SignJSON(raw []byte, key SigningKey) ([]byte, error) {
	if len(key.Private) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("sign JSON: %w", errNoKey)
	}
	object, err := CanonicalJSON(raw)
	if err != nil {
		return nil, err
	}
	if !isObject(object) {
		return nil, BadJSON("Only a JSON object can be signed.")
	}
	covered := withoutKeys(make([]byte, 0, len(object)), object, "signatures", "unsigned")
	sig := base64.RawStdEncoding.EncodeToString(ed25519.Sign(key.Private, covered))
	return putSignature(object, key, sig)
}

// VerifyJSON checks one server's signature of a JSON object. Spec: appendices/#checking-for-a-signature
func VerifyJSON(raw []byte, server ServerName, keyID string, pub ed25519.PublicKey) error {
	object, err := CanonicalJSON(raw)
	if err != nil {
		return err
	}
	if len(pub) != ed25519.PublicKeySize {
		return InvalidSignature("The public key is malformed.")
	}
	err = gomatrixserverlib.VerifyJSON(string(server), gomatrixserverlib.KeyID(keyID), pub, object)
	if err != nil {
		return InvalidSignature("The signature of " + string(server) + " is missing or wrong.").Wrap(err)
	}
	return nil
}

// putSignature sets signatures.server.keyID in a canonical object and keeps it canonical.
func putSignature(object []byte, key SigningKey, sig string) ([]byte, error) {
	old := find(object, "signatures")
	if old != nil && !isObject(old) {
		return nil, BadJSON("\"signatures\" must be an object.")
	}
	server, keyID := AppendJSONString(nil, key.ServerName), AppendJSONString(nil, key.KeyID)
	inner := setMember(findText(old, string(key.ServerName)), keyID, AppendJSONString(nil, sig))
	return CanonicalJSON(setMember(object, []byte(`"signatures"`), setMember(old, server, inner)))
}

// setMember puts a quoted key with a value at the end of an object, in place of an old one; the order is left to
// the caller. Anything but an object is taken for an empty one.
func setMember(object, key, value []byte) []byte {
	dst := []byte{'{'}
	if isObject(object) {
		dst = withoutKeys(dst[:0], object, string(key[1:len(key)-1]))
		dst = dst[:len(dst)-1]
	}
	if len(dst) > 1 {
		dst = append(dst, ',')
	}
	dst = append(append(append(dst, key...), ':'), value...)
	return append(dst, '}')
}
