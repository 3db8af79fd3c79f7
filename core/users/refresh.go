package users

import (
	"context"
	"errors"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// accessLife is how long an access token lives that can be refreshed, in milliseconds.
const accessLife = 5 * 60_000

// giveTokens makes the tokens of a new session: its row takes the hashes, whoever logs in the tokens.
func (s *Service) giveTokens(row *storage.SessionRow, out *Session, refreshable bool) {
	var hash tokenHash
	out.Token, hash = newToken("rmp_")
	row.TokenHash = hash[:]
	if !refreshable {
		return
	}
	var refresh tokenHash
	out.RefreshToken, refresh = newToken("rmr_")
	out.ExpiresIn, row.RefreshHash, row.Expires = accessLife, refresh[:], s.nowMS()+accessLife
}

// Refresh opens a session that takes the place of the one whose refresh token is shown. The old one ends when the new
// one is first used, so that an answer that got lost can be asked for again.
// Spec: client-server-api/#refreshing-access-tokens
func (s *Service) Refresh(ctx context.Context, refreshToken string) (*Session, error) {
	hash := hashToken(refreshToken)
	old, err := s.db.FindLoginByRefresh(ctx, hash[:])
	if errors.Is(err, storage.ErrNotFound) {
		return nil, s.replayed(ctx, hash)
	}
	if err != nil {
		return nil, err
	}
	if old.Flags&(storage.UserLocked|storage.UserExpired) != 0 {
		return nil, matrix.UserLocked()
	}
	if err := s.settle(ctx, old); err != nil {
		return nil, err
	}
	nid, err := s.db.NewID(ctx, storage.SessionNIDs)
	if err != nil {
		return nil, err
	}
	out := &Session{UserID: old.UserID, DeviceID: old.DeviceID}
	row := &storage.SessionRow{Session: storage.Session{
		NID: nid, User: old.User, Device: old.Device, Tenant: old.Tenant, Parent: old.NID, Scopes: old.Scopes,
		ClientID: old.ClientID, Created: s.nowMS(),
	}}
	s.giveTokens(row, out, true)
	c := &storage.Change{}
	c.Guard(storage.SessionStill(old.NID).OrElse(matrix.UnknownToken(false)))
	c.Guard(storage.DeleteSuccessors(old.NID, 0)...) // of several answers to one refresh token the last one counts
	c.Add(row)
	c.Live(storage.Live{Kind: storage.KindSession, User: old.User})
	return out, s.db.Commit(ctx, c)
}

// settle ends the session that a session was refreshed from, at the new one's first use.
func (s *Service) settle(ctx context.Context, used storage.Login) error {
	if used.Parent == 0 {
		return nil
	}
	c := &storage.Change{}
	c.Guard(storage.SessionStill(used.NID).OrElse(matrix.UnknownToken(false)), storage.SettleSession(used.NID))
	c.Guard(storage.DeleteSuccessors(used.Parent, used.NID)...)
	c.Guard(storage.SpendRefresh(used.Parent, s.nowMS()))
	c.Guard(storage.DeleteDetached(used.Parent)...)
	c.Live(storage.Live{Kind: storage.KindSession, User: used.User})
	return s.db.Commit(ctx, c)
}

// spentKept is how long a refresh token that has served is remembered.
const spentKept = 90 * 24 * time.Hour

// replayed answers a refresh token that opens no session. One that has served already was copied, by whoever shows it
// now or by whoever used it: nobody can tell, so all sessions of its device end, and the owner logs in once more.
func (s *Service) replayed(ctx context.Context, hash tokenHash) error {
	user, device, err := s.db.FindSpentRefresh(ctx, hash[:])
	if errors.Is(err, storage.ErrNotFound) {
		return matrix.UnknownToken(false)
	}
	if err != nil {
		return err
	}
	c := &storage.Change{}
	c.Guard(storage.EndDeviceSessions(user, device)...)
	c.Live(storage.Live{Kind: storage.KindSession, User: user})
	if err := s.db.Commit(ctx, c); err != nil {
		return err
	}
	s.log.Warn("a refresh token was used twice: its device's sessions have ended", "user_nid", user)
	return matrix.UnknownToken(true)
}
