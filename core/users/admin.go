package users

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // Why: the protocol of existing tools; an HMAC does not rest on SHA-1's collisions
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// nonceLife is how long a nonce of shared-secret registration may be used.
const nonceLife = time.Minute

// nonces gives numbers to be used once, recognised by their own MAC so that none is stored before it is used.
type nonces struct {
	key  [sha256.Size]byte
	mu   *sync.Mutex
	used map[string]int64 // until when it is remembered
}

func newNonces(secret string) nonces {
	return nonces{key: sha256.Sum256([]byte("rempart registration nonce\x00" + secret)), mu: &sync.Mutex{}, used: map[string]int64{}}
}

func (n *nonces) seal(b []byte) []byte {
	mac := hmac.New(sha256.New, n.key[:])
	mac.Write(b)
	return mac.Sum(nil)[:16]
}

// issue makes a nonce: time, random bytes, MAC.
func (n *nonces) issue(now time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
	b = append(b, make([]byte, 16)...)
	_, _ = rand.Read(b[8:]) // never fails, as crypto/rand promises
	return hex.EncodeToString(append(b, n.seal(b)...))
}

// use reports whether a nonce is ours, young and unused; it is used then.
func (n *nonces) use(text string, now time.Time) bool {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 40 || !hmac.Equal(n.seal(b[:24]), b[24:]) {
		return false
	}
	until := int64(binary.BigEndian.Uint64(b)) + nonceLife.Milliseconds()
	if until < now.UnixMilli() {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for old, t := range n.used {
		if t < now.UnixMilli() {
			delete(n.used, old)
		}
	}
	text = string(b) // Why: hexadecimal digits have two spellings
	if _, twice := n.used[text]; twice {
		return false
	}
	n.used[text] = until
	return true
}

// SecretRegistration is a registration by whoever knows the shared secret.
type SecretRegistration struct {
	Nonce, Username, Password, DisplayName string
	Admin                                  bool
	UserType                               string
	MAC                                    string // hex HMAC-SHA1 over the fields
	InhibitLogin                           bool
	Host                                   string
}

// Nonce gives a nonce for [Service.RegisterBySecret]; M_NOT_FOUND when there is no shared secret.
func (s *Service) Nonce() (string, error) {
	if s.reg.SharedSecret == "" {
		return "", errNoSecret()
	}
	return s.nonces.issue(s.now()), nil
}

func errNoSecret() *matrix.Error {
	return matrix.NotFound("Registration by shared secret is off: set registration.shared_secret to turn it on.")
}

// RegisterBySecret makes an account for an operator's tool, as the widely used /_synapse/admin/v1/register does.
func (s *Service) RegisterBySecret(ctx context.Context, q SecretRegistration) (*Session, error) {
	switch {
	case s.reg.SharedSecret == "":
		return nil, errNoSecret()
	case q.Nonce == "":
		return nil, matrix.BadJSON("The request lacks \"nonce\": GET this address for one.")
	case q.Username == "":
		return nil, matrix.BadJSON("The request lacks \"username\".")
	case q.Password == "":
		return nil, matrix.BadJSON("The request lacks \"password\".")
	case !s.nonces.use(q.Nonce, s.now()):
		return nil, matrix.InvalidParam("The nonce is unknown, too old or used already: GET this address for a new one.")
	}
	given, err := hex.DecodeString(q.MAC)
	if err != nil || !hmac.Equal(given, q.mac(s.reg.SharedSecret)) {
		return nil, matrix.Forbidden("The MAC is wrong: is the shared secret the right one?")
	}
	tenant, server := s.Tenant(q.Host)
	a := NewAccount{Tenant: tenant, Server: server, Username: q.Username, Password: q.Password, DisplayName: q.DisplayName, Admin: q.Admin}
	a.audit = &storage.Audit{Admin: "shared secret", Act: "user.create"}
	if !q.InhibitLogin {
		a.device = &deviceRequest{}
	}
	return s.createNamed(ctx, a)
}

// mac is HMAC-SHA1 over the fields, with NUL between them.
func (q *SecretRegistration) mac(secret string) []byte {
	m := hmac.New(sha1.New, []byte(secret))
	role := "notadmin"
	if q.Admin {
		role = "admin"
	}
	m.Write([]byte(q.Nonce + "\x00" + q.Username + "\x00" + q.Password + "\x00" + role))
	if q.UserType != "" {
		m.Write([]byte("\x00" + q.UserType))
	}
	return m.Sum(nil)
}

// Create makes an account at the command of an operator, who is named for the record. It opens no session.
func (s *Service) Create(ctx context.Context, operator string, a NewAccount) (matrix.UserID, error) {
	if a.Server == "" {
		a.Tenant, a.Server = s.Tenant("")
	}
	a.audit = &storage.Audit{Admin: operator, Act: "user.create"}
	out, err := s.createNamed(ctx, a)
	if err != nil {
		return "", err
	}
	return out.UserID, nil
}

func (s *Service) createNamed(ctx context.Context, a NewAccount) (*Session, error) {
	id, err := s.checkName(ctx, a.Username, a.Server)
	if err != nil {
		return nil, err
	}
	a.id = id
	if len(a.DisplayName) > maxDisplayName {
		return nil, matrix.InvalidParam("The display name is too long: at most 256 bytes.")
	}
	return s.create(ctx, a)
}

// audit adds an administrator's act to the Change that does it.
func (s *Service) audit(ctx context.Context, c *storage.Change, a storage.Audit) error {
	nid, err := s.db.NewID(ctx, storage.OtherNIDs)
	if err != nil {
		return err
	}
	a.NID, a.TS = nid, s.nowMS()
	if a.Detail == nil {
		a.Detail = []byte(`{}`)
	}
	c.Add(&storage.AuditRow{Audit: a})
	return nil
}
