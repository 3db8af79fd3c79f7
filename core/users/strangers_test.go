package users_test

import (
	"fmt"
	"testing"
	"time"

	"rempart/core/users"
	"rempart/internal/matrix"
)

// Whoever shows tokens that nobody has is told to wait before another is looked for; who is known already is not, and neither is anybody elsewhere.
func TestTokensOfNobody(t *testing.T) {
	each(t, func(*users.Options) {}, func(t *testing.T, r *rig) {
		a, _ := r.register("alice")
		show := func(token, ip string) error {
			_, err := r.Authenticate(t.Context(), token, users.Seen{IP: ip}, false)
			return err
		}
		if err := show(a.Token, "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
		refused := 0
		for i := range 400 {
			err := show(fmt.Sprint("guess", i), "192.0.2.1")
			if matrix.HasCode(err, matrix.CodeLimitExceeded) {
				refused++
			} else if !matrix.HasCode(err, matrix.CodeUnknownToken) {
				t.Fatal(err)
			}
		}
		if refused == 0 || refused > 150 {
			t.Errorf("of 400 tokens %d were not looked for", refused)
		}
		if err := show(a.Token, "192.0.2.1"); err != nil {
			t.Errorf("a token that is known: %v", err)
		}
		if err := show("guess", "192.0.2.2"); !matrix.HasCode(err, matrix.CodeUnknownToken) {
			t.Errorf("from elsewhere: %v", err)
		}
		r.now.Add(time.Minute)
		if err := show("guess", "192.0.2.1"); !matrix.HasCode(err, matrix.CodeUnknownToken) {
			t.Errorf("a minute later: %v", err)
		}
	})
}
