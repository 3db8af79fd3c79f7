package users

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"rempart/internal/mail"
	"rempart/internal/matrix"
	"rempart/storage"
)

// mediumEmail is the one kind of third-party identifier that this server can prove.
const mediumEmail = "email"

// EmailPurpose is what an address is proven for. A proof for one purpose serves no other.
type EmailPurpose string

// The purposes of a proof.
const (
	ForRegistration EmailPurpose = "register"
	ForAccount      EmailPurpose = "add"
	ForReset        EmailPurpose = "reset"
)

// proofLife is how long a letter's link works, and the proof may be used.
const proofLife = time.Hour

// EmailRequest asks to prove an address.
type EmailRequest struct {
	Purpose      EmailPurpose
	Email        string
	ClientSecret string
	SendAttempt  int64
	Host         string // the host the request was made to, which decides the tenant of a stranger
	Language     string // the request's Accept-Language
}

// EmailCreds name a proof: the two secrets that the client has of it.
type EmailCreds struct {
	SID          string `json:"sid"`
	ClientSecret string `json:"client_secret"`
}

func errNoMail() *matrix.Error {
	return matrix.NewError(http.StatusBadRequest, matrix.CodeThreepidMediumNotSupported, "This server sends no e-mail. Its operator can set that up.").
		French("Ce serveur n'envoie pas de courriel.")
}

func errAddressInUse() *matrix.Error {
	return matrix.NewError(http.StatusBadRequest, matrix.CodeThreepidInUse, "This e-mail address belongs to another account already.").
		French("Cette adresse électronique appartient déjà à un autre compte.")
}

// RequestEmail sends a letter with a link that proves an address, and gives the proof's id. c is the zero Caller of a
// stranger. Spec: client-server-api/#post_matrixclientv3registeremailrequesttoken
func (s *Service) RequestEmail(ctx context.Context, c matrix.Caller, q EmailRequest) (sid string, err error) {
	if s.people.Mail == nil {
		return "", errNoMail()
	}
	if err := checkClientSecret(q.ClientSecret); err != nil {
		return "", err
	}
	if q.Email == "" {
		return "", matrix.MissingParam("The request lacks \"email\".")
	}
	address, err := s.addressFor(q)
	if err != nil {
		return "", err
	}
	tenant, server := c.Tenant, c.Server
	if c.User == "" {
		tenant, server = s.Tenant(q.Host)
	}
	owner, err := s.db.FindThreepid(ctx, tenant, mediumEmail, string(address))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return "", err
	}
	if q.Purpose != ForReset && owner.User != 0 && owner.User != c.UserNID {
		return "", errAddressInUse()
	}
	p := storage.EmailProof{Tenant: tenant, Purpose: string(q.Purpose), Address: string(address), Attempt: q.SendAttempt, User: c.UserNID}
	if q.Purpose == ForReset {
		p.User = owner.User
	}
	return s.beginProof(ctx, p, q, server)
}

// addressFor reads the address; the rules on addresses are for those who want to use a new one.
func (s *Service) addressFor(q EmailRequest) (mail.Address, error) {
	if q.Purpose != ForReset {
		return s.emailOf(q.Email)
	}
	a, err := mail.ParseAddress(q.Email)
	if err != nil {
		return "", matrix.NewError(http.StatusBadRequest, matrix.CodeInvalidEmail, "This is no e-mail address that this server takes.")
	}
	return a, nil
}

// beginProof stores a proof with the letter that goes with it, unless the client only repeats its request.
func (s *Service) beginProof(ctx context.Context, p storage.EmailProof, q EmailRequest, server matrix.ServerName) (string, error) {
	secret := hashToken(q.ClientSecret)
	p.SecretHash = secret[:]
	was, err := s.db.FindEmailProofOf(ctx, p.Tenant, p.Purpose, p.Address, p.SecretHash, s.nowMS())
	switch {
	case err == nil && was.Attempt >= q.SendAttempt:
		return was.SID, nil
	case err == nil:
		p.SID, p.Proven = was.SID, was.Proven
	case errors.Is(err, storage.ErrNotFound):
		p.SID = newUIASession()
	default:
		return "", err
	}
	if err := s.mailed.check(p.Address, s.now()); err != nil {
		return "", err
	}
	s.mailed.fail(p.Address, s.now())
	token, hash := newToken("rme_")
	p.TokenHash, p.Expires = hash[:], s.now().Add(proofLife).UnixMilli()
	l := mail.Letter{To: mail.Address(p.Address), Kind: mail.Confirm, Language: q.Language, Server: string(server),
		Link: s.link(server, "confirm", token), Until: p.Expires}
	switch {
	case q.Purpose == ForReset && p.User == 0:
		// Why not an error: it would tell anybody who has an account here. The proof can be proven by nobody.
		l.Kind, l.Link = mail.NoReset, ""
	case q.Purpose == ForReset:
		l.Kind = mail.Reset
	}
	c := &storage.Change{}
	c.Add(&storage.EmailProofRow{EmailProof: p})
	if err := s.addLetter(ctx, c, l); err != nil {
		return "", err
	}
	if err := s.db.Commit(ctx, c); err != nil {
		return "", err
	}
	s.wakeLetters()
	return p.SID, nil
}

// checkClientSecret holds a client's secret to its grammar.
func checkClientSecret(secret string) error {
	if secret == "" {
		return matrix.MissingParam("The request lacks \"client_secret\".")
	}
	bad := strings.ContainsFunc(secret, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune(".=_-", r))
	})
	if bad || len(secret) > 255 {
		return matrix.InvalidParam("The client_secret may hold 1 to 255 of the characters 0-9 a-z A-Z . = _ -")
	}
	return nil
}

// ConfirmEmail notes that the link of a letter was used.
func (s *Service) ConfirmEmail(ctx context.Context, token string) (mail.Address, error) {
	hash := hashToken(token)
	p, err := s.db.FindEmailProofByToken(ctx, hash[:], s.nowMS())
	if errors.Is(err, storage.ErrNotFound) {
		return "", errLink()
	}
	if err != nil {
		return "", err
	}
	c := &storage.Change{}
	c.Guard(storage.ProveEmail(hash[:], s.nowMS()).OrElse(errLink()))
	return mail.Address(p.Address), s.db.Commit(ctx, c)
}

func errLink() *matrix.Error {
	return matrix.NotFound("This link is unknown, was used already, or is too old. Ask for a new one.").
		French("Ce lien est inconnu, déjà utilisé ou trop ancien. Demandez-en un nouveau.")
}

// proven finds a proof whose letter was answered: it is for that purpose on that tenant, and the client shows its secret.
// refusal says that it is not, or not yet.
func (s *Service) proven(ctx context.Context, creds EmailCreds, purpose EmailPurpose, tenant int64) (p storage.EmailProof, refusal *matrix.Error, err error) {
	p, err = s.db.FindEmailProof(ctx, creds.SID, s.nowMS())
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return p, nil, err
	}
	secret := hashToken(creds.ClientSecret)
	switch {
	case err != nil || !bytes.Equal(secret[:], p.SecretHash) || p.Purpose != string(purpose) || p.Tenant != tenant:
		return p, matrix.NewError(http.StatusBadRequest, matrix.CodeNoValidSession, "There is no such proof of an address. Ask for a new letter."), nil
	case p.Proven == 0 || purpose == ForReset && p.User == 0:
		return p, matrix.NewError(http.StatusBadRequest, matrix.CodeThreepidAuthFailed, "The address has not been confirmed: open the link in the letter first.").
			French("L'adresse n'est pas confirmée : ouvrez d'abord le lien du courriel."), nil
	}
	return p, nil, nil
}
