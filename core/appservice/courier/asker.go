package courier

import (
	"context"
	"errors"

	"rempart/core"
	"rempart/core/appservice"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Asker asks the services for users and rooms that do not exist yet. It implements [core.Entities] and may be used
// concurrently. Spec: application-service-api/#querying
type Asker struct {
	DB       *storage.DB
	Services *appservice.Registry
	Gateway  core.Appservices
}

var _ core.Entities = Asker{}

// MakeUser lets the services whose namespace a user is in make him, unless he exists.
func (a Asker) MakeUser(ctx context.Context, user matrix.UserID) (bool, error) {
	of := a.Services.OfUser(user)
	if len(of) == 0 {
		return false, nil
	}
	if _, err := a.DB.FindUser(ctx, user); !errors.Is(err, storage.ErrNotFound) {
		return err == nil, err
	}
	for _, s := range of {
		if has, err := a.Gateway.HasUser(ctx, s.ID, user); err != nil || has {
			return has, err
		}
	}
	return false, nil
}

// MakeAlias lets the services whose namespace an alias is in make its room. A service that does not answer is a time-out for who
// asked.
func (a Asker) MakeAlias(ctx context.Context, alias matrix.RoomAlias) (bool, error) {
	for _, s := range a.Services.All() {
		if s.URL == "" || !s.OwnsAlias(alias) || alias.Server() != s.Sender.Server() {
			continue
		}
		has, err := a.Gateway.HasAlias(ctx, s.ID, alias)
		if err != nil {
			return false, matrix.NewError(408, matrix.CodeUnknown, "The service that knows this alias does not answer.").
				French("Le service qui connaît cet alias ne répond pas.").Wrap(err)
		}
		if has {
			return true, nil
		}
	}
	return false, nil
}
