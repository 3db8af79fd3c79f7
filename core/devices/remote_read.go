package devices

import (
	"encoding/json"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// What other servers say of keys is read here: each piece for itself, so that one that is spoilt takes no other with it, and made
// canonical, so that what is kept, compared and shown is what signatures cover.

// remoteKey is the identity of a device of another server's user as it is kept and shown; false where it does not say that it belongs
// to that device, or is nothing that could be signed.
func remoteKey(raw json.RawMessage, user matrix.UserID, id matrix.DeviceID) ([]byte, bool) {
	body, err := identityBody(raw)
	var k identity
	if err != nil || matrix.Decode(body, &k) != nil || k.User != user || k.Device != id {
		return nil, false
	}
	return body, id != "" && len(id) <= maxKeyName
}

// remoteName is what another server says that a device is called; "" where it does not.
func remoteName(key json.RawMessage) string {
	var k struct {
		Unsigned struct {
			Name string `json:"device_display_name"`
		} `json:"unsigned"`
	}
	_ = matrix.Decode(key, &k) // a name of another type is none
	return k.Unsigned.Name
}

// remoteCross is a cross-signing key of another server's user as it is kept and shown; false where it is not his, for that use.
func remoteCross(raw json.RawMessage, user matrix.UserID, usage string) (key storage.CrossSigningKey, ok bool) {
	body, err := identityBody(raw)
	var k crossKey
	if err != nil || matrix.Decode(body, &k) != nil || k.User != user || len(k.Keys) != 1 || !slices.Contains(k.Usage, usage) {
		return key, false
	}
	for _, pub := range k.Keys {
		key = storage.CrossSigningKey{Usage: usage, KeyID: pub, Body: body}
	}
	return key, len(key.KeyID) <= maxKeyName
}

// toldList is the device list of a user of another server as that one tells it.
type toldList struct {
	UserID      matrix.UserID     `json:"user_id"`
	StreamID    int64             `json:"stream_id"`
	Devices     []json.RawMessage `json:"devices"`
	Master      json.RawMessage   `json:"master_key"`
	SelfSigning json.RawMessage   `json:"self_signing_key"`
}

// devices are those that can be read; of one that is told twice the last counts.
func (l *toldList) devices() map[matrix.DeviceID]ServedDevice {
	out := make(map[matrix.DeviceID]ServedDevice, len(l.Devices))
	for _, raw := range l.Devices {
		var d ServedDevice
		_ = matrix.Decode(raw, &d) // one that is spoilt has no keys, or another's
		out[d.ID] = d
	}
	return out
}
