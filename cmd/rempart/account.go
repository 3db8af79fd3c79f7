package main

import (
	"context"
	"errors"

	"rempart/config"
)

// createAccount stores an account through the core's own rules.
func createAccount(context.Context, *config.Config, newAccount) error {
	return errors.New("this build has no account store yet")
}
