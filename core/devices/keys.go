package devices

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

const (
	// maxKeys bounds the one-time keys that a device may keep here.
	maxKeys = 2000
	// maxKeyBytes bounds one key, maxKeyName its name.
	maxKeyBytes = 8 << 10
	maxKeyName  = 255
	// claimedLife is how long a key that was handed out is remembered, so that a repeated upload does not bring it back.
	claimedLife = 30 * 24 * time.Hour
)

// Upload is what a device publishes. Spec: client-server-api/#post_matrixclientv3keysupload
type Upload struct {
	DeviceKeys   json.RawMessage            `json:"device_keys"`
	OneTimeKeys  map[string]json.RawMessage `json:"one_time_keys"`
	FallbackKeys map[string]json.RawMessage `json:"fallback_keys"`
	// UnstableFallback is what FallbackKeys was called before it was specified (MSC2732).
	UnstableFallback map[string]json.RawMessage `json:"org.matrix.msc2732.fallback_keys"`
}

// identity is what must be right about device keys; the rest is the clients' business.
type identity struct {
	User       matrix.UserID     `json:"user_id"`
	Device     matrix.DeviceID   `json:"device_id"`
	Algorithms []string          `json:"algorithms"`
	Keys       map[string]string `json:"keys"`
	Signatures json.RawMessage   `json:"signatures"`
}

// UploadKeys stores what the caller's device publishes and answers how many one-time keys can still be claimed, by
// algorithm. A key that is there already may come again; another one under its name is refused.
func (s *Service) UploadKeys(ctx context.Context, c matrix.Caller, up Upload) (map[string]int64, error) {
	if err := needDevice(c); err != nil {
		return nil, err
	}
	lock := &s.uploads[uint64(c.DeviceNID)%uint64(len(s.uploads))]
	lock.Lock()
	defer lock.Unlock()
	change := &storage.Change{}
	if err := s.addIdentity(ctx, change, c, up.DeviceKeys); err != nil {
		return nil, err
	}
	fallback := up.FallbackKeys
	if fallback == nil {
		fallback = up.UnstableFallback
	}
	before := len(change.Rows)
	if err := s.addOneTimeKeys(ctx, change, c, up.OneTimeKeys); err != nil {
		return nil, err
	}
	if err := addFallbackKeys(change, c, fallback); err != nil {
		return nil, err
	}
	if len(change.Rows) > before {
		change.Live(storage.Live{Kind: storage.KindKeyCount, User: c.UserNID})
		change.Guard(storage.PruneClaimedKeys(c.DeviceNID, s.now().Add(-claimedLife).UnixMilli()))
	}
	if len(change.Rows) > 0 {
		if err := s.db.Commit(ctx, change); err != nil {
			return nil, err
		}
	}
	return s.KeyCounts(ctx, c.DeviceNID)
}

// KeyCounts counts the one-time keys of a device that can still be claimed.
// Why signed_curve25519 even at 0: clients take a missing count for "unknown" and upload nothing.
func (s *Service) KeyCounts(ctx context.Context, device int64) (map[string]int64, error) {
	counts, err := s.db.CountOneTimeKeys(ctx, device)
	if err != nil {
		return nil, err
	}
	if _, ok := counts["signed_curve25519"]; !ok {
		counts["signed_curve25519"] = 0
	}
	return counts, nil
}

// addIdentity adds a device's identity keys to the Change if they are new.
func (s *Service) addIdentity(ctx context.Context, change *storage.Change, c matrix.Caller, raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	body, err := parseIdentity(c, raw)
	if err != nil {
		return err
	}
	was, err := s.db.FindDeviceKeys(ctx, c.UserNID, c.Device)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if bytes.Equal(was, body) {
		return nil
	}
	change.Add(&storage.DeviceKeysRow{User: c.UserNID, Device: c.Device, Body: body})
	listChanged(change, c.UserNID)
	return nil
}

