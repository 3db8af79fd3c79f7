package main

import (
	"context"
	"net"
	"time"

	"rempart/clientapi"
	"rempart/config"
	"rempart/core/users"
	"rempart/internal/egress"
	"rempart/internal/mail"
	"rempart/internal/matrix"
)

// peopleOf says how accounts belong to people, with the mail server that letters go to.
func peopleOf(cfg *config.Config, out *egress.Egress) (users.People, error) {
	rules, err := mail.ParseRules(cfg.Registration.Emails)
	if err != nil {
		return users.People{}, err
	}
	p := users.People{
		PublicURL: cfg.Server.PublicURL, Language: cfg.Email.Language, Emails: rules, EmailRequired: cfg.Registration.EmailRequired,
		Terms: documents(cfg.Accounts.Terms), Guests: cfg.Accounts.Guests, FindAll: cfg.Accounts.FindAll,
		Policy:       users.PasswordPolicy{MinLength: cfg.Password.MinLength, MinKinds: cfg.Password.MinKinds},
		BcryptPepper: cfg.Password.BcryptPepper, ManyFailures: !cfg.Limits.Enabled,
		ValidFor: days(cfg.Accounts.ValidDays), RemindBefore: days(cfg.Accounts.RemindDays),
	}
	if cfg.Email.Server == "" {
		return p, nil
	}
	name := cfg.Email.FromName
	if name == "" {
		name = cfg.Server.Name
	}
	sender, err := mail.NewSender(mail.Options{
		Server: cfg.Email.Server, Security: mail.Security(cfg.Email.Security), User: cfg.Email.User, Password: cfg.Email.Password,
		From: mail.Address(cfg.Email.From), FromName: name, Hello: matrix.ServerName(cfg.Server.Name).Host(),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return out.Dial(ctx, egress.Mail, network, address)
		},
	})
	p.Mail = sender
	return p, err
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// documents puts the translations of each document together.
func documents(list []config.Terms) []users.Document {
	var out []users.Document
	at := map[string]int{}
	for _, t := range list {
		i, ok := at[t.ID]
		if !ok {
			i = len(out)
			at[t.ID] = i
			out = append(out, users.Document{ID: t.ID, Version: t.Version})
		}
		out[i].Texts = append(out[i].Texts, users.DocumentText{Language: t.Language, Name: t.Name, URL: t.URL})
	}
	return out
}

// supportOf is what is published about help.
func supportOf(cfg *config.Config) clientapi.Support {
	s := clientapi.Support{Page: cfg.Support.Page}
	for _, c := range cfg.Support.Contacts {
		s.Contacts = append(s.Contacts, clientapi.Contact{MatrixID: c.MatrixID, Email: c.Email, Role: c.Role})
	}
	return s
}
