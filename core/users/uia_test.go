package users_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"rempart/core/users"
	"rempart/internal/matrix"
)

// challenge takes the session out of a 401.
func challenge(t *testing.T, err error) string {
	t.Helper()
	e := matrix.AsError(err)
	session, _ := e.Extra["session"].(string)
	if e.Status != 401 || e.Extra["flows"] == nil || session == "" {
		t.Fatalf("got %v, want a challenge", err)
	}
	return session
}

func passwordAuth(user, password, session string) json.RawMessage {
	b, _ := json.Marshal(map[string]any{
		"type": "m.login.password", "identifier": map[string]string{"type": "m.id.user", "user": user},
		"password": password, "session": session,
	})
	return b
}

func TestPasswordChange(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		s, c := r.register("alice")
		other, err := r.login("alice", "secret", "OTHER")
		if err != nil {
			t.Fatal(err)
		}
		session := challenge(t, r.ChangePassword(t.Context(), c, users.PasswordChange{NewPassword: "new"}))
		wrong := r.ChangePassword(t.Context(), c, users.PasswordChange{NewPassword: "new", KeepOthers: false, Auth: passwordAuth("alice", "wrong", session)})
		if refused(t, wrong, matrix.CodeForbidden); challenge(t, wrong) != session {
			t.Error("the session changed after a wrong password")
		}
		if err := r.ChangePassword(t.Context(), c, users.PasswordChange{NewPassword: "new", KeepOthers: false, Auth: passwordAuth("@alice:hs1", "secret", session)}); err != nil {
			t.Fatal(err)
		}
		r.gone(other.Token)
		r.caller(s.Token)
		_, err = r.login("alice", "secret", "")
		refused(t, err, matrix.CodeForbidden)
		if other, err = r.login("alice", "new", ""); err != nil {
			t.Fatal(err)
		}
		if err := r.ChangePassword(t.Context(), c, users.PasswordChange{NewPassword: "third", KeepOthers: true, Auth: passwordAuth("alice", "new", "")}); err != nil {
			t.Fatal(err)
		}
		r.caller(other.Token) // kept as wished
	})
}

func TestAuthenticationServesOneRequestOfOneUser(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		_, alice := r.register("alice")
		_, bob := r.register("bob")
		of := func(c matrix.Caller, op string, auth json.RawMessage) error {
			_, err := r.Interact(t.Context(), users.Interaction{Operation: op, User: c, Flows: [][]string{{users.StagePassword}}, Auth: auth})
			return err
		}
		session := challenge(t, of(alice, "delete device A", nil))
		for name, err := range map[string]error{
			"another user's session":         of(bob, "delete device A", passwordAuth("bob", "secret", session)),
			"another request":                of(alice, "delete device B", passwordAuth("alice", "secret", session)),
			"another user's password":        of(alice, "delete device A", passwordAuth("bob", "secret", session)),
			"another user without a session": of(alice, "delete device A", passwordAuth("@bob:hs1", "secret", "")),
		} {
			if e := matrix.AsError(err); e.Status != 403 {
				t.Errorf("%s: got %v, want 403", name, err)
			}
		}
		if err := of(alice, "delete device A", passwordAuth("alice", "secret", session)); err != nil {
			t.Fatal(err)
		}
		// What has served is over: the session alone lets nobody pass.
		only := json.RawMessage(fmt.Sprintf(`{"session":%q}`, session))
		challenge(t, of(alice, "delete device A", only))
		challenge(t, of(alice, "delete device A", json.RawMessage(`{"type":"m.login.dummy"}`)))
		refused(t, of(alice, "delete device A", json.RawMessage(`[]`)), matrix.CodeBadJSON)
	})
}

func TestStagesAddUp(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		_, alice := r.register("alice")
		in := users.Interaction{Operation: "op", User: alice, Flows: [][]string{{users.StageDummy, users.StagePassword}}}
		_, err := r.Interact(t.Context(), in)
		if challenge(t, err); matrix.AsError(err).Extra["completed"] != nil {
			t.Error(matrix.AsError(err).Extra)
		}
		in.Auth = dummy
		_, err = r.Interact(t.Context(), in)
		// Spec: client-server-api/#user-interactive-api-in-the-rest-api: clients find the next stage by what is completed.
		if done, _ := matrix.AsError(err).Extra["completed"].([]string); !slices.Equal(done, []string{users.StageDummy}) {
			t.Errorf("completed: %v", done)
		}
		in.Auth = passwordAuth("alice", "secret", challenge(t, err))
		if _, err := r.Interact(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	})
}

