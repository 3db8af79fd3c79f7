package users

import (
	"context"
	"time"

	"rempart/internal/mail"
	"rempart/internal/matrix"
	"rempart/storage"
)

// expiryBatch bounds the accounts that one round looks at.
const expiryBatch = 500

// renewLife is how long a renewal link works, also after the account has ended.
const renewLife = 90 * 24 * time.Hour

// startsNow is the row that says when a new account ends; nil when accounts last for ever.
func (s *Service) startsNow(user int64) *storage.AccountEndRow {
	if s.people.ValidFor <= 0 {
		return nil
	}
	return &storage.AccountEndRow{User: user, Ends: s.now().Add(s.people.ValidFor).UnixMilli()}
}

// Expire tells owners of accounts that end soon, and shuts those that have ended.
func (s *Service) Expire(ctx context.Context) error {
	ending, err := s.db.ListEndingAccounts(ctx, s.now().Add(s.people.RemindBefore).UnixMilli(), expiryBatch)
	if err != nil {
		return err
	}
	for _, e := range ending {
		if err := s.remind(ctx, e); err != nil {
			return err
		}
	}
	ended, err := s.db.ListEndedAccounts(ctx, s.nowMS(), expiryBatch)
	if err != nil {
		return err
	}
	for _, e := range ended {
		c := &storage.Change{}
		c.Guard(storage.UpdateUserFlags(e.User, storage.UserExpired, 0))
		c.Live(storage.Live{Kind: storage.KindSession, User: e.User})
		if err := s.db.Commit(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// remind writes to the owner of an account that ends soon, once.
func (s *Service) remind(ctx context.Context, e storage.AccountEndRow) error {
	user, err := s.db.GetUser(ctx, e.User)
	if err != nil {
		return err
	}
	c := &storage.Change{}
	l, ok, err := s.letterTo(ctx, user, mail.Renew)
	if err != nil {
		return err
	}
	if ok {
		l.Until = e.Ends
		l.Link = s.link(user.ID.Server(), "renew", s.addToken(c, user.NID, tokenRenew, renewLife).Token)
		if err := s.addLetter(ctx, c, l); err != nil {
			return err
		}
	}
	e.Reminded = s.nowMS()
	c.Add(&e)
	if err := s.db.Commit(ctx, c); err != nil {
		return err
	}
	s.wakeLetters()
	return nil
}

// RenewByLink gives the account that a link is for another term.
func (s *Service) RenewByLink(ctx context.Context, token string) (matrix.UserID, time.Time, error) {
	user, err := s.personOf(ctx, token, tokenRenew)
	if err != nil {
		return "", time.Time{}, err
	}
	hash := hashToken(token)
	c := &storage.Change{}
	c.Guard(storage.UsePersonToken(hash[:], tokenRenew, s.nowMS()).OrElse(errLink()))
	until, err := s.renew(ctx, c, user, s.people.ValidFor)
	return user.ID, until, err
}

// endless is when an account ends that was made to last for ever. Why not a missing row: an upsert is what a Change can do.
const endless = 1 << 52

// Renew sets when an account ends, from now; 0 days: never. It is an administrator's act.
func (s *Service) Renew(ctx context.Context, operator string, id matrix.UserID, life time.Duration) (time.Time, error) {
	user, err := s.open(ctx, id)
	if err != nil {
		return time.Time{}, err
	}
	c := &storage.Change{}
	if err := s.audit(ctx, c, storage.Audit{Admin: operator, Act: "user.renew", Target: string(id), Tenant: user.Tenant}); err != nil {
		return time.Time{}, err
	}
	return s.renew(ctx, c, user, life)
}

func (s *Service) renew(ctx context.Context, c *storage.Change, user storage.User, life time.Duration) (time.Time, error) {
	until := s.now().Add(life)
	if life <= 0 {
		until = time.UnixMilli(endless)
	}
	c.Add(&storage.AccountEndRow{User: user.NID, Ends: until.UnixMilli()})
	c.Guard(storage.UpdateUserFlags(user.NID, 0, storage.UserExpired))
	c.Live(storage.Live{Kind: storage.KindSession, User: user.NID})
	return until, s.db.Commit(ctx, c)
}
