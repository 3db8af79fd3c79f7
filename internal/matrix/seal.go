package matrix

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// errNoKey tells that a caller tried to sign with an empty key.
var errNoKey = errors.New("event signed without a signing key")

// blank is as long as an ed25519 signature in unpadded base64; its first 43 bytes as long as a SHA-256 hash.
const blank = "......................................................................................"

// seal fills in hash and signature and returns the reference hash.
func (w *writer) seal(v *RoomVersion, p *Proto, key SigningKey) [sha256.Size]byte {
	scratch := make([]byte, 0, len(w.b))
	scratch = append(scratch, w.b[:w.hashStart]...)
	scratch = append(scratch, w.b[w.hashEnd:w.sigStart]...)
	scratch = append(scratch, w.b[w.sigEnd:]...)
	content := sha256.Sum256(scratch)
	base64.RawStdEncoding.Encode(w.b[w.hashAt:w.hashAt+43], content[:])

	scratch = append(scratch[:0], w.b[:w.contentStart]...)
	scratch = appendRedactedContent(scratch, v.RedactionAlgorithm, p.Type, w.content())
	scratch = append(scratch, w.b[w.contentEnd:w.stickyStart]...)
	scratch = append(scratch, w.b[w.stickyEnd:w.redactsStart]...)
	scratch = append(scratch, w.b[w.redactsEnd:w.sigStart]...)
	scratch = append(scratch, w.b[w.sigEnd:]...)
	signature := ed25519.Sign(key.Private, scratch)
	base64.RawStdEncoding.Encode(w.b[w.sigAt:w.sigAt+86], signature)
	return sha256.Sum256(scratch)
}

// ReferenceHash covers what redaction leaves of the event. Spec: server-server-api/#calculating-the-reference-hash-for-an-event
func (e *Event) ReferenceHash() [sha256.Size]byte { return sha256.Sum256(e.signedBytes()) }

// signedBytes is the redacted event without signatures: what servers sign.
func (e *Event) signedBytes() []byte {
	return appendRedacted(make([]byte, 0, len(e.JSON)), e.JSON, e.Version.RedactionAlgorithm, e.Type, false)
}
