package users

import (
	"context"
	"runtime"
	"time"

	"rempart/internal/matrix"
)

// maxPassword bounds a password in bytes, since hashing reads all of it.
const maxPassword = 512

// waitersPerWorker bounds how many log-ins wait for a free worker before the server says 429.
const waitersPerWorker = 64

// hasher computes password hashes on as many processors as there are, no more: each takes tens of megabytes.
type hasher struct {
	cost    Argon2
	places  chan struct{} // those who work or wait
	workers chan struct{}
	decoy   phc
	pepper  string // of imported bcrypt hashes
}

func newHasher(cost Argon2, pepper string) *hasher {
	cost = cost.orDefault()
	n := runtime.GOMAXPROCS(0)
	h := &hasher{cost: cost, pepper: pepper, places: make(chan struct{}, n*(1+waitersPerWorker)), workers: make(chan struct{}, n)}
	h.decoy = phc{cost: cost, threads: 1, salt: make([]byte, saltLen), key: make([]byte, keyLen)}
	return h
}

// work runs fn when a processor is free; M_LIMIT_EXCEEDED when too many wait already.
func (h *hasher) work(ctx context.Context, fn func()) error {
	select {
	case h.places <- struct{}{}:
		defer func() { <-h.places }()
	default:
		return matrix.LimitExceeded(2 * time.Second)
	}
	select {
	case h.workers <- struct{}{}:
		defer func() { <-h.workers }()
	case <-ctx.Done():
		return ctx.Err()
	}
	fn()
	return nil
}

// hash makes the PHC string of a new password.
func (h *hasher) hash(ctx context.Context, password string) (text string, err error) {
	err = h.work(ctx, func() { text = h.cost.hash(password) })
	return text, err
}

// check compares a password with a stored hash; stale says that the hash should be made anew at today's cost. An account
// without a password ("") takes as long as any other.
func (h *hasher) check(ctx context.Context, stored, password string) (ok, stale bool, err error) {
	if isBcrypt(stored) {
		err = h.work(ctx, func() { ok = matchesBcrypt(stored, password, h.pepper) })
		return ok, true, err
	}
	p, parseErr := parsePHC(stored)
	if parseErr != nil {
		p = h.decoy
	}
	err = h.work(ctx, func() { ok = p.matches(password) })
	return ok && parseErr == nil, p.cost != h.cost, err
}

// checkNewPassword refuses passwords that cannot be used.
func checkNewPassword(password string) error {
	switch {
	case password == "":
		return matrix.MissingParam("A password is needed: send it as \"password\".").French("Il faut un mot de passe.")
	case len(password) > maxPassword:
		return matrix.InvalidParam("The password is too long: at most 512 bytes.").French("Le mot de passe est trop long.")
	}
	return nil
}
