package users

import (
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rempart/core"
	"rempart/internal/mail"
	"rempart/internal/matrix"
)

// People says how accounts belong to people. The zero value asks for nothing: no mail, no terms, accounts for ever.
type People struct {
	// Mail takes letters to people; nil: there is no mail, and whatever needs it says so.
	Mail core.Mailer
	// PublicURL is where letters tell people to go, without a slash at its end; "" for https:// and the server name.
	PublicURL string
	// Language is that of letters nobody asked for: "fr" or "en".
	Language string
	// Emails are the addresses that people may use.
	Emails mail.Rules
	// EmailRequired asks for a proven address at registration.
	EmailRequired bool
	// Terms are the documents to accept at registration.
	Terms []Document
	// Guests lets anybody have an account with the few rights of a guest.
	Guests bool
	// FindAll lets people find all accounts of their tenant, not only those in rooms that they share or that are published.
	FindAll bool
	// Policy is what passwords must be like.
	Policy PasswordPolicy
	// BcryptPepper was appended to passwords before they were hashed by the server that bcrypt hashes came from.
	BcryptPepper string
	// ValidFor is how long an account lasts unless it is renewed; 0: for ever.
	ValidFor time.Duration
	// RemindBefore is how long before its end its owner is told.
	RemindBefore time.Duration
	// ManyFailures turns off the limit on failed log-ins, for tests of other things.
	ManyFailures bool
}

// Document is a text that people accept, in its translations. Spec: client-server-api/#terms-of-service-at-registration
type Document struct {
	ID, Version string
	Texts       []DocumentText
}

// DocumentText is where a document stands in one language.
type DocumentText struct{ Language, Name, URL string }

// policies are the parameters of the terms stage.
func policies(docs []Document) map[string]any {
	out := map[string]any{}
	for _, d := range docs {
		one := map[string]any{"version": d.Version}
		for _, t := range d.Texts {
			one[t.Language] = map[string]string{"name": t.Name, "url": t.URL}
		}
		out[d.ID] = one
	}
	return map[string]any{"policies": out}
}

// PasswordPolicy is what new passwords must be like. Zero fields ask for nothing.
type PasswordPolicy struct {
	// MinLength is the least number of characters.
	MinLength int
	// MinKinds is how many of the four kinds must occur: small letters, capitals, digits, others.
	MinKinds int
}

// check refuses a password for an account that the policy does not allow: M_WEAK_PASSWORD.
// Spec: client-server-api/#password-management
func (p PasswordPolicy) check(password string, user matrix.UserID) error {
	switch {
	case utf8.RuneCountInString(password) < p.MinLength:
		return matrix.WeakPassword("The password is too short.").With("min_length", p.MinLength).
			French("Le mot de passe est trop court.")
	case kindsOf(password) < p.MinKinds:
		return matrix.WeakPassword("The password needs more of these: small letters, capitals, digits, other characters.").
			French("Le mot de passe doit mêler davantage : minuscules, majuscules, chiffres, autres caractères.")
	case p.MinLength > 0 && user != "" && (strings.EqualFold(password, user.Localpart()) || strings.EqualFold(password, string(user))):
		return matrix.WeakPassword("The password must not be the user name.").
			French("Le mot de passe ne doit pas être le nom d'utilisateur.")
	}
	return nil
}

func kindsOf(password string) int {
	var small, capital, digit, other int
	for _, r := range password {
		switch {
		case unicode.IsLower(r):
			small = 1
		case unicode.IsUpper(r):
			capital = 1
		case unicode.IsDigit(r):
			digit = 1
		default:
			other = 1
		}
	}
	return small + capital + digit + other
}

// emailOf reads an address that may be used here.
func (s *Service) emailOf(text string) (mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil {
		return "", matrix.NewError(http.StatusBadRequest, matrix.CodeInvalidEmail, "This is no e-mail address that this server takes.").
			French("Cette adresse électronique n'est pas valable.")
	}
	if !s.people.Emails.Allow(a) {
		return "", matrix.NewError(http.StatusForbidden, matrix.CodeThreepidDenied, "This e-mail address may not be used on this server.").
			French("Cette adresse électronique n'est pas admise sur ce serveur.")
	}
	return a, nil
}

// link is an address of one of our own pages, with a secret in it.
func (s *Service) link(server matrix.ServerName, page, token string) string {
	base := s.people.PublicURL
	if base == "" {
		// Why never the request's host: whoever asks for a letter could then choose where it sends people.
		base = "https://" + string(server)
	}
	return strings.TrimSuffix(base, "/") + "/_rempart/account/" + page + "?token=" + token
}
