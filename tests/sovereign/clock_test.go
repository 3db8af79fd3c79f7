package sovereign

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rempart/internal/testkit/mx"
	"rempart/policy"
)

// attests writes what a partner attests of itself for some time, countersigned by an authority, into a file beside a policy.
func (w *town) attests(p *peer, authority ed25519.PrivateKey, file string, from, until time.Time) {
	w.l.t.Helper()
	public, _ := p.key.Private.Public().(ed25519.PublicKey)
	a := policy.Attestation{Serial: file, Org: "Préfecture", Keys: map[string]string{p.key.KeyID: base64.RawStdEncoding.EncodeToString(public)},
		Endpoints: []string{"matrix." + string(p.name)}, Networks: []string{"127.10.0.0/16"}, Operator: "prefecture", NotBefore: from, NotAfter: until}
	signed, err := a.Sign(p.key)
	mx.Must(w.l.t, err)
	signed, err = policy.Countersign(signed, "anssi", authority)
	mx.Must(w.l.t, err)
	mx.Must(w.l.t, os.WriteFile(filepath.Join(w.Dir, file), signed, 0o600))
}

// TestAClockThatIsWrong has a partner whose attestation is over, or does not hold yet, as by a clock that goes wrong on either side: nothing is said to
// it and nothing heard of it, while one that holds is as good as ever; and one that ends ends what was open.
func TestAClockThatIsWrong(t *testing.T) {
	l := newLab(t)
	ctx, now := t.Context(), time.Now()
	public, authority, err := ed25519.GenerateKey(nil)
	mx.Must(t, err)
	w := l.town("mairie.lab", "127.10.0.1", french, "")
	p := l.peer("prefecture.lab", "127.10.0.2")
	p.answers(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(`{"displayname":"Bob"}`)) })
	rules := func(file string) string {
		return french + fmt.Sprintf("  - {server: prefecture.lab, allow: [rooms, profiles], attestation: %s}\nattestations: {authorities: [{name: anssi, key: %q}]}\n",
			file, base64.StdEncoding.EncodeToString(public))
	}
	w.attests(p, authority, "holds.json", now.Add(-time.Hour), now.Add(time.Hour))
	w.attests(p, authority, "over.json", now.Add(-2*time.Hour), now.Add(-time.Minute))
	w.attests(p, authority, "later.json", now.Add(time.Hour), now.Add(2*time.Hour))
	n := 0
	talk := func() (there, here error) {
		n++
		there = w.alice.Do(ctx, "GET", fmt.Sprintf("/_matrix/client/v3/profile/@bob%d:prefecture.lab", n), nil, nil)
		_, here = p.QueryProfile(ctx, p.name, "mairie.lab", "@alice:mairie.lab", "")
		return there, here
	}
	for _, file := range []string{"holds.json", "over.json", "holds.json", "later.json"} {
		w.adopt(rules(file))
		was, _ := w.refusals2("prefecture.lab")
		before := p.calls()
		there, here := talk()
		if file == "holds.json" {
			if there != nil || here != nil {
				t.Errorf("an attestation that holds: %v, %v", there, here)
			}
			continue
		}
		now, found := w.refusals2("prefecture.lab")
		if e := refused(there); e == nil || e.Code != "M_FORBIDDEN" || status(here) != 403 || now < was+2 || !slices.Contains(found, "partner.expired") {
			t.Errorf("%s: %v, %v; %d refusals by %v", file, there, here, now-was, found)
		}
		if p.calls() != before {
			t.Errorf("%s: it was asked %v", file, p.log()[before:])
		}
	}
	w.attests(p, authority, "ends.json", now.Add(-time.Hour), time.Now().Add(3*time.Second))
	w.adopt(rules("ends.json"))
	l.until("the attestation ends, by a connection that is open", func() bool {
		there, here := talk()
		return refused(there) != nil && status(here) == 403
	})
	before := p.calls()
	if _, _ = talk(); p.calls() != before {
		t.Error("it is still asked")
	}
	w.nothingLeft()
}
