package adminapi_test

import (
	"strings"
	"testing"
)

// An interface that asks for the edition of a suite is told that there is none, in another way than that nothing is known of the question.
func TestEditionOfASuite(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.fails("GET", "/_synapse/ess/version", "", 404, "M_NOT_FOUND")
	})
}

// For some minutes an administrator lets somebody whose keys are lost set others without his password, and nobody else.
func TestKeysAreReplacedWithoutAPassword(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		alice, bob := s.register("alice"), s.register("bob")
		set := func(token, user, letter string) int {
			t.Helper()
			key := strings.Repeat(letter, 42) + "A"
			return s.do("POST", v3+"/keys/device_signing/upload", token,
				`{"master_key":{"user_id":"`+user+`","usage":["master"],"keys":{"ed25519:`+key+`":"`+key+`"}}}`).status
		}
		for token, user := range map[string]string{alice: "@alice:hs1", bob: "@bob:hs1"} {
			if status := set(token, user, "a"); status != 200 {
				t.Fatalf("the first keys of %s: %d", user, status)
			}
		}
		if status := set(alice, "@alice:hs1", "b"); status != 401 {
			t.Errorf("other keys without a password: %d", status)
		}
		a := s.ok("POST", v1+"/users/@alice:hs1/_allow_cross_signing_replacement_without_uia", `{}`)
		if until, ok := a.at("updatable_without_uia_before_ms").(float64); !ok || until == 0 {
			t.Error(a.raw)
		}
		if status := set(bob, "@bob:hs1", "b"); status != 401 {
			t.Errorf("the keys of another: %d", status)
		}
		if status := set(alice, "@alice:hs1", "b"); status != 200 {
			t.Errorf("other keys while the window is open: %d", status)
		}
	})
}
