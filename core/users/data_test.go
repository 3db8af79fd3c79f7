package users_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"rempart/core/users"
	"rempart/internal/matrix"
	"rempart/storage"
)

// macOf signs a registration as operators' tools do.
func macOf(secret, nonce string, q users.SecretRegistration) string {
	role := "notadmin"
	if q.Admin {
		role = "admin"
	}
	m := hmac.New(sha1.New, []byte(secret))
	fmt.Fprintf(m, "%s\x00%s\x00%s\x00%s", nonce, q.Username, q.Password, role)
	return hex.EncodeToString(m.Sum(nil))
}

// roomsRecorder stands where rooms would be and notes which profiles reached it.
type roomsRecorder struct{ got chan storage.Profile }

func (r roomsRecorder) SetProfile(_ context.Context, _ matrix.UserID, _ int64, p storage.Profile) error {
	r.got <- p
	return nil
}

func (roomsRecorder) LeaveAll(context.Context, matrix.UserID, int64) error { return nil }

func TestProfile(t *testing.T) {
	rec := roomsRecorder{make(chan storage.Profile, 10)}
	each(t, func(o *users.Options) { o.Members = rec }, func(t *testing.T, r *rig) {
		_, alice := r.register("alice")
		_, bob := r.register("bob")
		set := func(c matrix.Caller, name, value string) error {
			return r.SetProfileField(t.Context(), c, alice.User, name, json.RawMessage(value))
		}
		for name, value := range map[string]string{"displayname": `"Alice"`, "avatar_url": `"mxc://hs1/a"`, "m.tz": `"Europe/Paris"`} {
			if err := set(alice, name, value); err != nil {
				t.Fatal(name, err)
			}
		}
		for p := range rec.got { // both fields arrive in rooms, if need be one after the other
			if p.DisplayName == "Alice" && p.AvatarURL == "mxc://hs1/a" {
				break
			}
		}
		p, err := r.GetProfile(t.Context(), alice.User)
		if got, _ := json.Marshal(p); err != nil || string(got) != `{"avatar_url":"mxc://hs1/a","displayname":"Alice","m.tz":"Europe/Paris"}` {
			t.Errorf("%s, %v", got, err)
		}
		refused(t, set(bob, "displayname", `"Eve"`), matrix.CodeForbidden)
		refused(t, set(alice, "displayname", `1`), matrix.CodeBadJSON)
		refused(t, set(alice, "displayname", `"`+strings.Repeat("x", 300)+`"`), matrix.CodeProfileTooLarge)
		refused(t, set(alice, "m.big", `"`+strings.Repeat("x", 65536)+`"`), matrix.CodeProfileTooLarge)
		refused(t, set(alice, "Bad Key", `1`), matrix.CodeInvalidParam)
		refused(t, set(alice, strings.Repeat("k", 256), `1`), matrix.CodeKeyTooLarge)
		if err := set(alice, "m.tz", `null`); err != nil {
			t.Fatal(err)
		}
		_, err = r.GetProfileField(t.Context(), alice.User, "m.tz")
		refused(t, err, matrix.CodeNotFound)
	})
}

func TestAccountDataAndTags(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		_, c := r.register("alice")
		_, bob := r.register("bob")
		set := func(room int64, typ, content string) error {
			return r.SetAccountData(t.Context(), c, room, typ, json.RawMessage(content))
		}
		for _, err := range []error{set(7, "m.fully_read", `{}`), set(0, "m.push_rules", `{}`)} {
			if e := matrix.AsError(err); e.Status != 405 || e.Code != matrix.CodeBadJSON {
				t.Errorf("got %v, want 405 M_BAD_JSON", err)
			}
		}
		if err := set(0, "a", `{"x":1}`); err != nil {
			t.Fatal(err)
		}
		before := r.db.Position()
		if err := set(0, "a", `{"x":2}`); err != nil {
			t.Fatal(err)
		}
		got, err := r.GetAccountData(t.Context(), c, 0, "a")
		if err != nil || string(got) != `{"x":2}` {
			t.Errorf("%s, %v", got, err)
		}
		list, err := r.db.ListAccountData(t.Context(), c.UserNID, before, r.db.Position())
		if err != nil || len(list) != 1 || list[0].Type != "a" {
			t.Errorf("what changed since: %v, %v", list, err)
		}
		_, err = r.GetAccountData(t.Context(), bob, 0, "a")
		refused(t, err, matrix.CodeNotFound)
		var all sync.WaitGroup
		for i := range 20 { // concurrent tags do not undo one another
			all.Go(func() {
				if err := r.SetTag(t.Context(), c, 7, fmt.Sprintf("u.%d", i), json.RawMessage(`{"order":0.5}`)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if err := r.SetTag(t.Context(), c, 7, "u.0", nil); err != nil {
			t.Fatal(err)
		}
		raw, err := r.Tags(t.Context(), c, 7)
		var tags struct{ Tags map[string]any }
		if err != nil || json.Unmarshal(raw, &tags) != nil || len(tags.Tags) != 19 {
			t.Errorf("%s, %v", raw, err)
		}
	})
}

func TestFilters(t *testing.T) {
	each(t, nil, func(t *testing.T, r *rig) {
		_, c := r.register("alice")
		_, bob := r.register("bob")
		store := func(c matrix.Caller, body string) string {
			id, err := r.StoreFilter(t.Context(), c, json.RawMessage(body))
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		one := store(c, `{"room":{"timeline":{"limit":10}}}`)
		two := store(c, `{"event_fields":["type"]}`)
		if one == two || store(c, `{"room": {"timeline": {"limit": 10}}}`) != one || store(bob, `{"x":1}`) != "1" {
			t.Error("numbers of filters are wrong")
		}
		if got, err := r.GetFilter(t.Context(), c, two); err != nil || string(got) != `{"event_fields":["type"]}` {
			t.Errorf("%s, %v", got, err)
		}
		for _, id := range []string{"99", "x", ""} {
			_, err := r.GetFilter(t.Context(), c, id)
			refused(t, err, matrix.CodeNotFound)
		}
		for _, bad := range []string{`{"room":1}`, `{"room":{"timeline":{"limit":-1}}}`, `{"event_format":"x"}`, `{"presence":{"senders":"a"}}`,
			`{"room":{"timeline":{"rooms":["x"]}}}`, `{"room":{"timeline":{"senders":["x"]}}}`, `{"room":{"rooms":["x"]}}`} {
			_, err := r.StoreFilter(t.Context(), c, json.RawMessage(bad))
			refused(t, err, matrix.CodeBadJSON)
		}
	})
}

func TestDirectoryStaysWithinTheTenant(t *testing.T) {
	each(t, func(o *users.Options) { o.People.FindAll = true }, func(t *testing.T, r *rig) {
		_, alice := r.register("alice")
		r.register("al_bert")
		r.register("albert")
		if _, err := r.Register(t.Context(), users.RegisterRequest{Username: "alien", Password: "x", Auth: dummy, Host: "other.example"}); err != nil {
			t.Fatal(err)
		}
		for term, want := range map[string]int{"AL": 2, "al_b": 1, "%": 0, "alien": 0, "alice": 0, "": 0} {
			got, _, err := r.Search(t.Context(), alice, term, 10)
			if err != nil || len(got) != want {
				t.Errorf("%q finds %d (%v), want %d", term, len(got), err, want)
			}
		}
		if got, more, err := r.Search(t.Context(), alice, "al", 1); len(got) != 1 || !more || err != nil {
			t.Error(got, more, err)
		}
	})
}
