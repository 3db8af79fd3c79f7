package users_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"rempart/core/users"
	"rempart/internal/mail"
	"rempart/internal/matrix"
	"rempart/internal/testkit/smtptest"
	"rempart/storage"
)

// withMail gives a service a mail server, and further settings.
func withMail(t *testing.T, sink *smtptest.Server, set func(*users.Options)) func(*users.Options) {
	return func(o *users.Options) {
		sender, err := mail.NewSender(mail.Options{
			Server: sink.Addr, Security: mail.StartTLS, From: "no-reply@hs1.example", Dial: (&net.Dialer{}).DialContext, Roots: sink.Roots,
		})
		if err != nil {
			t.Fatal(err)
		}
		o.People.Mail, o.People.PublicURL = sender, "https://chat.example"
		if set != nil {
			set(o)
		}
	}
}

// posted runs a test on both engines, each with a mail server of its own.
func posted(t *testing.T, set func(*users.Options), fn func(t *testing.T, r *rig, sink *smtptest.Server)) {
	t.Helper()
	var sink *smtptest.Server
	each(t, func(o *users.Options) {
		sink = smtptest.New(t)
		withMail(t, sink, set)(o)
	}, func(t *testing.T, r *rig) { fn(t, r, sink) })
}

// tokenIn is the secret of the link in a letter.
func tokenIn(t *testing.T, l smtptest.Letter) string {
	t.Helper()
	u, err := url.Parse(l.Link(t))
	if err != nil || u.Host != "chat.example" {
		t.Fatalf("link %q, %v", l.Link(t), err)
	}
	return u.Query().Get("token")
}

func emailAuth(sid, secret, session string) json.RawMessage {
	b, _ := json.Marshal(map[string]any{
		"type": "m.login.email.identity", "session": session, "threepid_creds": users.EmailCreds{SID: sid, ClientSecret: secret},
	})
	return b
}

