package federation

import (
	"encoding/json"
	"strings"
	"testing"

	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// shown is what a server says of its keys.
type shown struct {
	Verify map[string]struct{ Key string } `json:"verify_keys"`
	Old    map[string]struct {
		Key     string
		Expired int64 `json:"expired_ts"`
	} `json:"old_verify_keys"`
}

func keysOf(t *testing.T, p *peer, to matrix.ServerName) shown {
	t.Helper()
	raw, err := p.ServerKeys(t.Context(), to)
	mx.Must(t, err)
	var k shown
	mx.Must(t, json.Unmarshal(raw, &k))
	return k
}

// A key that was replaced stays known to others, and the other server takes the new one without being told.
func TestKeyRotation(t *testing.T) {
	ca := fakenet.NewCA(t)
	s := live.Start(t, live.Options{CA: ca})
	p, to := newPeer(t, ca, nil), matrix.ServerName(s.Name)
	before := keysOf(t, p, to)
	s.Stop()
	out, err := s.Command("key", "rotate")
	if err != nil || !strings.Contains(out, "new signing key") {
		t.Fatalf("%s %v", out, err)
	}
	s.Restart()
	after := keysOf(t, p, to)
	for id, k := range before.Verify {
		if after.Old[id].Key != k.Key || after.Old[id].Expired == 0 || after.Verify[id].Key != "" {
			t.Errorf("the old key: %+v", after)
		}
	}
	if len(after.Verify) != 1 || len(after.Old) != 1 {
		t.Errorf("%+v", after)
	}
}
