package users

import (
	"context"
	"errors"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// maxDirectory bounds the results of a search for users.
const maxDirectory = 50

// Search finds people by name or id: in rooms that the caller is in, in published rooms and, by setting, in his own
// tenant. limited says that there are more. Spec: client-server-api/#post_matrixclientv3user_directorysearch
func (s *Service) Search(ctx context.Context, c matrix.Caller, term string, limit int) (found []storage.Person, limited bool, err error) {
	if limit <= 0 || limit > maxDirectory {
		limit = maxDirectory
	}
	tenant := int64(-1) // nobody's
	if s.people.FindAll {
		tenant = c.Tenant
	}
	found, err = s.db.SearchPeople(ctx, c.UserNID, tenant, term, limit+1)
	if err != nil || len(found) <= limit {
		return found, false, err
	}
	return found[:limit], true, nil
}

// GetUser reads a local account; M_NOT_FOUND when there is none.
func (s *Service) GetUser(ctx context.Context, id matrix.UserID) (storage.User, error) {
	user, err := s.db.FindUser(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return user, matrix.NotFound("There is no such user here.")
	}
	return user, err
}

// ignoreGuard turns a guard that did not hold into success: somebody else has done it.
func ignoreGuard(err error) error {
	if errors.Is(err, storage.ErrGuard) {
		return nil
	}
	return err
}

// escapeLike makes a text match itself in a LIKE pattern with the escape \.
func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(s))
}
