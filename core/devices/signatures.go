package devices

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Signatures are signed keys by owner and key: a device id or the public part of a cross-signing key.
type Signatures map[matrix.UserID]map[string]json.RawMessage

// signatures is an upload under way.
type signatures struct {
	*Service
	caller  matrix.Caller
	own     ownKeys
	change  *storage.Change
	touched map[int64]bool
}

// UploadSignatures adds signatures to keys that are stored here: on one's own devices by the self-signing key, on one's
// own master key by a device, on others' master keys by the user-signing key. What fails is answered per key.
// Spec: client-server-api/#post_matrixclientv3keyssignaturesupload
func (s *Service) UploadSignatures(ctx context.Context, c matrix.Caller, in Signatures) (map[matrix.UserID]map[string]Failure, error) {
	own, err := s.ownKeys(ctx, c.UserNID)
	if err != nil {
		return nil, err
	}
	up := &signatures{Service: s, caller: c, own: own, change: &storage.Change{}, touched: map[int64]bool{}}
	failures := map[matrix.UserID]map[string]Failure{}
	for user, keys := range in {
		for target, body := range keys {
			err := up.add(ctx, user, target, body)
			var refused *matrix.Error
			if err != nil && !errors.As(err, &refused) {
				return nil, err
			}
			if refused != nil {
				if failures[user] == nil {
					failures[user] = map[string]Failure{}
				}
				failures[user][target] = Failure{refused.Code, refused.Message}
			}
		}
	}
	if len(up.change.Rows) == 0 {
		return failures, nil
	}
	for user := range up.touched {
		listChanged(up.change, user)
	}
	return failures, s.db.Commit(ctx, up.change)
}

// add checks the caller's signatures on one key and adds them to the Change.
func (up *signatures) add(ctx context.Context, owner matrix.UserID, target string, body json.RawMessage) error {
	nid, err := up.db.FindUserNID(ctx, owner)
	if errors.Is(err, storage.ErrNotFound) {
		return errNoKey()
	}
	if err != nil {
		return err
	}
	stored, isDevice, err := up.stored(ctx, nid, target)
	if err != nil {
		return err
	}
	if !sameKey(stored, body) {
		return matrix.InvalidParam("The signed key is another one than the key stored here.")
	}
	var signed struct {
		Signatures map[matrix.UserID]map[string]string `json:"signatures"`
	}
	if err := matrix.Decode(body, &signed); err != nil {
		return matrix.BadJSON("The signatures have the wrong form.")
	}
	for keyID, sig := range signed.Signatures[up.caller.User] {
		pub, err := up.signer(ctx, owner, isDevice, keyID)
		if err != nil {
			return err
		}
		if verify(body, up.caller.User, keyID, pub) != nil {
			return matrix.InvalidSignature("The signature by " + keyID + " is wrong.")
		}
		up.change.Add(&storage.KeySignatureRow{KeySignature: storage.KeySignature{
			User: nid, Target: target, Signer: up.caller.UserNID, KeyID: keyID, Signature: sig,
		}})
		// Why the owner: his key has got another signature; on a stranger's key only the signer sees it, but all of the
		// signer's devices must ask for it anew. One that asked during the upload would never know that he verified.
		up.touched[nid] = true
	}
	return nil
}

func errNoKey() error { return matrix.NotFound("There is no such key here.") }

// stored finds a key by its name: a device's, or a cross-signing key.
func (up *signatures) stored(ctx context.Context, owner int64, target string) (body []byte, isDevice bool, err error) {
	body, err = up.db.FindDeviceKeys(ctx, owner, matrix.DeviceID(target))
	if !errors.Is(err, storage.ErrNotFound) {
		return body, true, err
	}
	keys, err := up.ownKeys(ctx, owner)
	if err != nil {
		return nil, false, err
	}
	if k, ok := keys[usageMaster]; ok && k.KeyID == target {
		return k.Body, false, nil
	}
	return nil, false, errNoKey()
}

// signer is the public key that may sign such a key under this id.
func (up *signatures) signer(ctx context.Context, owner matrix.UserID, isDevice bool, keyID string) (string, error) {
	usage := usageSelf
	switch {
	case owner != up.caller.User && isDevice:
		return "", matrix.Forbidden("You can sign only your own devices.")
	case owner != up.caller.User:
		usage = usageUser
	case !isDevice: // one's own master key, by a device
		name := strings.TrimPrefix(keyID, "ed25519:")
		body, err := up.db.FindDeviceKeys(ctx, up.caller.UserNID, matrix.DeviceID(name))
		if err != nil {
			return "", matrix.InvalidSignature("The key is not signed by a device of yours.")
		}
		var id identity
		if err := matrix.Decode(body, &id); err != nil {
			return "", err
		}
		return id.Keys[keyID], nil
	}
	key, ok := up.own[usage]
	if !ok || keyID != "ed25519:"+key.KeyID {
		return "", matrix.InvalidSignature("The key is not signed by your " + usage + " key.")
	}
	return key.KeyID, nil
}
