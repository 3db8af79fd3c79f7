package users_test

import (
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"rempart/core/users"
	"rempart/internal/matrix"
	"rempart/internal/testkit/smtptest"
)

// People registers some people and remembers their tokens.
func (r *rig) People(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		s, _ := r.register(name)
		if r.tokens == nil {
			r.tokens = map[string]string{}
		}
		r.tokens[name] = s.Token
	}
}

func (r *rig) mustCaller(name string) matrix.Caller { return r.caller(r.tokens[name]) }

func TestLoginTokensServeOnce(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		r.People(t, "alice")
		c := r.mustCaller("alice")
		_, err := r.LoginToken(t.Context(), c, nil)
		challenge(t, err)
		fresh := func() string {
			got, err := r.LoginToken(t.Context(), c, passwordAuth("alice", "secret", ""))
			if err != nil {
				t.Fatal(err)
			}
			return got.Token
		}
		token := fresh()
		var mu sync.Mutex
		var won int
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				s, err := r.LoginByToken(t.Context(), token, users.LoginRequest{})
				mu.Lock()
				defer mu.Unlock()
				if err == nil && s.UserID == "@alice:hs1" {
					won++
				} else if !matrix.HasCode(err, matrix.CodeForbidden) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won != 1 {
			t.Errorf("%d log-ins by one token", won)
		}
		token = fresh()
		r.now.Add(3 * time.Minute)
		_, err = r.LoginByToken(t.Context(), token, users.LoginRequest{})
		refused(t, err, matrix.CodeForbidden)
	})
}

func TestOpenIDTokensTellWho(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		r.People(t, "alice")
		got, err := r.OpenIDToken(t.Context(), r.mustCaller("alice"))
		if err != nil {
			t.Fatal(err)
		}
		if id, err := r.OpenIDUser(t.Context(), got.Token); err != nil || id != "@alice:hs1" {
			t.Error(id, err)
		}
		r.gone(got.Token) // it opens nothing else
		_, err = r.LoginByToken(t.Context(), got.Token, users.LoginRequest{})
		refused(t, err, matrix.CodeForbidden)
		r.now.Add(2 * time.Hour)
		_, err = r.OpenIDUser(t.Context(), got.Token)
		refused(t, err, matrix.CodeUnknownToken)
	})
}

func TestShuttingAccounts(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		r.People(t, "alice")
		if _, err := r.Create(t.Context(), "console", users.NewAccount{Username: "boss", Password: "secret", Admin: true}); err != nil {
			t.Fatal(err)
		}
		s, err := r.login("boss", "secret", "")
		if err != nil {
			t.Fatal(err)
		}
		boss := r.caller(s.Token)
		refused(t, r.Shut(t.Context(), boss, boss.User, users.Locked, true), matrix.CodeForbidden)
		refused(t, r.Shut(t.Context(), boss, "@nobody:hs1", users.Locked, true), matrix.CodeNotFound)
		refused(t, r.Shut(t.Context(), boss, "@alice:elsewhere", users.Locked, true), matrix.CodeInvalidParam)
		if _, err := r.Register(t.Context(), users.RegisterRequest{Username: "alice", Password: "secret", Auth: dummy, Host: "other.example"}); err != nil {
			t.Fatal(err)
		}
		// Administrators are those of one organisation.
		refused(t, r.Shut(t.Context(), boss, "@alice:other.example", users.Locked, true), matrix.CodeInvalidParam)
		_, err = r.Whois(t.Context(), boss, "@alice:other.example")
		refused(t, err, matrix.CodeForbidden)
		if err := r.Shut(t.Context(), boss, "@alice:hs1", users.Locked, true); err != nil {
			t.Fatal(err)
		}
		_, err = r.Authenticate(t.Context(), r.tokens["alice"], users.Seen{}, false)
		refused(t, err, matrix.CodeUserLocked)
		_, err = r.login("alice", "secret", "")
		refused(t, err, matrix.CodeUserLocked)
		if on, err := r.IsShut(t.Context(), boss, "@alice:hs1", users.Locked); err != nil || !on {
			t.Error(on, err)
		}
		if err := r.Shut(t.Context(), boss, "@alice:hs1", users.Locked, false); err != nil {
			t.Fatal(err)
		}
		if err := r.Shut(t.Context(), boss, "@alice:hs1", users.Suspended, true); err != nil {
			t.Fatal(err)
		}
		if c := r.mustCaller("alice"); !c.Suspended {
			t.Error("a suspended account is not known as one")
		}
		acts, err := r.db.ListAudit(t.Context(), boss.Tenant, 0, 10)
		if err != nil || len(acts) != 4 || acts[0].Act != "user.suspend" || acts[1].Act != "user.unlock" || acts[1].Admin != "@boss:hs1" {
			t.Errorf("%+v, %v", acts, err)
		}
	})
}

