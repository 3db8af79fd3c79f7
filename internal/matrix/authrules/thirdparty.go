package authrules

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"

	"rempart/internal/matrix"
)

// checkThirdPartyInvite: an invite that redeems one made to an address. Spec: rooms/v11/#authorisation-rules, rule 4.4.1
func (c *check) checkThirdPartyInvite(target string, redeemed *matrix.ThirdPartyInvite) error {
	if redeemed.MXID == "" || redeemed.Token == "" || string(redeemed.MXID) != target {
		return forbid("the third-party invite is not signed for this user")
	}
	made := c.s.Event(matrix.StateTuple{Type: typeThirdPartyInvite, Key: redeemed.Token})
	if made == nil || made.Sender != c.e.Sender {
		return forbid("the room holds no such third-party invite of this sender")
	}
	content, err := made.ThirdPartyInviteContent()
	if err != nil || !signedByOne(redeemed.Signed, content.PublicKeys) {
		return forbid("no signature of the third-party invite fits a key of the room")
	}
	return nil
}

// signedByOne reports whether any ed25519 signature of an object fits any of the keys.
func signedByOne(signed json.RawMessage, keys []string) bool {
	var fields map[string]json.RawMessage
	var signatures map[matrix.ServerName]map[string]string
	if json.Unmarshal(signed, &fields) != nil || json.Unmarshal(fields["signatures"], &signatures) != nil {
		return false
	}
	for _, text := range keys {
		key, ok := decodeKey(text)
		if !ok {
			continue
		}
		for server, byKey := range signatures {
			for id := range byKey {
				if strings.HasPrefix(id, "ed25519:") && matrix.VerifyJSON(signed, server, id, key) == nil {
					return true
				}
			}
		}
	}
	return false
}

// decodeKey takes both alphabets of base64, padded or not, as identity servers write all of them.
func decodeKey(text string) (ed25519.PublicKey, bool) {
	text = strings.TrimRight(text, "=")
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	key, err := encoding.DecodeString(text)
	return key, err == nil && len(key) == ed25519.PublicKeySize
}
