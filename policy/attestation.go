package policy

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rempart/internal/matrix"
)

// Attestation is what a partner states of itself: signed by its own server, countersigned by authorities.
type Attestation struct {
	Server    string            `json:"server_name"`
	Serial    string            `json:"serial"`
	Org       string            `json:"organisation"`
	SIRET     string            `json:"siret,omitempty"`
	Keys      map[string]string `json:"signing_keys"` // key id → public key, unpadded base64
	Endpoints []string          `json:"endpoints"`
	Networks  []string          `json:"networks"`
	Operator  string            `json:"operator"`
	// Foreign states that somebody outside the European Union controls the operator.
	Foreign   bool      `json:"non_eu_control"`
	Sites     []string  `json:"sites"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
}

// maxAttested is how long an attestation may hold.
const maxAttested = 90*24*time.Hour + time.Hour

// Sign makes an attestation of a partner's statement, signed with its server's key.
func (a *Attestation) Sign(key matrix.SigningKey) ([]byte, error) {
	a.Server = string(key.ServerName)
	if err := a.check(); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("attestation: %w", err)
	}
	return matrix.SignJSON(raw, key)
}

// Countersign adds an authority's signature.
func Countersign(attestation []byte, authority string, key ed25519.PrivateKey) ([]byte, error) {
	if _, err := read(attestation); err != nil {
		return nil, err
	}
	return matrix.SignJSON(attestation, matrix.SigningKey{ServerName: matrix.ServerName(authority), KeyID: authorityKey, Private: key})
}

// authorityKey is the id under which authorities sign.
const authorityKey = "ed25519:authority"

func (a *Attestation) check() error {
	switch {
	case a.Server == "" || a.Serial == "" || a.Org == "":
		return errors.New("it needs server_name, serial and organisation")
	case len(a.Keys) == 0:
		return errors.New("it names no signing key")
	case !a.NotAfter.After(a.NotBefore) || a.NotAfter.Sub(a.NotBefore) > maxAttested:
		return errors.New("it must hold for at most 90 days")
	}
	return nil
}

// read decodes an attestation strictly and checks the partner's own signature.
func read(raw []byte) (*Attestation, error) {
	var signed struct {
		Attestation
		Signatures map[string]map[string]string `json:"signatures"`
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&signed); err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	a := &signed.Attestation
	if err := a.check(); err != nil {
		return nil, err
	}
	for id := range signed.Signatures[a.Server] {
		if key, err := base64.RawStdEncoding.DecodeString(a.Keys[id]); err == nil && len(key) == ed25519.PublicKeySize &&
			matrix.VerifyJSON(raw, matrix.ServerName(a.Server), id, key) == nil {
			return a, nil
		}
	}
	return nil, errors.New("it is not signed by a key that it names")
}

// Check reads an attestation and wants as many authorities to have signed it as the policy needs. It does not look at the
// time: whether it holds is judged at each decision.
func (s *Attestations) Check(raw []byte) (*Attestation, error) {
	a, err := read(raw)
	if err != nil {
		return nil, err
	}
	if slices.Contains(s.Revoked, a.Serial) {
		return nil, fmt.Errorf("serial %s was revoked", a.Serial)
	}
	if a.Foreign {
		return nil, errors.New("its operator is controlled from outside the European Union")
	}
	signed := map[string]bool{}
	for _, authority := range s.Authorities {
		key, err := base64.StdEncoding.DecodeString(authority.Key)
		if err == nil && len(key) == ed25519.PublicKeySize && matrix.VerifyJSON(raw, matrix.ServerName(authority.Name), authorityKey, key) == nil {
			signed[authority.Key] = true // Why by key: one who stands in the list twice is one
		}
	}
	if need := max(1, s.Need); len(signed) < need {
		return nil, fmt.Errorf("%d of the %d authorities that are needed have signed it", len(signed), need)
	}
	return a, nil
}
