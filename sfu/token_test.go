package sfu

import (
	"strings"
	"testing"
	"time"
)

func TestTokens(t *testing.T) {
	keys, now := Keys{"k", "a secret"}, time.Unix(1_000_000, 0)
	good := keys.Sign("somebody", Grant{Room: "r", RoomJoin: true, CanSubscribe: true}, time.Minute, now)
	c, err := keys.Verify(good, now)
	if err != nil || c.Identity != "somebody" || c.Video.Room != "r" || c.Video.CanPublish || c.Video.RoomCreate {
		t.Fatalf("%+v, %v", c, err)
	}
	none := encode([]byte(`{"alg":"none"}`)) + strings.TrimPrefix(good, encode([]byte(header)))
	for name, try := range map[string]struct {
		keys  Keys
		token string
		at    time.Time
	}{
		"too late":       {keys, good, now.Add(2 * time.Minute)},
		"too early":      {keys, good, now.Add(-3 * time.Minute)},
		"another secret": {Keys{"k", "b"}, good, now},
		"another issuer": {Keys{"other", "a secret"}, good, now},
		"no secret":      {Keys{"k", ""}, Keys{"k", ""}.Sign("x", Grant{}, time.Minute, now), now},
		"algorithm":      {keys, none, now},
		"cut":            {keys, good[:len(good)-3], now},
		"empty":          {keys, "", now},
	} {
		if _, err := try.keys.Verify(try.token, try.at); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
