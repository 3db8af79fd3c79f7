package calls

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"rempart/internal/matrix"
)

// DefaultSlot is the one slot of a room that clients use today.
const DefaultSlot = "m.call#ROOM"

// Alias is the name by which the media server knows a room's slot. It does not tell which room it is. MSC4195
func Alias(room matrix.RoomID, slot string) string { return digest(string(room), slot) }

// Identity is the name by which the media server and the other participants know somebody in a call. MSC4195
func Identity(user matrix.UserID, device matrix.DeviceID, member string) string {
	return digest(string(user), string(device), member)
}

// MemberIdentity is [Identity] where the homeserver itself gives out the token. MSC4195
func MemberIdentity(user matrix.UserID, member string) string { return digest(string(user), member) }

// LegacyIdentity is what clients expect that ask by the older form: it is not hidden.
func LegacyIdentity(user matrix.UserID, device matrix.DeviceID) string {
	return string(user) + ":" + string(device)
}

// digest hashes a JSON array of texts, written without escapes for HTML, as unpadded base64.
func digest(parts ...string) string {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(parts) // texts always encode
	sum := sha256.Sum256(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
	return base64.RawStdEncoding.EncodeToString(sum[:])
}
