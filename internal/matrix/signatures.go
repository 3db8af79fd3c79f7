package matrix

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// VerifySignature checks one signature of the event. Spec: server-server-api/#validating-hashes-and-signatures-on-received-events
func (e *Event) VerifySignature(server ServerName, keyID string, pub ed25519.PublicKey) error {
	claimed, ok := e.signatureBy(server, keyID)
	if !ok {
		return Forbidden("The event is not signed by " + string(server) + " with " + keyID + ".")
	}
	sig, err := decodeBase64(claimed)
	if err != nil || len(sig) != ed25519.SignatureSize || len(pub) != ed25519.PublicKeySize {
		return Forbidden("The event has a malformed signature of " + string(server) + ".")
	}
	if !ed25519.Verify(pub, e.signedBytes(), sig) {
		return Forbidden("The event has a wrong signature of " + string(server) + ".")
	}
	return nil
}

func (e *Event) signatureBy(server ServerName, keyID string) (string, bool) {
	return text(findText(findText(find(e.JSON, "signatures"), string(server)), keyID))
}

// findText is find for keys that may need escapes.
func findText(object []byte, key string) []byte {
	if !strings.ContainsFunc(key, func(r rune) bool { return r < 0x20 || r == '"' || r == '\\' }) {
		return find(object, key)
	}
	quoted := AppendJSONString(nil, key)
	return find(object, string(quoted[1:len(quoted)-1]))
}

// SignatureKeys lists who signed the event and with which keys, ed25519 ones only. Each list is in sorted order.
func (e *Event) SignatureKeys() map[ServerName][]string {
	all := map[ServerName][]string{}
	servers := membersOf(find(e.JSON, "signatures"))
	for name, keys, ok := servers.next(); ok; name, keys, ok = servers.next() {
		m := membersOf(keys)
		server := ServerName(appendUnescaped(nil, name))
		for id, _, ok := m.next(); ok; id, _, ok = m.next() {
			if keyID := string(appendUnescaped(nil, id)); strings.HasPrefix(keyID, "ed25519:") {
				all[server] = append(all[server], keyID)
			}
		}
	}
	return all
}

// RequiredSigners lists the servers whose signature the event needs: the sender's, in versions 1 and 2 the
// event id's, and for a restricted join that of the user who authorised it. An invite that stems from a third-party
// invite may come from another server than the sender's and needs none.
// Spec: server-server-api/#validating-hashes-and-signatures-on-received-events
func (e *Event) RequiredSigners() []ServerName {
	var servers []ServerName
	add := func(s ServerName) {
		if s != "" && !slices.Contains(servers, s) {
			servers = append(servers, s)
		}
	}
	member, _ := e.MembershipContent()
	isMember := e.Type == "m.room.member"
	if !(isMember && member.Membership == "invite" && member.ThirdPartyInvite != nil) {
		add(e.Sender.Server())
	}
	if e.Version.EventIDFormat == EventIDDomain {
		add(e.ID.Server())
	}
	if isMember && e.Version.RestrictedJoins && member.Membership == "join" {
		add(member.AuthorisedVia.Server())
	}
	return servers
}

// Sign returns the event with one more signature; a signature by the same server and key is replaced.
func (e *Event) Sign(key SigningKey) (*Event, error) {
	if len(key.Private) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("sign event %s: %w", e.ID, errNoKey)
	}
	sig := base64.RawStdEncoding.EncodeToString(ed25519.Sign(key.Private, e.signedBytes()))
	raw, err := putSignature(e.JSON, key, sig)
	if err != nil {
		return nil, fmt.Errorf("sign event %s: %w", e.ID, err)
	}
	return e.Version.ParseTrusted(e.ID, raw)
}