func TestClosedRegistration(t *testing.T) {
	each(t, func(o *users.Options) { o.Registration = users.Registration{} }, func(t *testing.T, r *rig) {
		_, err := r.Register(t.Context(), users.RegisterRequest{Username: "eve", Password: "x", Auth: dummy})
		refused(t, err, matrix.CodeForbidden)
		id, err := r.Create(t.Context(), "console", users.NewAccount{Username: "alice", Password: "secret", Admin: true})
		if err != nil || id != "@alice:hs1" {
			t.Fatal(id, err)
		}
		s, err := r.login("alice", "secret", "")
		if err != nil || !r.caller(s.Token).Admin {
			t.Fatal("the administrator cannot log in as one", err)
		}
		acts, err := r.db.ListAudit(t.Context(), r.caller(s.Token).Tenant, 0, 10)
		if err != nil || len(acts) != 1 || acts[0].Admin != "console" || acts[0].Target != "@alice:hs1" || acts[0].Act != "user.create" {
			t.Errorf("audit %+v, %v", acts, err)
		}
	})
}

func TestRegistrationByToken(t *testing.T) {
	each(t, func(o *users.Options) { o.Registration = users.Registration{Tokens: []string{"fr-2026"}} }, func(t *testing.T, r *rig) {
		q := users.RegisterRequest{Username: "alice", Password: "secret", Auth: dummy}
		_, err := r.Register(t.Context(), q)
		session := challenge(t, err)
		q.Auth = json.RawMessage(fmt.Sprintf(`{"type":"m.login.registration_token","token":"no","session":%q}`, session))
		_, err = r.Register(t.Context(), q)
		refused(t, err, matrix.CodeUnauthorized)
		q.Auth = json.RawMessage(fmt.Sprintf(`{"type":"m.login.registration_token","token":"fr-2026","session":%q}`, session))
		if _, err = r.Register(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		token, err := r.db.FindRegistrationToken(t.Context(), "fr-2026")
		if err != nil || token.Completed != 1 {
			t.Errorf("%+v, %v", token, err)
		}
	})
}

func TestRegistrationBySecret(t *testing.T) {
	set := func(o *users.Options) { o.Registration = users.Registration{SharedSecret: "complement"} }
	each(t, set, func(t *testing.T, r *rig) {
		q := users.SecretRegistration{Username: "Boss", Password: "pw", Admin: true}
		fresh := func() {
			nonce, err := r.Nonce()
			if err != nil {
				t.Fatal(err)
			}
			q.Nonce, q.MAC = nonce, macOf("complement", nonce, q)
		}
		fresh()
		q.Admin = false // not what was signed
		_, err := r.RegisterBySecret(t.Context(), q)
		refused(t, err, matrix.CodeForbidden)
		q.Admin = true
		_, err = r.RegisterBySecret(t.Context(), q)
		refused(t, err, matrix.CodeInvalidParam) // the nonce was used
		fresh()
		r.now.Add(2 * time.Minute)
		_, err = r.RegisterBySecret(t.Context(), q)
		refused(t, err, matrix.CodeInvalidParam) // too old
		fresh()
		s, err := r.RegisterBySecret(t.Context(), q)
		if err != nil || s.UserID != "@boss:hs1" || !r.caller(s.Token).Admin {
			t.Fatal(s, err)
		}
	})
}

func TestDeactivate(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		s, c := r.register("alice")
		challenge(t, r.Deactivate(t.Context(), c, true, nil))
		if err := r.Deactivate(t.Context(), c, true, passwordAuth("alice", "secret", "")); err != nil {
			t.Fatal(err)
		}
		r.gone(s.Token)
		_, err := r.login("alice", "secret", "")
		refused(t, err, matrix.CodeForbidden)
		refused(t, r.Available(t.Context(), "alice", ""), matrix.CodeUserInUse)
		_, err = r.GetProfile(t.Context(), "@alice:hs1")
		refused(t, err, matrix.CodeNotFound)
		// This service knows no rooms, as a command's: whoever does may leave them at once.
		if jobs, err := r.db.ListDueJobs(t.Context(), "leave", r.now.Now().UnixMilli(), 9); err != nil || len(jobs) != 1 {
			t.Errorf("%d accounts are to leave their rooms: %v", len(jobs), err)
		}
	})
}
