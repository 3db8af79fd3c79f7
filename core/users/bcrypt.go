package users

import (
	"strings"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/text/unicode/norm"
)

// maxBcryptCost bounds the cost that an imported hash may ask for: each step doubles it.
const maxBcryptCost = 15

// bcryptInput is how many bytes of a password bcrypt looks at.
const bcryptInput = 72

// isBcrypt reports whether a stored hash is bcrypt's, as servers that people move from keep them.
func isBcrypt(stored string) bool {
	if !strings.HasPrefix(stored, "$2a$") && !strings.HasPrefix(stored, "$2b$") && !strings.HasPrefix(stored, "$2y$") {
		return false
	}
	cost, err := bcrypt.Cost([]byte(stored))
	return err == nil && cost <= maxBcryptCost
}

// matchesBcrypt compares a password with an imported hash. The server it came from brought the password to its
// compatible normal form and appended a pepper of its own.
func matchesBcrypt(stored, password, pepper string) bool {
	input := []byte(norm.NFKC.String(password) + pepper)
	return bcrypt.CompareHashAndPassword([]byte(stored), input[:min(len(input), bcryptInput)]) == nil
}