// prove asks for a letter, opens its link and returns the proof's id.
func (r *rig) prove(sink *smtptest.Server, c matrix.Caller, purpose users.EmailPurpose, address, secret string) string {
	r.t.Helper()
	before := len(sink.Letters())
	sid, err := r.RequestEmail(r.t.Context(), c, users.EmailRequest{Purpose: purpose, Email: address, ClientSecret: secret, SendAttempt: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.ConfirmEmail(r.t.Context(), tokenIn(r.t, sink.Await(before+1))); err != nil {
		r.t.Fatal(err)
	}
	return sid
}

func TestRegistrationWithAnAddress(t *testing.T) {
	rules, err := mail.ParseRules([]string{"prefecture.fr"})
	if err != nil {
		t.Fatal(err)
	}
	set := func(o *users.Options) {
		o.People.Emails = rules
		o.People.Terms = []users.Document{{ID: "cgu", Version: "2", Texts: []users.DocumentText{{Language: "fr", Name: "CGU", URL: "https://x.fr/cgu"}}}}
	}
	posted(t, set, func(t *testing.T, r *rig, sink *smtptest.Server) {
		ask := func(address string, attempt int64) (string, error) {
			return r.RequestEmail(t.Context(), matrix.Caller{}, users.EmailRequest{
				Purpose: users.ForRegistration, Email: address, ClientSecret: "s3cret", SendAttempt: attempt, Language: "fr"})
		}
		_, err := ask("eve@evilprefecture.fr", 1)
		refused(t, err, matrix.CodeThreepidDenied)
		_, err = ask("eve@prefecture.fr\r\nBcc: x@y.fr", 1)
		refused(t, err, matrix.CodeInvalidEmail)
		q := users.RegisterRequest{Username: "alice", Password: "secret", Auth: dummy}
		_, err = r.Register(t.Context(), q)
		session := challenge(t, err)
		params, _ := json.Marshal(matrix.AsError(err).Extra["params"])
		if string(params) != `{"m.login.terms":{"policies":{"cgu":{"fr":{"name":"CGU","url":"https://x.fr/cgu"},"version":"2"}}}}` {
			t.Errorf("params %s", params)
		}
		sid, err := ask("Alice@Prefecture.FR", 1)
		if err != nil {
			t.Fatal(err)
		}
		q.Auth = emailAuth(sid, "s3cret", session)
		_, err = r.Register(t.Context(), q) // out of order: the terms come first
		refused(t, err, matrix.CodeForbidden)
		q.Auth = json.RawMessage(fmt.Sprintf(`{"type":"m.login.terms","session":%q}`, session))
		_, err = r.Register(t.Context(), q)
		challenge(t, err)
		q.Auth = emailAuth(sid, "s3cret", session)
		_, err = r.Register(t.Context(), q)
		if refused(t, err, matrix.CodeThreepidAuthFailed); matrix.AsError(err).Status != 401 {
			t.Error(err)
		}
		letter := sink.Await(1)
		if head, text := letter.Text(t); head.Get("To") != "<alice@prefecture.fr>" || text[:7] != "Bonjour" {
			t.Errorf("%v %q", head, text)
		}
		if again, err := ask("alice@prefecture.fr", 1); err != nil || again != sid || len(sink.Letters()) != 1 {
			t.Errorf("the same attempt: %q, %v, %d letters", again, err, len(sink.Letters()))
		}
		if _, err := r.ConfirmEmail(t.Context(), tokenIn(t, letter)); err != nil {
			t.Fatal(err)
		}
		q.Auth = emailAuth(sid, "wrong", session)
		_, err = r.Register(t.Context(), q)
		refused(t, err, matrix.CodeNoValidSession)
		q.Auth = emailAuth(sid, "s3cret", session)
		s, err := r.Register(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		c := r.caller(s.Token)
		if list, err := r.Threepids(t.Context(), c); err != nil || len(list) != 1 || list[0].Address != "alice@prefecture.fr" {
			t.Errorf("%+v, %v", list, err)
		}
		if docs, err := r.db.ListAcceptedTerms(t.Context(), c.UserNID); err != nil || len(docs) != 1 || docs[0].Version != "2" {
			t.Errorf("%+v, %v", docs, err)
		}
		_, err = ask("alice@prefecture.fr", 2)
		refused(t, err, matrix.CodeThreepidInUse)
		id := users.Identifier{Type: "m.id.thirdparty", Medium: "email", Address: "ALICE@prefecture.fr"}
		in, err := r.Login(t.Context(), users.LoginRequest{Identifier: id, Password: "secret"})
		if err != nil || in.UserID != "@alice:hs1" {
			t.Errorf("log-in by address: %+v, %v", in, err)
		}
		id.Address = "nobody@prefecture.fr"
		_, err = r.Login(t.Context(), users.LoginRequest{Identifier: id, Password: "secret"})
		refused(t, err, matrix.CodeForbidden)
	})
}

func TestResetByAddress(t *testing.T) {
	posted(t, nil, func(t *testing.T, r *rig, sink *smtptest.Server) {
		r.People(t, "alice", "bob")
		alice, bob := r.mustCaller("alice"), r.mustCaller("bob")
		sid := r.prove(sink, alice, users.ForAccount, "alice@example.org", "one")
		if err := r.AddThreepid(t.Context(), bob, users.EmailCreds{SID: sid, ClientSecret: "one"}, passwordAuth("bob", "secret", "")); !matrix.HasCode(err, matrix.CodeNoValidSession) {
			t.Errorf("bob took alice's proof: %v", err)
		}
		if err := r.AddThreepid(t.Context(), alice, users.EmailCreds{SID: sid, ClientSecret: "one"}, passwordAuth("alice", "secret", "")); err != nil {
			t.Fatal(err)
		}
		if err := r.AddThreepid(t.Context(), alice, users.EmailCreds{SID: sid, ClientSecret: "one"}, passwordAuth("alice", "secret", "")); err == nil {
			t.Error("a proof served twice")
		}
		// A proof for another purpose resets nothing.
		other := r.prove(sink, bob, users.ForAccount, "bob@example.org", "two")
		change := users.PasswordChange{NewPassword: "fresh", Auth: emailAuth(other, "two", "")}
		refused(t, r.ChangePassword(t.Context(), matrix.Caller{}, change), matrix.CodeNoValidSession)
		sid = r.prove(sink, matrix.Caller{}, users.ForReset, "alice@example.org", "three")
		change.Auth = emailAuth(sid, "three", "")
		refused(t, r.ChangePassword(t.Context(), bob, change), matrix.CodeForbidden) // alice's address on bob's session
		sid = r.prove(sink, matrix.Caller{}, users.ForReset, "alice@example.org", "four")
		change.Auth = emailAuth(sid, "four", "")
		if err := r.ChangePassword(t.Context(), matrix.Caller{}, change); err != nil {
			t.Fatal(err)
		}
		r.gone(r.tokens["alice"])
		if _, err := r.login("alice", "fresh", ""); err != nil {
			t.Error(err)
		}
		refused(t, r.ChangePassword(t.Context(), matrix.Caller{}, change), matrix.CodeNoValidSession) // it served once
		// Nobody learns who has an account.
		before := len(sink.Letters())
		if _, err := r.RequestEmail(t.Context(), matrix.Caller{}, users.EmailRequest{Purpose: users.ForReset, Email: "nobody@example.org", ClientSecret: "x"}); err != nil {
			t.Error(err)
		}
		for n := before + 1; ; n++ { // the news of alice's new password may come first
			if l := sink.Await(n); l.To[0] == "nobody@example.org" {
				break
			}
		}
	})
}

func TestAddressesWithoutMail(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		_, c := r.register("alice")
		_, err := r.RequestEmail(t.Context(), c, users.EmailRequest{Purpose: users.ForAccount, Email: "a@b.org", ClientSecret: "x"})
		refused(t, err, matrix.CodeThreepidMediumNotSupported)
		refused(t, r.ChangePassword(t.Context(), matrix.Caller{}, users.PasswordChange{NewPassword: "x"}), matrix.CodeMissingToken)
	})
	each(t, func(o *users.Options) { o.People.EmailRequired = true }, func(t *testing.T, r *rig) {
		_, err := r.Register(t.Context(), users.RegisterRequest{Username: "eve", Password: "x", Auth: dummy})
		refused(t, err, matrix.CodeForbidden) // fail closed: an address is asked for and none can be proven
	})
}

func TestFailedLoginsAreLimited(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		r.register("alice")
		r.register("bob")
		try := func(name, password, ip string) error {
			_, err := r.Login(t.Context(), users.LoginRequest{Identifier: users.Identifier{Type: "m.id.user", User: name}, Password: password, IP: ip})
			return err
		}
		for range 10 {
			refused(t, try("alice", "wrong", "192.0.2.1"), matrix.CodeForbidden)
		}
		refused(t, try("bob", "wrong", "192.0.2.1"), matrix.CodeForbidden) // the eleventh from that address
		refused(t, try("bob", "secret", "192.0.2.1"), matrix.CodeLimitExceeded)
		if err := try("bob", "secret", "192.0.2.2"); err != nil {
			t.Error(err)
		}
		refused(t, try("ALICE", "wrong", "192.0.2.3"), matrix.CodeForbidden)
		refused(t, try("@alice:hs1", "secret", "192.0.2.4"), matrix.CodeLimitExceeded)
		for i := range 11 {
			refused(t, try("nobody"+fmt.Sprint(i), "wrong", fmt.Sprintf("2001:db8::%x", i)), matrix.CodeForbidden)
		}
		refused(t, try("bob", "secret", "2001:db8::ffff"), matrix.CodeLimitExceeded) // one subscriber has all of these
		r.now.Add(time.Minute)
		if err := try("alice", "secret", "192.0.2.4"); err != nil {
			t.Error(err)
		}
	})
}

