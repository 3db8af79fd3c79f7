package main

import (
	"errors"

	"rempart/config"
	"rempart/storage"
)

// statusMisconfigured is the exit status for what a person has to mend before another attempt has any sense; docs/operate/rempart.service
// names it. Spec: sysexits.h, EX_CONFIG.
const statusMisconfigured = 78

// misconfigured marks an error that no restart mends.
func misconfigured(err error) error { return mistake{err} }

// mistake is an error of whoever runs the server.
type mistake struct{ error }

// Unwrap gives the mistake itself.
func (m mistake) Unwrap() error { return m.error }

// statusOf is the exit status of a command that failed.
func statusOf(err error) int {
	var found config.Mistakes
	var m mistake
	switch {
	case errors.As(err, &found), errors.As(err, &m), errors.Is(err, storage.ErrNewerSchema), errors.Is(err, storage.ErrDamaged), errors.Is(err, storage.ErrUnsafe):
		return statusMisconfigured
	}
	return 1
}
