package main

import (
	"context"
	"strconv"
	"time"

	"rempart/config"
	"rempart/core/users"
	"rempart/internal/matrix"
)

// missionCommands are those about who may be abroad.
func missionCommands() []command {
	return []command{
		{"mission grant", "[-config FILE] [-note TEXT] -country CC -from DATE -to DATE NAME", "let somebody read from abroad: the record of what is read there names it", missionGrant},
		{"mission list", "[-config FILE] [-server SERVER] [-user NAME]", "list missions, the newest first", missionList},
		{"mission end", "[-config FILE] [-server SERVER] ID", "end a mission now", missionEnd},
	}
}

func missionGrant(ctx context.Context, args []string, c console) error {
	f := flags("mission grant")
	country, note := f.String("country", "", "two letters"), f.String("note", "", "why")
	from, to := f.String("from", "", "first day, such as 2026-01-31"), f.String("to", "", "last day")
	return onAccount(ctx, f, args, func(_ *config.Config, s *users.Service, id matrix.UserID) error {
		if *from == "" || *to == "" {
			return errUsage
		}
		a, err := instant(*from)
		if err != nil {
			return err
		}
		b, err := instant(*to)
		if err != nil {
			return err
		}
		b = time.UnixMilli(b).AddDate(0, 0, 1).UnixMilli()
		m, err := s.GrantMissionByOperator(ctx, operator+" mission grant", users.Mission{User: id, Country: *country, From: a, Until: b, Note: *note})
		if err == nil {
			c.say("Mission %d: %s may be in %s from %s to %s.", m.ID, m.User, m.Country, *from, *to)
		}
		return err
	})
}

func missionList(ctx context.Context, args []string, c console) error {
	f := flags("mission list")
	server, user := f.String("server", "", "which of our servers"), f.String("user", "", "only his")
	cfg, _, err := configured(f, args, 0)
	if err != nil {
		return err
	}
	name := serverOr(*server, cfg)
	var id matrix.UserID
	if *user != "" {
		if id, err = accountName(*user, string(name)); err != nil {
			return err
		}
	}
	return withAccounts(ctx, cfg, func(s *users.Service) error {
		list, err := s.Missions(ctx, name, id)
		for _, m := range list {
			c.say("%d\t%s\t%s\t%s\t%s\t%s\t%s", m.ID, m.User, m.Country, minute(m.From), minute(m.Until), m.By, m.Note)
		}
		return err
	})
}

func missionEnd(ctx context.Context, args []string, c console) error {
	f := flags("mission end")
	server := f.String("server", "", "which of our servers")
	cfg, words, err := configured(f, args, 1)
	if err != nil {
		return err
	}
	id, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil {
		return errUsage
	}
	return withAccounts(ctx, cfg, func(s *users.Service) error {
		m, err := s.EndMissionByOperator(ctx, operator+" mission end", serverOr(*server, cfg), id)
		if err == nil {
			c.say("Mission %d of %s is over since %s.", m.ID, m.User, minute(m.Until))
		}
		return err
	})
}

// serverOr is a server of ours, the first unless one is named.
func serverOr(named string, cfg *config.Config) matrix.ServerName {
	if named == "" {
		named = cfg.Server.Name
	}
	return matrix.ServerName(named)
}

func minute(ms int64) string { return time.UnixMilli(ms).Format("2006-01-02 15:04") }
