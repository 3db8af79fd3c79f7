package devices

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// The usages of cross-signing keys.
const (
	usageMaster = "master"
	usageSelf   = "self_signing"
	usageUser   = "user_signing"
)

// CrossSigning holds the cross-signing keys that a user publishes.
// Spec: client-server-api/#post_matrixclientv3keysdevice_signingupload
type CrossSigning struct {
	Master      json.RawMessage `json:"master_key"`
	SelfSigning json.RawMessage `json:"self_signing_key"`
	UserSigning json.RawMessage `json:"user_signing_key"`
}

// crossKey is the form of a cross-signing key.
type crossKey struct {
	User  matrix.UserID     `json:"user_id"`
	Usage []string          `json:"usage"`
	Keys  map[string]string `json:"keys"`
}

// ownKeys are the cross-signing keys that a user has, by usage.
type ownKeys map[string]storage.CrossSigningKey

func (s *Service) ownKeys(ctx context.Context, user int64) (ownKeys, error) {
	list, err := s.db.ListCrossSigning(ctx, []int64{user})
	keys := ownKeys{}
	for _, k := range list {
		keys[k.Usage] = k
	}
	return keys, err
}

// CrossSigningPlan is a checked upload, ready to be stored.
type CrossSigningPlan struct {
	user matrix.Caller
	keys []storage.CrossSigningKey
	// NeedsAuth says that keys would be replaced, so that the user must authenticate himself anew.
	NeedsAuth bool
	reset     bool // a new master key takes the place of another
}

// PlanCrossSigning checks an upload: forms, owners and signatures. The first upload and one without new keys need no
// further authentication.
func (s *Service) PlanCrossSigning(ctx context.Context, c matrix.Caller, up CrossSigning) (*CrossSigningPlan, error) {
	have, err := s.ownKeys(ctx, c.UserNID)
	if err != nil {
		return nil, err
	}
	plan := &CrossSigningPlan{user: c}
	old, hadMaster := have[usageMaster]
	master := old
	for _, part := range []struct {
		usage string
		raw   json.RawMessage
	}{{usageMaster, up.Master}, {usageSelf, up.SelfSigning}, {usageUser, up.UserSigning}} {
		if len(part.raw) == 0 || string(part.raw) == "null" {
			continue
		}
		key, err := s.crossKey(ctx, c, part.usage, part.raw)
		if err != nil {
			return nil, err
		}
		if part.usage == usageMaster {
			master = key
		} else if err := signedByMaster(c, key, master); err != nil {
			return nil, err
		}
		if was, ok := have[part.usage]; ok && sameKey(was.Body, key.Body) {
			continue
		}
		plan.keys = append(plan.keys, key)
	}
	plan.NeedsAuth = hadMaster && len(plan.keys) > 0
	plan.reset = hadMaster && master.KeyID != old.KeyID
	return plan, nil
}

// crossKey checks one key: one ed25519 key, of the caller, for that usage, under no name that a device of his has.
func (s *Service) crossKey(ctx context.Context, c matrix.Caller, usage string, raw json.RawMessage) (storage.CrossSigningKey, error) {
	var k crossKey
	if err := matrix.Decode(raw, &k); err != nil {
		return storage.CrossSigningKey{}, matrix.BadJSON("The " + usage + " key has the wrong form.")
	}
	if k.User != c.User || !slices.Contains(k.Usage, usage) || len(k.Keys) != 1 {
		return storage.CrossSigningKey{}, matrix.InvalidParam("The " + usage + " key must be yours, for that usage, and hold one key.")
	}
	out := storage.CrossSigningKey{User: c.UserNID, Usage: usage}
	for id, pub := range k.Keys {
		name, ok := strings.CutPrefix(id, "ed25519:")
		if _, err := publicKey(pub); err != nil || !ok || name != pub {
			return out, matrix.InvalidParam("The " + usage + " key must be an ed25519 key named after itself.")
		}
		out.KeyID = pub
	}
	_, err := s.db.FindDeviceNID(ctx, c.UserNID, matrix.DeviceID(out.KeyID))
	if err == nil {
		return out, matrix.Forbidden("A device of yours bears the name of this key.")
	}
	if !errors.Is(err, storage.ErrNotFound) {
		return out, err
	}
	out.Body, err = identityBody(raw)
	return out, err
}

// signedByMaster checks that a key is signed by the master key that goes with it.
func signedByMaster(c matrix.Caller, key, master storage.CrossSigningKey) error {
	if master.KeyID == "" {
		return matrix.MissingParam("There is no master key to go with the " + key.Usage + " key.")
	}
	if verify(key.Body, c.User, "ed25519:"+master.KeyID, master.KeyID) != nil {
		return matrix.InvalidSignature("The " + key.Usage + " key is not signed by the master key.")
	}
	return nil
}

// StoreCrossSigning stores a checked upload; the entrance has seen to NeedsAuth.
func (s *Service) StoreCrossSigning(ctx context.Context, plan *CrossSigningPlan) error {
	if len(plan.keys) == 0 {
		return nil
	}
	change := &storage.Change{}
	if plan.reset { // what the old master key vouched for is worth nothing now
		change.Guard(storage.DeleteCrossSigning(plan.user.UserNID)...)
	}
	for _, k := range plan.keys {
		change.Add(&storage.CrossSigningRow{CrossSigningKey: k})
	}
	listChanged(change, plan.user.UserNID)
	return s.db.Commit(ctx, change)
}

// publicKey decodes an ed25519 key as protocols write it.
func publicKey(text string) (ed25519.PublicKey, error) {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, errors.New("not an ed25519 key")
	}
	return b, nil
}

// verify checks a user's signature of a JSON object by the key of that id.
func verify(body []byte, signer matrix.UserID, keyID, pub string) error {
	key, err := publicKey(pub)
	if err != nil {
		return err
	}
	return matrix.VerifyJSON(body, matrix.ServerName(signer), keyID, key)
}

// sameKey reports whether two canonical keys are the same but for signatures and what servers add.
func sameKey(a, b []byte) bool {
	x, errA := bare(a)
	y, errB := bare(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// bare is a key in canonical form without signatures and unsigned.
func bare(body []byte) ([]byte, error) {
	var key map[string]json.RawMessage
	if err := matrix.Decode(body, &key); err != nil {
		return nil, err
	}
	delete(key, "signatures")
	delete(key, "unsigned")
	text, err := json.Marshal(key)
	if err != nil {
		return nil, err
	}
	return matrix.CanonicalJSON(text)
}
