package federation

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
)

// commune is one process with three servers; the policy lets a.test and b.test speak with one another, and nobody with c.test.
type commune struct {
	*live.Server
	alice, bob, carol *mx.Client
}

func newCommune(t *testing.T, o live.Options) *commune {
	t.Helper()
	o.Name, o.Tenants, o.Extra = "a.test", []string{"b.test", "c.test"}, "federation:\n  allow: [\"a.test\", \"b.test\"]\n"
	c := &commune{Server: live.Start(t, o)}
	for host, who := range map[string]**mx.Client{"a.test": &c.alice, "b.test": &c.bob, "c.test": &c.carol} {
		var err error
		*who, err = mx.RegisterAt(t.Context(), c.URL, host, "someone")
		mx.Must(t, err)
		if (*who).UserID != "@someone:"+host {
			t.Fatalf("registered %s at %s", (*who).UserID, host)
		}
	}
	return c
}

// eachEngine runs a test on both databases.
func eachEngine(t *testing.T, fn func(t *testing.T, o live.Options)) {
	pgtest.Each(t, func(t *testing.T, db string) {
		o := live.Options{}
		if strings.HasPrefix(db, "postgres") {
			o.Postgres = db
		}
		fn(t, o)
	})
}

func room(id string) string { return "/_matrix/client/v3/rooms/" + url.PathEscape(id) }

func refused(t *testing.T, what string, err error) {
	t.Helper()
	if e, ok := err.(*mx.Error); !ok || e.Status != http.StatusForbidden { //nolint:errorlint // as the client gives it
		t.Errorf("%s: %v", what, err)
	}
}

// recorded are the operations of internal transfers to a server that the ledger holds, with how many.
func (c *commune) recorded(t *testing.T, server string) map[string]int {
	t.Helper()
	out, err := c.Command("ledger", "trace", "server", server)
	if err != nil {
		t.Fatalf("ledger trace: %v\n%s", err, out)
	}
	var trail struct {
		Entries []struct {
			Kind, For, Tenant string
			Types             []string
			Items             int
		} `json:"entries"`
	}
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &trail); err != nil {
		t.Fatalf("ledger trace: %v\n%s", err, out)
	}
	found := map[string]int{}
	for _, e := range trail.Entries {
		if e.Kind != "internal.transfer" {
			continue
		}
		found[e.For]++
		for _, typ := range e.Types {
			found[typ]++
		}
	}
	return found
}

// Two servers of one process invite, join, talk and ask as if they were apart, and all of it is recorded.
func TestServersOfOneProcess(t *testing.T) {
	eachEngine(t, func(t *testing.T, o live.Options) {
		c := newCommune(t, o)
		alice, bob, ctx := c.alice, c.bob, t.Context()
		hall, err := alice.CreateRoom(ctx, map[string]any{"preset": "private_chat", "name": "Hall", "invite": []string{bob.UserID}})
		mx.Must(t, err)
		mx.Must(t, bob.Join(ctx, hall))
		said, err := alice.Send(ctx, hall, "1", "from one server")
		mx.Must(t, err)
		waitFor(t, bob, hall, said, "from one server")
		_, err = bob.Send(ctx, hall, "1", "to the other")
		mx.Must(t, err)
		waitFor(t, alice, hall, "to the other")

		mx.Must(t, alice.Do(ctx, "PUT", room(hall)+"/typing/"+url.PathEscape(alice.UserID), map[string]any{"typing": true, "timeout": 60000}, nil))
		mx.Must(t, alice.Do(ctx, "POST", room(hall)+"/receipt/m.read/"+url.PathEscape(said), map[string]any{}, nil))
		if all := everything(t, bob); !strings.Contains(all, `"m.typing"`) || !strings.Contains(all, `"m.receipt"`) {
			t.Errorf("who types and has read is not told: %s", all)
		}
		talkBetweenDevices(t, c, bob.UserID, true)
		askOfAServer(t, c, bob, 0)
		c.awaitRecorded(t, "b.test", "federation", "m.typing", "m.receipt", "m.direct_to_device", "user/keys/query", "user/keys/claim",
			"query profile", "query directory", "publicRooms", "hierarchy", "media")
		if got := c.recorded(t, "c.test"); len(got) > 0 {
			t.Errorf("c.test was told: %v", got)
		}
	})
}

// awaitRecorded waits until all of these are in the ledger.
func (c *commune) awaitRecorded(t *testing.T, server string, what ...string) {
	t.Helper()
	var got map[string]int
	for end := time.Now().Add(patience); time.Now().Before(end); {
		got = c.recorded(t, server)
		missing := false
		for _, w := range what {
			missing = missing || got[w] == 0
		}
		if !missing {
			return
		}
	}
	t.Errorf("recorded to %s: %v, want %q", server, got, what)
}

// everything is a first sync as text.
func everything(t *testing.T, c *mx.Client) string {
	t.Helper()
	var raw json.RawMessage
	mx.Must(t, c.Do(t.Context(), "GET", "/_matrix/client/v3/sync", nil, &raw))
	return string(raw)
}

// talkBetweenDevices sends somebody a message from alice's device to all of his.
func talkBetweenDevices(t *testing.T, c *commune, to string, arrives bool) {
	t.Helper()
	mx.Must(t, c.alice.Do(t.Context(), "PUT", "/_matrix/client/v3/sendToDevice/m.test/1"+to, map[string]any{
		"messages": map[string]any{to: map[string]any{"*": map[string]string{"secret": "between devices"}}, c.alice.UserID: map[string]any{}}}, nil))
	who := c.bob
	if to == c.carol.UserID {
		who = c.carol
	}
	if got := strings.Contains(everything(t, who), "between devices"); got != arrives {
		t.Errorf("the message to the devices of %s arrives: %t", to, got)
	}
}

