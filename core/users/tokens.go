package users

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// tokenHash is what is stored of a token.
type tokenHash = [sha256.Size]byte

// newToken makes a secret of 256 bits and its hash. The prefix lets scanners of leaked secrets recognise it.
func newToken(prefix string) (string, tokenHash) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails, as crypto/rand promises
	token := prefix + base64.RawURLEncoding.EncodeToString(b)
	return token, hashToken(token)
}

func hashToken(token string) tokenHash { return sha256.Sum256([]byte(token)) }

// randomText is n characters of an alphabet whose size divides 256 or comes close; it names things, it is no secret.
func randomText(alphabet string, n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

func newDeviceID() string { return randomText("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 10) }

func newLocalpart() string { return randomText("abcdefghijklmnopqrstuvwxyz234567", 12) }

func newUIASession() string { return randomText("abcdefghijklmnopqrstuvwxyz234567", 26) }
