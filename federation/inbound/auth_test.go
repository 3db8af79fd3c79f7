package inbound_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rempart/federation/client"
	"rempart/federation/inbound"
	"rempart/federation/keys"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// published answers for the servers whose keys these are.
type published []matrix.SigningKey

func (p published) ServerKeys(_ context.Context, server matrix.ServerName) (json.RawMessage, error) {
	for _, k := range p {
		if k.ServerName == server {
			own := keys.New(keys.Options{Own: map[matrix.ServerName][]matrix.SigningKey{server: {k}}, Default: server})
			return own.Publish(server)
		}
	}
	return nil, errors.New("unreachable")
}

func key(t *testing.T, server matrix.ServerName) matrix.SigningKey {
	k, err := matrix.GenerateSigningKey(server)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// entrance is a router with two signed routes, of the servers us.org and us2.org.
func entrance(t *testing.T, db *storage.DB, others ...matrix.SigningKey) (h http.Handler, own matrix.SigningKey, heard *[]matrix.ServerName) {
	own, heard = key(t, "us.org"), new([]matrix.ServerName)
	ring := keys.New(keys.Options{DB: db, Fetch: published(others), Default: "us.org", Own: map[matrix.ServerName][]matrix.SigningKey{
		"us.org": {own}, "us2.org": {key(t, "us2.org")}}})
	auth := inbound.Authenticator{Keys: ring, Heard: func(s matrix.ServerName) { *heard = append(*heard, s) },
		Admit: func(_ context.Context, s, ours matrix.ServerName) error {
			if s == "refused.org" || s == "b.org" && ours == "us2.org" {
				return matrix.Forbidden("We do not talk to you.")
			}
			return nil
		}}
	r := httpx.New(httpx.Options{ServerAuth: auth, MaxBody: 1000})
	answer := func(_ context.Context, c matrix.Caller, p httpx.Path, in map[string]json.RawMessage) (map[string]any, error) {
		return map[string]any{"from": c.Server, "to": c.Destination, "var": p.Var("x"), "n": len(in)}, nil
	}
	httpx.Handle(r, "PUT", "/f/{x}", httpx.Route{Access: httpx.Server}, answer)
	httpx.Handle(r, "GET", "/f/{x}", httpx.Route{Access: httpx.Server}, answer)
	return r, own, heard
}

// attempt is a request and what it claims of itself.
type attempt struct {
	method, uri, body                   string
	origin, destination                 matrix.ServerName
	signedMethod, signedURI, signedBody string // where they differ from what is sent
	header                              string // instead of a good one
}

func (a attempt) send(t *testing.T, h http.Handler, k matrix.SigningKey) (int, string) {
	t.Helper()
	or := func(s, def string) string {
		if s != "" {
			return s
		}
		return def
	}
	var content []byte
	if body := or(a.signedBody, a.body); body != "" {
		content = []byte(body)
	}
	signed, err := client.SignedRequest(or(a.signedMethod, a.method), or(a.signedURI, a.uri), a.origin, a.destination, content)
	if err != nil {
		t.Fatal(err)
	}
	header := `X-Matrix origin="` + string(a.origin) + `",key="` + k.KeyID + `",sig="` +
		base64.RawStdEncoding.EncodeToString(ed25519.Sign(k.Private, signed)) + `"`
	if a.destination != "" {
		header += `,destination="` + string(a.destination) + `"`
	}
	req := httptest.NewRequest(a.method, a.uri, strings.NewReader(a.body))
	if a.header != "none" {
		req.Header.Set("Authorization", or(a.header, header))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

func TestSignedRequests(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		a, b := key(t, "a.org"), key(t, "b.org")
		a.KeyID, b.KeyID = "ed25519:same", "ed25519:same"
		h, own, heard := entrance(t, db, a, b, key(t, "refused.org"))
		good := attempt{method: "PUT", uri: "/f/a%2Fb?x=%20y&z", body: `{"b":[1,2],"a":"é"}`, origin: "a.org", destination: "us.org"}
		with := func(f func(*attempt)) attempt {
			c := good
			f(&c)
			return c
		}
		for _, c := range []struct {
			name   string
			key    matrix.SigningKey
			a      attempt
			status int
			want   string
		}{
			{"good", a, good, 200, `{"from":"a.org","n":2,"to":"us.org","var":"a/b"}`},
			{"without a body", a, attempt{method: "GET", uri: "/f/1", origin: "a.org", destination: "us.org"}, 200, `"n":0`},
			{"to our other server", a, with(func(x *attempt) { x.destination = "us2.org" }), 200, `"to":"us2.org"`},
			{"without destination", a, with(func(x *attempt) { x.destination = "" }), 200, `"to":"us.org"`},
			{"other spelling of the same JSON", a, with(func(x *attempt) { x.signedBody = `{ "a" : "\u00e9", "b":[1,2]}` }), 200, `"n":2`},
			{"not signed", a, with(func(x *attempt) { x.header = "none" }), 401, "M_UNAUTHORIZED"},
			{"a user's token", a, with(func(x *attempt) { x.header = "Bearer token" }), 401, "M_UNAUTHORIZED"},
			{"wrong destination", a, with(func(x *attempt) { x.destination = "b.org" }), 401, "M_UNAUTHORIZED"},
			{"forged origin", b, good, 401, "M_UNAUTHORIZED"},
			{"a server without keys", a, with(func(x *attempt) { x.origin = "gone.org" }), 401, "M_UNAUTHORIZED"},
			{"ourselves", own, with(func(x *attempt) { x.origin = "us.org" }), 401, "M_UNAUTHORIZED"},
			{"a server that is refused", a, with(func(x *attempt) { x.origin = "refused.org" }), 403, "M_FORBIDDEN"},
			{"a server that one of ours refuses", b, with(func(x *attempt) { x.origin, x.destination = "b.org", "us2.org" }), 403, "M_FORBIDDEN"},
			{"the same to the other one", b, with(func(x *attempt) { x.origin = "b.org" }), 200, `"from":"b.org"`},
			{"another body", a, with(func(x *attempt) { x.signedBody = `{"a":"é","b":[1,3]}` }), 401, "M_UNAUTHORIZED"},
			{"another target", a, with(func(x *attempt) { x.signedURI = "/f/a%2Fb?x=%20y" }), 401, "M_UNAUTHORIZED"},
			{"another method", a, with(func(x *attempt) { x.signedMethod = "POST" }), 401, "M_UNAUTHORIZED"},
			{"no JSON", a, with(func(x *attempt) { x.body, x.signedBody = "{", "{}" }), 400, "M_NOT_JSON"},
			{"a large body", a, with(func(x *attempt) { x.body = `{"x":"` + strings.Repeat("y", 2000) + `"}` }), 413, "M_TOO_LARGE"},
		} {
			*heard = nil
			status, body := c.a.send(t, h, c.key)
			if status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("%s: %d %s", c.name, status, body)
			}
			if (len(*heard) == 1) != (c.status == 200) {
				t.Errorf("%s: heard %v", c.name, *heard)
			}
		}
	})
}

// A server whose keys have run out and that publishes none anew is nobody.
func TestExpiredKeysSignNoRequests(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		k := key(t, "a.org")
		for _, age := range []time.Duration{time.Hour, -time.Hour} {
			change := &storage.Change{}
			change.Add(&storage.ServerKeyRow{ServerKey: storage.ServerKey{Server: "a.org", KeyID: k.KeyID, Public: k.Public(),
				ValidUntil: time.Now().Add(age).UnixMilli()}})
			if err := db.Commit(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			h, _, _ := entrance(t, db)
			status, body := attempt{method: "GET", uri: "/f/1", origin: "a.org", destination: "us.org"}.send(t, h, k)
			if want := map[bool]int{true: 200, false: 401}[age > 0]; status != want {
				t.Errorf("valid for %v: %d %s", age, status, body)
			}
		}
	})
}