func TestImportedHashesAreMadeAnew(t *testing.T) {
	each(t, func(o *users.Options) { o.People.BcryptPepper = "pepper" }, func(t *testing.T, r *rig) {
		_, c := r.register("alice")
		old, err := bcrypt.GenerateFromPassword([]byte("été-secret"+"pepper"), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		change := &storage.Change{}
		change.Guard(storage.UpdatePassword(c.UserNID, string(old)))
		if err := r.db.Commit(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		_, err = r.login("alice", "wrong", "")
		refused(t, err, matrix.CodeForbidden)
		if _, err := r.login("alice", "e\u0301te\u0301-secret", ""); err != nil { // the same password, written otherwise
			t.Fatal(err)
		}
		u, err := r.GetUser(t.Context(), "@alice:hs1")
		if err != nil || u.Password[:10] != "$argon2id$" {
			t.Errorf("%q, %v", u.Password, err)
		}
		if _, err := r.login("alice", "e\u0301te\u0301-secret", ""); err != nil {
			t.Error("the new hash does not know the password", err)
		}
	})
}

func TestPasswordPolicy(t *testing.T) {
	each(t, func(o *users.Options) { o.People.Policy = users.PasswordPolicy{MinLength: 8, MinKinds: 2} }, func(t *testing.T, r *rig) {
		for _, weak := range []string{"short1", "onlyletters", "Alice-Martin", "ééééééé"} {
			_, err := r.Register(t.Context(), users.RegisterRequest{Username: "alice-martin", Password: weak, Auth: dummy})
			refused(t, err, matrix.CodeWeakPassword)
		}
		if _, err := r.Register(t.Context(), users.RegisterRequest{Username: "alice", Password: "long enough 1", Auth: dummy}); err != nil {
			t.Error(err)
		}
	})
}
