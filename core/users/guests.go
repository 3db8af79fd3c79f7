package users

import (
	"context"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// RegisterGuest makes an account without a password, with the few rights of a guest, and a session of it.
// Spec: client-server-api/#post_matrixclientv3register
func (s *Service) RegisterGuest(ctx context.Context, deviceName, host string) (*Session, error) {
	if !s.people.Guests {
		return nil, matrix.Forbidden("This server has no guest accounts. Register an account of your own.").
			French("Ce serveur n'admet pas d'invités. Créez votre propre compte.")
	}
	tenant, server := s.Tenant(host)
	for {
		id := matrix.UserID("@guest-" + newLocalpart() + ":" + string(server))
		nid, err := s.db.UserNID(ctx, id)
		if err != nil {
			return nil, err
		}
		user := storage.User{NID: nid, Tenant: tenant, ID: id, Created: s.nowMS(), Flags: storage.UserGuest}
		c := &storage.Change{}
		c.Guard(storage.InsertUser(user))
		d := deviceRequest{name: deviceName}
		if err := d.check(); err != nil {
			return nil, err
		}
		out, err := s.openSession(ctx, c, user, d)
		if err != nil {
			return nil, err
		}
		if err := s.db.Commit(ctx, c); !errors.Is(err, storage.ErrGuard) {
			return out, err
		}
	}
}
