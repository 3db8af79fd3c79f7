package identity

import (
	"errors"
	"net/url"
	"os"
	"testing"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
)

// engines runs a test on each engine that is asked for.
func engines(t *testing.T, fn func(*testing.T, live.Options)) {
	if os.Getenv("REMPART_TEST_ENGINES") != "postgres" {
		t.Run("sqlite", func(t *testing.T) { fn(t, live.Options{}) })
	}
	if pgtest.Wanted() {
		t.Run("postgres", func(t *testing.T) { fn(t, live.Options{Postgres: pgtest.New(t)}) })
	}
}

// rig is a homeserver with an identity server beside it, and Alice.
type rig struct {
	t     *testing.T
	ids   *identity
	hs    *live.Server
	alice *mx.Client
}

func newRig(t *testing.T, o live.Options) *rig {
	t.Helper()
	r := &rig{t: t, ids: start(t)}
	// The federation is open to nobody who exists: it is there for what identity servers tell.
	o.Extra = "accounts:\n  identity_server: " + r.ids.url + "\nfederation:\n  allow: [nobody.example]\n"
	r.hs = live.Start(t, o)
	r.alice = r.person("alice")
	return r
}

func (r *rig) person(name string) *mx.Client {
	r.t.Helper()
	c, err := mx.Register(r.t.Context(), r.hs.URL, name)
	mx.Must(r.t, err)
	return c
}

// byAddress is the body of an invitation.
func (r *rig) byAddress(address string) object {
	return object{"id_server": r.ids.host(), "id_access_token": token, "medium": "email", "address": address}
}

func (r *rig) invite(c *mx.Client, room string, body object) error {
	return c.Do(r.t.Context(), "POST", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/invite", body, nil)
}

// membership is somebody's in a room, "" for none, as another member sees it.
func (r *rig) membership(room, user string) string {
	r.t.Helper()
	var content struct{ Membership string }
	path := "/_matrix/client/v3/rooms/" + url.PathEscape(room) + "/state/m.room.member/" + url.PathEscape(user)
	if err := r.alice.Do(r.t.Context(), "GET", path, nil, &content); err != nil {
		return ""
	}
	return content.Membership
}

func (r *rig) refused(err error, status int, code string) {
	r.t.Helper()
	var e *mx.Error
	if !errors.As(err, &e) || e.Status != status || e.Code != code {
		r.t.Errorf("%v, want %d %s", err, status, code)
	}
}

// Whoever is known by an address is invited; who is not brings the identity server's proof with his join, or the identity server
// tells his homeserver.
func TestInvitationsByAddress(t *testing.T) {
	engines(t, func(t *testing.T, o live.Options) {
		r := newRig(t, o)
		ctx := t.Context()
		bob, carol, dave := r.person("bob"), r.person("carol"), r.person("dave")
		r.ids.tell("know", object{"address": "bob@example.org", "user": "@bob:localhost"})
		room, err := r.alice.CreateRoom(ctx, map[string]any{"name": "The room", "invite_3pid": []object{r.byAddress("Bob@example.org")}})
		mx.Must(t, err)
		if got := r.membership(room, "@bob:localhost"); got != "invite" {
			t.Errorf("Bob, whose address is known: %q", got)
		}
		mx.Must(t, bob.Join(ctx, room))

		for _, address := range []string{"carol@example.org", "dave@example.org"} {
			mx.Must(t, r.invite(r.alice, room, r.byAddress(address)))
		}
		waiting := r.ids.tell("bind", object{"address": "carol@example.org", "user": "@carol:localhost"})
		if len(waiting) != 1 || waiting[0].Room != room || waiting[0].Sender != "@alice:localhost" || waiting[0].Name != "The room" {
			t.Fatalf("what waits for Carol: %+v", waiting)
		}
		join := "/_matrix/client/v3/rooms/" + url.PathEscape(room) + "/join"
		proof := object{"third_party_signed": waiting[0].Signed}
		r.refused(dave.Do(ctx, "POST", join, proof, nil), 403, "M_FORBIDDEN") // it is Carol's
		r.refused(carol.Do(ctx, "POST", join, object{}, nil), 403, "M_FORBIDDEN")
		mx.Must(t, carol.Do(ctx, "POST", join, proof, nil))
		if got := r.membership(room, "@carol:localhost"); got != "join" {
			t.Errorf("Carol, who brought the proof: %q", got)
		}

		r.ids.tell("bind", object{"address": "dave@example.org", "user": "@dave:localhost", "server": r.hs.URL})
		if got := r.membership(room, "@dave:localhost"); got != "invite" {
			t.Errorf("Dave, of whom the identity server told: %q", got)
		}
		mx.Must(t, dave.Join(ctx, room))
	})
}

func TestInvitationsByAddressRefused(t *testing.T) {
	r := newRig(t, live.Options{})
	room, err := r.alice.CreateRoom(t.Context(), map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	eve := r.person("eve")
	with := func(key, value string) object {
		b := r.byAddress("x@example.org")
		b[key] = value
		return b
	}
	r.refused(r.invite(r.alice, room, with("id_server", "vector.im")), 403, "M_SERVER_NOT_TRUSTED")
	r.refused(r.invite(r.alice, room, with("medium", "msisdn")), 400, "M_THREEPID_MEDIUM_NOT_SUPPORTED")
	r.refused(r.invite(r.alice, room, with("id_access_token", "")), 400, "M_MISSING_PARAM")
	r.refused(r.invite(r.alice, room, with("id_access_token", "wrong")), 403, "M_UNAUTHORIZED")
	r.refused(r.invite(eve, room, r.byAddress("x@example.org")), 403, "M_FORBIDDEN")
	if waiting := r.ids.tell("bind", object{"address": "x@example.org", "user": "@x:localhost"}); len(waiting) != 0 {
		t.Errorf("letters were written for refused invitations: %+v", waiting)
	}
	r.ids.kill()
	r.refused(r.invite(r.alice, room, r.byAddress("y@example.org")), 502, "M_UNKNOWN")
	_, err = r.alice.CreateRoom(t.Context(), map[string]any{"invite_3pid": []object{r.byAddress("y@example.org")}})
	r.refused(err, 502, "M_UNKNOWN")
}
