package users

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Threepids lists the caller's proven addresses. Spec: client-server-api/#get_matrixclientv3account3pid
func (s *Service) Threepids(ctx context.Context, c matrix.Caller) ([]storage.Threepid, error) {
	return s.db.ListThreepids(ctx, c.UserNID)
}

// AddThreepid gives a proven address to the caller, after he has shown his password.
// Spec: client-server-api/#post_matrixclientv3account3pidadd
func (s *Service) AddThreepid(ctx context.Context, c matrix.Caller, creds EmailCreds, auth json.RawMessage) error {
	if s.people.Mail == nil {
		return errNoMail()
	}
	if creds.SID == "" || creds.ClientSecret == "" {
		return matrix.MissingParam("The request needs \"sid\" and \"client_secret\".")
	}
	_, err := s.Interact(ctx, Interaction{Operation: "add address " + creds.SID, User: c, Flows: [][]string{{StagePassword}}, Auth: auth})
	if err != nil {
		return err
	}
	return s.bindProven(ctx, c, creds)
}

// BindProven is AddThreepid for clients that know the deprecated form only, which has no authentication of its own.
// Why the same password is asked for: an address is a way into the account.
func (s *Service) bindProven(ctx context.Context, c matrix.Caller, creds EmailCreds) error {
	p, refusal, err := s.proven(ctx, creds, ForAccount, c.Tenant)
	if err != nil {
		return err
	}
	if refusal != nil {
		return refusal
	}
	if p.User != c.UserNID {
		return matrix.NewError(http.StatusBadRequest, matrix.CodeNoValidSession, "There is no such proof of an address. Ask for a new letter.")
	}
	change := &storage.Change{}
	change.Guard(s.bind(p, c.UserNID)...)
	return s.db.Commit(ctx, change)
}

// bind gives a proven address to an account, once.
func (s *Service) bind(p storage.EmailProof, user int64) []storage.Guard {
	return []storage.Guard{
		storage.UseEmailProof(p.SID).OrElse(matrix.Forbidden("This proof of an address has been used already.")),
		storage.InsertThreepid(storage.Threepid{
			Tenant: p.Tenant, Medium: mediumEmail, Address: p.Address, User: user, Validated: p.Proven, Added: s.nowMS(),
		}).OrElse(errAddressInUse()),
	}
}

// DeleteThreepid takes an address from the caller. Spec: client-server-api/#post_matrixclientv3account3piddelete
func (s *Service) DeleteThreepid(ctx context.Context, c matrix.Caller, medium, address string) error {
	if medium == "" || address == "" {
		return matrix.MissingParam("The request needs \"medium\" and \"address\".")
	}
	change := &storage.Change{}
	change.Guard(storage.DeleteThreepid(c.UserNID, medium, strings.ToLower(address)))
	return s.db.Commit(ctx, change)
}

// byAddress is the user id that has a proven address on the tenant of a host; "" when nobody has it.
func (s *Service) byAddress(ctx context.Context, id Identifier, tenant int64) (matrix.UserID, error) {
	if id.Medium != mediumEmail {
		return "", nil
	}
	t, err := s.db.FindThreepid(ctx, tenant, mediumEmail, strings.ToLower(id.Address))
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	user, err := s.db.GetUser(ctx, t.User)
	return user.ID, err
}
