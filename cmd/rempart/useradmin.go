package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"rempart/config"
	"rempart/core/users"
	"rempart/internal/matrix"
)

// onAccount reads the name of an account and opens the accounts for what is to be done with it.
func onAccount(ctx context.Context, f *flag.FlagSet, args []string, fn func(*config.Config, *users.Service, matrix.UserID) error) error {
	cfg, words, err := configured(f, args, 1)
	if err != nil {
		return err
	}
	id, err := accountName(words[0], cfg.Server.Name)
	if err != nil {
		return err
	}
	return withAccounts(ctx, cfg, func(s *users.Service) error { return fn(cfg, s, id) })
}

// listStep is how many accounts are read at once.
const listStep = 500

// userList prints one account a line.
func userList(ctx context.Context, args []string, c console) error {
	f := flags("user list")
	like := f.String("like", "", "only names that hold this text")
	cfg, _, err := configured(f, args, 0)
	if err != nil {
		return err
	}
	return withAccounts(ctx, cfg, func(s *users.Service) error {
		var after matrix.UserID
		for {
			list, err := s.List(ctx, after, *like, listStep)
			if err != nil {
				return err
			}
			for i := range list {
				c.say("%s\t%s\t%s", list[i].ID, day(list[i].Created), strings.Join(list[i].Words(), ","))
				after = list[i].ID
			}
			if len(list) < listStep {
				return nil
			}
		}
	})
}

func day(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02") }

// userShow prints what is known of an account.
func userShow(ctx context.Context, args []string, c console) error {
	return onAccount(ctx, flags("user show"), args, func(_ *config.Config, s *users.Service, id matrix.UserID) error {
		st, err := s.Show(ctx, id)
		if err != nil {
			return err
		}
		c.say("%s", st.ID)
		c.say("  name: %s", orNone(st.DisplayName))
		c.say("  made: %s", day(st.Created))
		c.say("  marks: %s", orNone(strings.Join(st.Words(), ", ")))
		c.say("  password: %s", when(st.Password != "", "set", "none"))
		if st.Ends != 0 {
			c.say("  ends: %s", day(st.Ends))
		}
		for _, a := range st.Addresses {
			c.say("  %s: %s", a.Medium, a.Address)
		}
		for _, d := range st.Devices {
			seen := "never used"
			if d.LastSeen != 0 {
				seen = "last used " + day(d.LastSeen) + " from " + d.IP
			}
			c.say("  device %s (%s): %s", d.ID, orNone(d.DisplayName), seen)
		}
		return nil
	})
}

// userResetPassword sets a password, or makes a link by which its owner does.
func userResetPassword(ctx context.Context, args []string, c console) error {
	f := flags("user reset-password")
	link := f.Bool("link", false, "print a link by which the owner chooses a password")
	return onAccount(ctx, f, args, func(cfg *config.Config, s *users.Service, id matrix.UserID) error {
		if *link {
			text, err := s.ResetLink(ctx, operator+" user reset-password", id)
			if err != nil {
				return err
			}
			c.say("%s", text)
			if cfg.Server.PublicURL == "" {
				_, _ = fmt.Fprintf(c.err, "server.public_url is not set: the link works if https://%s leads to this server.\n", id.Server())
			}
			return nil
		}
		password, err := askPassword(c)
		if err != nil {
			return err
		}
		if err := s.ResetPassword(ctx, operator+" user reset-password", id, password); err != nil {
			return err
		}
		c.say("%s has a new password; all sessions have ended.", id)
		return nil
	})
}

// userShut makes the command that shuts an account in one way, or opens it again.
func userShut(name string, way users.Shut, on bool, done string) func(context.Context, []string, console) error {
	return func(ctx context.Context, args []string, c console) error {
		return onAccount(ctx, flags("user "+name), args, func(_ *config.Config, s *users.Service, id matrix.UserID) error {
			if err := s.ShutByOperator(ctx, operator+" user "+name, id, way, on); err != nil {
				return err
			}
			c.say("%s %s.", id, done)
			return nil
		})
	}
}

// userRenew sets when an account ends.
func userRenew(ctx context.Context, args []string, c console) error {
	f := flags("user renew")
	const usual = -1
	n := f.Int("days", usual, "days from now; 0: for ever; -1: accounts.valid_days")
	return onAccount(ctx, f, args, func(cfg *config.Config, s *users.Service, id matrix.UserID) error {
		switch {
		case *n < usual:
			return errors.New("-days must be a number of days from now, or 0 for an account that never ends")
		case *n == usual:
			*n = cfg.Accounts.ValidDays
		}
		until, err := s.Renew(ctx, operator+" user renew", id, days(*n))
		if err == nil {
			c.say("%s is valid %s.", id, when(*n == 0, "for ever", "until "+day(until.UnixMilli())))
		}
		return err
	})
}

// userDeactivate closes an account for ever. The running server makes it leave its rooms.
func userDeactivate(ctx context.Context, args []string, c console) error {
	f := flags("user deactivate")
	erase := f.Bool("erase", false, "forget what its owner stored, too")
	return onAccount(ctx, f, args, func(_ *config.Config, s *users.Service, id matrix.UserID) error {
		if err := s.DeactivateByOperator(ctx, operator+" user deactivate", id, *erase); err != nil {
			return err
		}
		c.say("%s is closed for ever. A running server makes it leave its rooms within a minute.", id)
		return nil
	})
}