func TestAccountsEndAndAreRenewed(t *testing.T) {
	set := func(o *users.Options) { o.People.ValidFor, o.People.RemindBefore = 100*24*time.Hour, 10*24*time.Hour }
	posted(t, set, func(t *testing.T, r *rig, sink *smtptest.Server) {
		// Why one by one: the proof takes its own letters.
		sid := r.prove(sink, matrix.Caller{}, users.ForRegistration, "alice@example.org", "x")
		s, err := r.Register(t.Context(), users.RegisterRequest{Username: "alice", Password: "secret", Auth: emailAuth(sid, "x", "")})
		if err != nil {
			t.Fatal(err)
		}
		tidy := func() {
			t.Helper()
			if err := r.Expire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		tidy()
		r.now.Add(95 * 24 * time.Hour)
		tidy()
		tidy() // told once
		token := tokenIn(t, sink.Await(2))
		r.now.Add(10 * 24 * time.Hour)
		tidy()
		_, err = r.Authenticate(t.Context(), s.Token, users.Seen{}, false)
		refused(t, err, matrix.CodeUserLocked)
		_, err = r.login("alice", "secret", "")
		refused(t, err, matrix.CodeUserLocked)
		if _, _, err := r.RenewByLink(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		r.caller(s.Token)
		_, _, err = r.RenewByLink(t.Context(), token)
		refused(t, err, matrix.CodeNotFound)
		tidy()
		if n := len(sink.Letters()); n != 2 {
			t.Errorf("%d letters", n)
		}
	})
}

func TestImport(t *testing.T) {
	posted(t, func(o *users.Options) { o.Registration.Open = false }, func(t *testing.T, r *rig, sink *smtptest.Server) {
		list := []users.Person{{Username: "anne", Email: "Anne@Example.org", Language: "fr"}, {Username: "Benoît"}, {Username: "anne"}, {Username: "c", Email: "nonsense"}}
		if _, err := r.Import(t.Context(), "test", "hs1", list, true); err == nil {
			t.Fatal("a list with mistakes was taken")
		}
		if _, err := r.GetUser(t.Context(), "@anne:hs1"); err == nil {
			t.Fatal("part of a wrong list was written")
		}
		list = []users.Person{list[0]}
		for i := range 450 {
			list = append(list, users.Person{Username: fmt.Sprintf("p%d", i), DisplayName: "Person"})
		}
		made, err := r.Import(t.Context(), "test", "hs1", list, true)
		if err != nil || len(made) != 451 || made[0].User != "@anne:hs1" {
			t.Fatal(len(made), err)
		}
		token := tokenIn(t, sink.Await(1))
		if u, _ := url.Parse(made[0].Link); u.Query().Get("token") != token {
			t.Error("the letter and the list differ")
		}
		_, err = r.login("anne", "", "")
		refused(t, err, matrix.CodeForbidden)
		if a, err := r.FindActivation(t.Context(), token); err != nil || a.User != "@anne:hs1" {
			t.Error(a, err)
		}
		if _, err := r.Activate(t.Context(), token, "chosen"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.login("anne", "chosen", ""); err != nil {
			t.Error(err)
		}
		_, err = r.Activate(t.Context(), token, "again")
		refused(t, err, matrix.CodeNotFound)
		if _, err := r.Import(t.Context(), "test", "hs1", list[:1], false); err == nil {
			t.Error("a name was given twice")
		}
	})
}

func TestGuests(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		_, err := r.RegisterGuest(t.Context(), "", "")
		refused(t, err, matrix.CodeForbidden)
	})
	each(t, func(o *users.Options) { o.People.Guests = true }, func(t *testing.T, r *rig) {
		s, err := r.RegisterGuest(t.Context(), "visitor", "")
		if err != nil || !r.caller(s.Token).Guest {
			t.Fatal(s, err)
		}
		_, err = r.login(s.UserID.Localpart(), "", "")
		refused(t, err, matrix.CodeForbidden)
	})
}
