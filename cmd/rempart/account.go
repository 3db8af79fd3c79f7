package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"rempart/config"
	"rempart/core/users"
	"rempart/internal/metrics"
)

// operator begins the name by which the audit knows whoever runs a command on this machine; the command's own words follow.
const operator = "rempart"

// withAccounts opens the accounts of a configuration, in the database that the server uses too, and closes them after fn.
func withAccounts(ctx context.Context, cfg *config.Config, fn func(*users.Service) error) (err error) {
	g, err := openGround(ctx, cfg, slog.New(slog.DiscardHandler), metrics.New())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	accounts, err := users.New(ctx, g.users(cfg))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, accounts.Close()) }()
	return fn(accounts)
}

// createAccount stores an account through the core's own rules.
func createAccount(ctx context.Context, cfg *config.Config, a newAccount) error {
	return withAccounts(ctx, cfg, func(accounts *users.Service) error {
		if !accounts.Local(a.User.Server()) {
			return fmt.Errorf("%s is no server name of this installation", a.User.Server())
		}
		tenant, server := accounts.Tenant(string(a.User.Server()))
		_, err := accounts.Create(ctx, operator+" user create", users.NewAccount{
			Tenant: tenant, Server: server, Username: a.User.Localpart(), Password: a.Password, Admin: a.Admin,
		})
		return err
	})
}
