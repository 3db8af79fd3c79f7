package policy_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"rempart/internal/matrix"
	"rempart/policy"
)

// authority makes a key that countersigns and its line in a policy.
func authority(t *testing.T, name string) (ed25519.PrivateKey, policy.Authority) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return private, policy.Authority{Name: name, Key: base64.StdEncoding.EncodeToString(public)}
}

func TestAttestations(t *testing.T) {
	key, err := matrix.GenerateSigningKey("pref.fr")
	if err != nil {
		t.Fatal(err)
	}
	public, _ := key.Private.Public().(ed25519.PublicKey)
	statement := func() *policy.Attestation {
		return &policy.Attestation{Serial: "1", Org: "Préfecture", Keys: map[string]string{key.KeyID: base64.RawStdEncoding.EncodeToString(public)},
			Endpoints: []string{"Matrix.pref.fr"}, Networks: []string{"127.10.0.0/16"}, NotBefore: now.AddDate(0, 0, -1), NotAfter: now.AddDate(0, 0, 30)}
	}
	signed, err := statement().Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	first, one := authority(t, "anssi")
	second, two := authority(t, "dinum")
	stranger, _ := authority(t, "anssi")
	by := func(raw []byte, name string, key ed25519.PrivateKey) []byte {
		out, err := policy.Countersign(raw, name, key)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	both := by(by(signed, "anssi", first), "dinum", second)
	foreign := statement()
	foreign.Foreign = true
	theirs, _ := foreign.Sign(key)
	for name, c := range map[string]struct {
		raw  []byte
		need policy.Attestations
		ok   bool
	}{
		"two of two":            {both, policy.Attestations{Authorities: []policy.Authority{one, two}, Need: 2}, true},
		"one of two":            {by(signed, "anssi", first), policy.Attestations{Authorities: []policy.Authority{one, two}, Need: 1}, true},
		"too few":               {by(signed, "anssi", first), policy.Attestations{Authorities: []policy.Authority{one, two}, Need: 2}, false},
		"nobody":                {signed, policy.Attestations{Authorities: []policy.Authority{one}}, false},
		"an authority twice":    {by(signed, "anssi", first), policy.Attestations{Authorities: []policy.Authority{one, one}, Need: 2}, false},
		"a stranger's key":      {by(signed, "anssi", stranger), policy.Attestations{Authorities: []policy.Authority{one}}, false},
		"revoked":               {both, policy.Attestations{Authorities: []policy.Authority{one}, Revoked: []string{"1"}}, false},
		"changed":               {[]byte(strings.Replace(string(both), "127.10.0.0", "127.12.0.0", 1)), policy.Attestations{Authorities: []policy.Authority{one}}, false},
		"controlled from afar":  {by(theirs, "anssi", first), policy.Attestations{Authorities: []policy.Authority{one}}, false},
		"a key nobody expected": {[]byte(strings.Replace(string(both), `"serial"`, `"cereal"`, 1)), policy.Attestations{Authorities: []policy.Authority{one}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.need.Check(c.raw); (err == nil) != c.ok {
				t.Error(err)
			}
		})
	}
	long := statement()
	long.NotAfter = now.AddDate(0, 0, 91)
	if _, err := long.Sign(key); err == nil {
		t.Error("longer than 90 days")
	}
	text := fmt.Sprintf("version: 1\nterritory: {within: [france], lab: true}\nattestations: {authorities: [{name: anssi, key: %q}]}\npartners: [{server: pref.fr, attestation: a.json}]\n", one.Key)
	g := compile(t, text, map[string]string{"a.json": string(both)})
	for at, rule := range map[time.Time]string{now: policy.RuleAllowed, now.AddDate(0, 0, 31): policy.RulePartnerOver, now.AddDate(0, 0, -2): policy.RulePartnerOver} {
		f := dialled("pref.fr", "matrix.pref.fr", "127.10.0.1:443")
		f.Now = at
		if d := g.Decide(&f); d.Rule != rule {
			t.Errorf("%s: %s", at, d.Rule)
		}
	}
	if g.PinnedKey("pref.fr", key.KeyID, "x") {
		t.Error("keys are not pinned")
	}
}
