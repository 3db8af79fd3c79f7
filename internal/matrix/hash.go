package matrix

import (
	"crypto/sha256"
	"encoding/binary"
)

// HashID is the 64-bit hash that is stored and indexed instead of an event id's text: the first 8 bytes of
// its SHA-256, big-endian. It is no secret, may collide, and must never change.
func HashID(id EventID) int64 { return Hash64(string(id)) }

// Hash64 is HashID for any other text.
func Hash64(s string) int64 {
	sum := sha256.Sum256([]byte(s))
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // the sign bit is as good as any other
}
