package users

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Argon2 is the cost of hashing a password. Zero fields take the defaults: 2 passes over 19 MiB.
type Argon2 struct {
	Time      uint32
	MemoryKiB uint32
}

const (
	saltLen = 16
	keyLen  = 32
	// Bounds on the cost that a stored hash may ask for, lest an imported one stalls the server.
	maxTime      = 64
	maxMemoryKiB = 1 << 20
	maxThreads   = 16
)

func (a Argon2) orDefault() Argon2 {
	if a.Time == 0 {
		a.Time = 2
	}
	if a.MemoryKiB == 0 {
		a.MemoryKiB = 19456
	}
	return a
}

// hash makes a PHC string: $argon2id$v=19$m=…,t=…,p=1$salt$key.
func (a Argon2) hash(password string) string {
	salt := make([]byte, saltLen)
	_, _ = rand.Read(salt) // never fails, as crypto/rand promises
	key := argon2.IDKey([]byte(password), salt, a.Time, a.MemoryKiB, 1, keyLen)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, a.MemoryKiB, a.Time,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}

// phc is a stored hash, taken apart.
type phc struct {
	cost      Argon2
	threads   uint8
	salt, key []byte
}

var errPHC = errors.New("not an argon2id hash that this server can check")

func parsePHC(text string) (phc, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, errPHC
	}
	var p phc
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.cost.MemoryKiB, &p.cost.Time, &p.threads); err != nil || n != 3 {
		return phc{}, errPHC
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return phc{}, errPHC
	}
	if p.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil {
		return phc{}, errPHC
	}
	if p.cost.Time < 1 || p.cost.Time > maxTime || p.cost.MemoryKiB < 8 || p.cost.MemoryKiB > maxMemoryKiB ||
		p.threads < 1 || p.threads > maxThreads || len(p.key) < 16 || len(p.key) > 64 {
		return phc{}, errPHC
	}
	return p, nil
}

// matches compares a password in constant time.
func (p phc) matches(password string) bool {
	key := argon2.IDKey([]byte(password), p.salt, p.cost.Time, p.cost.MemoryKiB, p.threads, uint32(len(p.key)))
	return subtle.ConstantTimeCompare(key, p.key) == 1
}
