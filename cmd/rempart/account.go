package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"rempart/config"
	"rempart/core/users"
)

// createAccount stores an account through the core's own rules, in the database that the server uses too.
func createAccount(ctx context.Context, cfg *config.Config, a newAccount) (err error) {
	g, err := openGround(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	accounts, err := users.New(ctx, g.users(cfg))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, accounts.Close()) }()
	if !accounts.Local(a.User.Server()) {
		return fmt.Errorf("%s is no server name of this installation", a.User.Server())
	}
	tenant, server := accounts.Tenant(string(a.User.Server()))
	_, err = accounts.Create(ctx, "rempart user create", users.NewAccount{
		Tenant: tenant, Server: server, Username: a.User.Localpart(), Password: a.Password, Admin: a.Admin,
	})
	return err
}
