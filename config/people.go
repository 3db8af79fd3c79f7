package config

import (
	"net"
	"net/url"
	"os"
	"strings"

	"rempart/internal/mail"
)

// Email says how letters are sent; an empty Server sends none.
type Email struct {
	Server       string `key:"server"`
	Security     string `key:"security"`
	User         string `key:"user"`
	Password     string `key:"password"`
	PasswordFile string `key:"password_file"`
	From         string `key:"from"`
	FromName     string `key:"from_name"`
	Language     string `key:"language"`
}

// Accounts says what people agree to, and for how long they have an account.
type Accounts struct {
	Terms      []Terms `key:"terms"`
	ValidDays  int     `key:"valid_days"`
	RemindDays int     `key:"remind_days"`
	Guests     bool    `key:"guests"`
	FindAll    bool    `key:"find_all"`
	// IdentityServer is the address of the one identity server by which people may be invited by e-mail; "" for none.
	IdentityServer string `key:"identity_server"`
}

// Terms is one document in one language.
type Terms struct {
	ID       string `key:"id"`
	Version  string `key:"version"`
	Language string `key:"language"`
	Name     string `key:"name"`
	URL      string `key:"url"`
}

// Support says where people find help.
type Support struct {
	Contacts []Contact `key:"contacts"`
	Page     string    `key:"page"`
}

// Contact is one way to reach those who run the server.
type Contact struct {
	MatrixID string `key:"matrix_id"`
	Email    string `key:"email"`
	Role     string `key:"role"`
}

func (c *Config) checkEmail(say sayer) {
	e := c.Email
	switch mail.Security(e.Security) {
	case mail.StartTLS, mail.TLS:
	case mail.Plain:
		if e.Server != "" && !loopback(e.Server) {
			say("email.security: \"none\" is for a mail server on this machine; %s is elsewhere, so use starttls or tls.", e.Server)
		}
	default:
		say("email.security: %q is none of starttls, tls, none.", e.Security)
	}
	if e.Language != "fr" && e.Language != "en" {
		say("email.language: %q is neither fr nor en.", e.Language)
	}
	if e.Server == "" {
		if c.Registration.EmailRequired || len(c.Registration.Emails) > 0 {
			say("registration: email_required and emails need a mail server; set email.server.")
		}
		return
	}
	if _, _, err := net.SplitHostPort(e.Server); err != nil {
		say("email.server: %q is no address like mail.example.org:587.", e.Server)
	}
	if _, err := mail.ParseAddress(e.From); err != nil {
		say("email.from: %q is no address like no-reply@example.org.", e.From)
	}
	if c.Server.PublicURL == "" {
		say("email: letters hold links to this server; set server.public_url.")
	}
}

func (c *Config) checkTerms(say sayer) {
	for i, t := range c.Accounts.Terms {
		u, err := url.Parse(t.URL)
		if t.ID == "" || t.Version == "" || t.Language == "" || t.Language == "version" || t.Name == "" {
			say("accounts.terms[%d]: needs id, version, language, name and url.", i)
		} else if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			say("accounts.terms[%d].url: %q is no address like https://example.org/terms.", i, t.URL)
		}
	}
}

func (c *Config) checkAccounts(say sayer) {
	if _, err := mail.ParseRules(c.Registration.Emails); err != nil {
		say("registration.emails: %s.", err)
	}
	c.checkTerms(say)
	if c.Accounts.ValidDays < 0 || c.Accounts.RemindDays < 0 {
		say("accounts: valid_days and remind_days must not be below 0.")
	}
	if a := c.Accounts.IdentityServer; a != "" && !identityAddress(a) {
		say("accounts.identity_server: %q is no address like https://identity.example.org (http only on this machine).", a)
	}
	if p := c.Password; p.MinLength < 0 || p.MinLength > 128 || p.MinKinds < 0 || p.MinKinds > 4 {
		say("password: min_length is 0 to 128, min_kinds 0 to 4.")
	}
	for i, t := range c.Support.Contacts {
		if t.Role == "" || t.MatrixID == "" && t.Email == "" {
			say("support.contacts[%d]: needs a role such as m.role.admin, and matrix_id or email.", i)
		}
	}
}

// readSecret reads one secret from its file, unless it is set directly.
func readSecret(secret *string, path, name string) Mistakes {
	if path == "" {
		return nil
	}
	section, key, _ := strings.Cut(name, ".")
	if *secret != "" {
		return Mistakes{section + ": " + key + " and " + key + "_file are both set; keep one."}
	}
	b, err := os.ReadFile(path)
	if *secret = strings.TrimSpace(string(b)); err != nil || *secret == "" {
		return Mistakes{name + "_file: the file " + path + " cannot be read or is empty."}
	}
	return nil
}

// identityAddress reports whether an identity server can be spoken to at an address: by https, or on this machine.
func identityAddress(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && loopback(net.JoinHostPort(u.Hostname(), "80"))
}