// parseIdentity is what is stored of the identity keys that a device publishes.
func parseIdentity(c matrix.Caller, raw json.RawMessage) ([]byte, error) {
	var id identity
	if err := matrix.Decode(raw, &id); err != nil {
		return nil, matrix.BadJSON("The device_keys have the wrong form.")
	}
	switch {
	case id.User != c.User || id.Device != c.Device:
		return nil, matrix.InvalidParam("The device_keys name another user or device than the one whose token this is.")
	case id.Algorithms == nil || id.Keys == nil:
		return nil, matrix.BadJSON("The device_keys lack \"algorithms\" or \"keys\".")
	}
	return identityBody(raw)
}

// identityBody is an identity or cross-signing key as it is stored: canonical, without "unsigned", which is for servers
// to write.
func identityBody(raw json.RawMessage) ([]byte, error) {
	var key map[string]json.RawMessage
	if err := matrix.Decode(raw, &key); err != nil {
		return nil, matrix.BadJSON("A key must be an object.")
	}
	if _, ok := key["unsigned"]; !ok {
		return keyBody(raw)
	}
	delete(key, "unsigned")
	text, err := json.Marshal(key)
	if err != nil {
		return nil, matrix.BadJSON("A key is not JSON that can be signed.")
	}
	return keyBody(text)
}

// keyBody is a key in canonical form, which is how keys are stored and compared.
func keyBody(raw json.RawMessage) ([]byte, error) {
	body, err := matrix.CanonicalJSON(raw)
	if err != nil {
		return nil, matrix.BadJSON("A key is not JSON that can be signed.")
	}
	if len(body) > maxKeyBytes {
		return nil, matrix.InvalidParam("A key may have at most 8 KiB.")
	}
	return body, nil
}

// addOneTimeKeys adds the keys that are not there yet.
func (s *Service) addOneTimeKeys(ctx context.Context, change *storage.Change, c matrix.Caller, keys map[string]json.RawMessage) error {
	if len(keys) == 0 {
		return nil
	}
	if len(keys) > maxKeys {
		return errTooManyKeys()
	}
	list, err := s.db.ListOneTimeKeys(ctx, c.DeviceNID)
	if err != nil {
		return err
	}
	known := make(map[storage.KeyID]storage.OneTimeKey, len(list))
	left := 0
	for _, k := range list {
		known[k.KeyID] = k
		if !k.Claimed {
			left++
		}
	}
	seq, err := s.db.NewIDs(ctx, storage.OtherNIDs, int64(len(keys)))
	if err != nil {
		return err
	}
	for name, raw := range keys {
		key, err := parseKey(c.DeviceNID, name, raw)
		if err != nil {
			return err
		}
		was, ok := known[key.KeyID]
		if ok && bytes.Equal(was.Body, key.Body) {
			continue // there already, or handed out: it must not come back
		}
		if ok && !was.Claimed {
			return matrix.InvalidParam("There is another one-time key " + name + " already: give the new one another id.")
		}
		change.Add(&storage.OneTimeKeyRow{OneTimeKey: key, Seq: seq})
		seq++
		left++
	}
	if left > maxKeys {
		return errTooManyKeys()
	}
	return nil
}

func errTooManyKeys() error {
	return matrix.InvalidParam("A device may keep at most 2000 one-time keys here.")
}

func addFallbackKeys(change *storage.Change, c matrix.Caller, keys map[string]json.RawMessage) error {
	for name, raw := range keys {
		key, err := parseKey(c.DeviceNID, name, raw)
		if err != nil {
			return err
		}
		change.Add(&storage.FallbackKeyRow{OneTimeKey: key})
	}
	return nil
}

// parseKey reads a one-time or fallback key: "algorithm:id" and a string or object.
// Spec: client-server-api/#one-time-and-fallback-keys
func parseKey(device int64, name string, raw json.RawMessage) (storage.OneTimeKey, error) {
	algorithm, id, ok := strings.Cut(name, ":")
	if !ok || algorithm == "" || id == "" || len(name) > maxKeyName {
		return storage.OneTimeKey{}, matrix.InvalidParam("The name of a one-time key must look like algorithm:id.")
	}
	if len(raw) == 0 || raw[0] != '"' && raw[0] != '{' {
		return storage.OneTimeKey{}, matrix.BadJSON("A one-time key must be a string or an object.")
	}
	body, err := keyBody(raw)
	return storage.OneTimeKey{KeyID: storage.KeyID{Device: device, Algorithm: algorithm, ID: id}, Body: body}, err
}
