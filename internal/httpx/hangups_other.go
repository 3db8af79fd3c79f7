//go:build !linux

package httpx

import "errors"

// hangups are left to net/http on this system.
type hangups struct{}

func newHangups() (*hangups, error) { return &hangups{}, nil }

func (*hangups) watch(*clearConn) error { return errors.ErrUnsupported }
func (*hangups) forget(*clearConn)      {}
func (*hangups) close()                 {}