// askOfAServer asks a.test in somebody's name for all that servers ask one another for.
func askOfAServer(t *testing.T, c *commune, who *mx.Client, status int) {
	t.Helper()
	alice, ctx := c.alice, t.Context()
	check := func(what string, err error) {
		t.Helper()
		if status == 0 && err != nil {
			t.Errorf("%s: %v", what, err)
		} else if status != 0 {
			refused(t, what, err)
		}
	}
	var keys struct {
		Devices  map[string]json.RawMessage `json:"device_keys"`
		Failures map[string]json.RawMessage `json:"failures"`
	}
	mx.Must(t, who.Do(ctx, "POST", "/_matrix/client/v3/keys/query", map[string]any{"device_keys": map[string]any{alice.UserID: []string{}}}, &keys))
	if (keys.Devices[alice.UserID] != nil) != (status == 0) || (keys.Failures["a.test"] == nil) != (status == 0) {
		t.Errorf("keys: %s failures %s", keys.Devices, keys.Failures)
	}
	mx.Must(t, who.Do(ctx, "POST", "/_matrix/client/v3/keys/claim", map[string]any{"one_time_keys": map[string]any{
		alice.UserID: map[string]string{alice.DeviceID: "signed_curve25519"}}}, &keys))
	if (keys.Failures["a.test"] == nil) != (status == 0) {
		t.Errorf("claim: failures %s", keys.Failures)
	}
	check("profile", who.Do(ctx, "GET", "/_matrix/client/v3/profile/"+url.PathEscape(alice.UserID), nil, nil))

	name := "yard" + strings.SplitN(who.UserID, ":", 2)[1][:1]
	yard, err := alice.CreateRoom(ctx, map[string]any{"preset": "public_chat", "visibility": "public", "name": "Yard", "room_alias_name": name})
	mx.Must(t, err)
	check("alias", who.Do(ctx, "GET", "/_matrix/client/v3/directory/room/"+url.PathEscape("#"+name+":a.test"), nil, nil))
	var list json.RawMessage
	check("directory", who.Do(ctx, "GET", "/_matrix/client/v3/publicRooms?server=a.test", nil, &list))
	if strings.Contains(string(list), yard) != (status == 0) {
		t.Errorf("directory: %s", list)
	}
	mx.Must(t, who.Do(ctx, "GET", "/_matrix/client/v3/publicRooms", nil, &list))
	if strings.Contains(string(list), yard) {
		t.Errorf("a server's rooms are in the directory of another: %s", list)
	}
	if err := who.Do(ctx, "GET", "/_matrix/client/v1/room_summary/"+url.PathEscape(yard), nil, nil); (err == nil) != (status == 0) {
		t.Errorf("summary: %v", err)
	}
	open, err := alice.CreateRoom(ctx, map[string]any{"preset": "public_chat", "initial_state": []any{
		map[string]any{"type": "m.room.history_visibility", "content": map[string]string{"history_visibility": "world_readable"}}}})
	mx.Must(t, err)
	refused(t, "to read a room of another server from outside", who.Do(ctx, "GET", room(open)+"/messages?dir=b", nil, nil))
	check("media", who.Do(ctx, "GET", "/_matrix/client/v1/media/download/"+strings.TrimPrefix(upload(t, alice), "mxc://"), nil, nil))
}

// upload puts up a file, which is JSON so that it can be read back as an answer.
func upload(t *testing.T, c *mx.Client) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL+"/_matrix/media/v3/upload", bytes.NewBufferString(`{}`))
	mx.Must(t, err)
	req.Header.Set("Authorization", "Bearer "+c.Token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	mx.Must(t, err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	mx.Must(t, err)
	var out struct {
		URI string `json:"content_uri"`
	}
	if err := json.Unmarshal(raw, &out); err != nil || out.URI == "" {
		t.Fatalf("upload: %d %s", res.StatusCode, raw)
	}
	return out.URI
}

// A server that the policy does not admit gets nothing from the others, though it is in the same process.
func TestAServerOfTheSameProcessThatIsNotAdmitted(t *testing.T) {
	eachEngine(t, func(t *testing.T, o live.Options) {
		c := newCommune(t, o)
		alice, carol, ctx := c.alice, c.carol, t.Context()
		hall, err := alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
		mx.Must(t, err)
		refused(t, "join", carol.Join(ctx, hall))
		refused(t, "invite", alice.Do(ctx, "POST", room(hall)+"/invite", map[string]string{"user_id": carol.UserID}, nil))
		askOfAServer(t, c, carol, http.StatusForbidden)
		talkBetweenDevices(t, c, carol.UserID, false)
		if got := c.recorded(t, "c.test"); len(got) > 0 {
			t.Errorf("c.test was told: %v", got)
		}
	})
}

// A room's access list holds between servers of one process too.
func TestAccessListsWithinAProcess(t *testing.T) {
	c := newCommune(t, live.Options{})
	alice, bob, ctx := c.alice, c.bob, t.Context()
	hall, err := alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	mx.Must(t, bob.Join(ctx, hall))
	mx.Must(t, alice.Do(ctx, "PUT", room(hall)+"/state/m.room.server_acl/", map[string]any{"allow": []string{"*"}, "deny": []string{"b.test"}}, nil))
	_, err = bob.Send(ctx, hall, "1", "unheard")
	refused(t, "message", err)
	mx.Must(t, bob.Do(ctx, "POST", room(hall)+"/leave", map[string]any{}, nil))
	refused(t, "join", bob.Join(ctx, hall))
	_, err = alice.Send(ctx, hall, "1", "still here")
	mx.Must(t, err)
}
