package admin

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"rempart/internal/testkit/live"
)

// client asks one server in the name of its administrator.
type client struct {
	t     *testing.T
	url   string
	token string
}

// ask makes a request and gives its status and JSON.
func (c *client) ask(method, path, body string) (int, map[string]any) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var out map[string]any
	_ = json.Unmarshal(raw, &out)
	return res.StatusCode, out
}

// must is ask that has to succeed.
func (c *client) must(method, path, body string) map[string]any {
	c.t.Helper()
	status, out := c.ask(method, path, body)
	if status/100 != 2 {
		c.t.Fatalf("%s %s: %d %v", method, path, status, out)
	}
	return out
}

// administrator makes an account by the shared secret that servers of tests have.
func administrator(t *testing.T, url string) *client {
	t.Helper()
	c := &client{t: t, url: url}
	nonce := c.must("GET", "/_synapse/admin/v1/register", "")["nonce"].(string)
	mac := hmac.New(sha1.New, []byte("live"))
	mac.Write([]byte(nonce + "\x00boss\x00boss-password\x00admin"))
	body := fmt.Sprintf(`{"nonce":%q,"username":"boss","password":"boss-password","admin":true,"mac":%q}`, nonce, hex.EncodeToString(mac.Sum(nil)))
	c.token = c.must("POST", "/_synapse/admin/v1/register", body)["access_token"].(string)
	return c
}

// row is a line of docs/spec/admin.tsv.
type row struct{ api, domain, method, path, priority string }

func rows(t *testing.T) (out []row) {
	t.Helper()
	text, err := os.ReadFile("../../docs/spec/admin.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		f := strings.Split(line, "\t")
		if len(f) != 5 {
			t.Fatalf("line %d has %d columns", i+1, len(f))
		}
		if i > 0 {
			out = append(out, row{f[0], f[1], f[2], f[3], f[4]})
		}
	}
	return out
}

// TestEveryCallIsKnown asks for every row that interfaces need. What belongs to an authentication service of its own
// (mas-admin), which is another server, is left out: interfaces ask for it only where there is one.
func TestEveryCallIsKnown(t *testing.T) {
	s := live.Start(t, live.Options{})
	c := administrator(t, s.URL)
	asked := 0
	for _, r := range rows(t) {
		if r.api == "mas-admin" || r.priority != "P0" && r.priority != "P1" {
			continue
		}
		asked++
		path := strings.NewReplacer("{user_id}", "@boss:localhost", "{room_id}", "!none:localhost", "{room_id_or_alias}", "!none:localhost",
			"{event_id}", "$none").Replace(r.path)
		path = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "1")
		if status, body := c.ask(r.method, path, "{}"); body["errcode"] == "M_UNRECOGNIZED" || status >= 500 || body == nil {
			t.Errorf("%s %s: %d %v", r.method, r.path, status, body)
		}
	}
	if asked < 90 {
		t.Errorf("only %d rows were asked for", asked)
	}
}

// TestFirstMinutesOfAnInterface makes the requests that Ketesa makes when somebody logs in and opens its pages, in their
// order, and looks for what it reads from the answers.
func TestFirstMinutesOfAnInterface(t *testing.T) {
	s := live.Start(t, live.Options{})
	administrator(t, s.URL)
	alice := &client{t: t, url: s.URL}
	alice.token = alice.must("POST", "/_matrix/client/v3/register", `{"username":"alice","password":"alice-password","auth":{"type":"m.login.dummy"}}`)["access_token"].(string)
	room := alice.must("POST", "/_matrix/client/v3/createRoom", `{"name":"Agora","preset":"public_chat"}`)["room_id"].(string)

	c := &client{t: t, url: s.URL}
	if status, body := c.ask("GET", "/.well-known/matrix/client", ""); status != http.StatusNotFound || body == nil { // none is configured
		t.Error(status, body)
	}
	c.must("GET", "/_matrix/client/versions", "")
	if c.must("GET", "/_matrix/client/v3/login", "")["flows"] == nil {
		t.Error("no flows of log-in")
	}
	for _, path := range []string{"/_matrix/client/v1/auth_metadata", "/_matrix/client/unstable/org.matrix.msc2965/auth_metadata"} {
		if status, _ := c.ask("GET", path, ""); status != http.StatusNotFound { // no other log-in is offered
			t.Error(path, status)
		}
	}
	in := c.must("POST", "/_matrix/client/v3/login", `{"device_id":null,"initial_device_display_name":"Ketesa","type":"m.login.password",
		"identifier":{"type":"m.id.user","user":"boss"},"password":"boss-password"}`)
	if in["user_id"] != "@boss:localhost" || in["device_id"] == nil {
		t.Error(in)
	}
	c.token = in["access_token"].(string)
	if v, _ := c.must("GET", "/_synapse/admin/v1/server_version", "")["server_version"].(string); v == "" {
		t.Error("no version")
	}
	c.must("GET", "/_matrix/client/v3/profile/@boss:localhost", "")

	users := c.must("GET", "/_synapse/admin/v3/users?from=0&limit=10&deactivated=false&locked=false&order_by=name&dir=f", "")
	if users["total"] != 2.0 || users["users"].([]any)[0].(map[string]any)["name"] != "@alice:localhost" {
		t.Error(users)
	}
	const one = "/_synapse/admin/v2/users/%40alice%3Alocalhost"
	if u := c.must("GET", one, ""); u["threepids"] == nil || u["external_ids"] == nil || u["is_guest"] != false {
		t.Error(u)
	}
	page := "?from=0&limit=10&order_by=id&dir=f"
	for path, key := range map[string]string{
		one + "/devices" + page: "devices", "/_synapse/admin/v1/users/%40alice%3Alocalhost/joined_rooms" + page: "joined_rooms",
		"/_synapse/admin/v1/users/%40alice%3Alocalhost/memberships" + page:                              "memberships",
		"/_synapse/admin/v1/users/%40alice%3Alocalhost/pushers" + page:                                  "pushers",
		"/_synapse/admin/v1/whois/%40alice%3Alocalhost":                                                 "devices",
		"/_synapse/admin/v1/users/%40alice%3Alocalhost/media?from=0&limit=10&order_by=created_ts&dir=b": "media",
		"/_synapse/admin/v1/experimental_features/%40alice%3Alocalhost":                                 "features",
		"/_synapse/admin/v1/users/%40alice%3Alocalhost/accountdata":                                     "account_data",
		"/_synapse/admin/v1/rooms?from=0&limit=10&order_by=name&dir=f":                                  "rooms",
		"/_synapse/admin/v1/rooms/" + url.PathEscape(room) + "/members" + page:                          "members",
		"/_synapse/admin/v1/rooms/" + url.PathEscape(room) + "/state" + page:                            "state",
		"/_synapse/admin/v1/room/" + url.PathEscape(room) + "/media" + page:                             "local",
		"/_synapse/admin/v1/rooms/" + url.PathEscape(room) + "/forward_extremities" + page:              "results",
		"/_synapse/admin/v1/event_reports?from=0&limit=10&order_by=received_ts&dir=b":                   "event_reports",
		"/_synapse/admin/v1/user_reports?from=0&limit=10&order_by=received_ts&dir=b":                    "user_reports",
		"/_synapse/admin/v1/registration_tokens?from=0&limit=10&order_by=token&dir=f&valid=true":        "registration_tokens",
		"/_synapse/admin/v1/statistics/users/media?from=0&limit=10&order_by=media_length&dir=b":         "users",
		"/_synapse/admin/v1/statistics/database/rooms":                                                  "rooms",
		"/_synapse/admin/v1/federation/destinations?from=0&limit=10&order_by=destination&dir=f":         "destinations",
		"/_synapse/admin/v1/scheduled_tasks?from=0&limit=10&order_by=id&dir=f":                          "scheduled_tasks",
	} {
		if c.must("GET", path, "")[key] == nil {
			t.Errorf("%s has no %q", path, key)
		}
	}
	const config = "/_matrix/client/v3/user/%40boss%3Alocalhost/account_data/io.element.synapse.admin_client_config"
	if status, body := c.ask("GET", config, ""); status != http.StatusNotFound || body["errcode"] != "M_NOT_FOUND" {
		t.Error(status, body)
	}
	c.must("PUT", config, `{"return_soft_failed_events":false}`)
	c.must("GET", config, "")
	c.must("POST", "/_matrix/client/v3/logout", "{}")
}

// TestWorkOutlivesTheProcess kills the server while it deletes a room; the next one finishes.
func TestWorkOutlivesTheProcess(t *testing.T) {
	s := live.Start(t, live.Options{})
	c := administrator(t, s.URL)
	room := c.must("POST", "/_matrix/client/v3/createRoom", `{"preset":"public_chat"}`)["room_id"].(string)
	for i := range 300 {
		c.must("PUT", fmt.Sprintf("/_matrix/client/v3/rooms/%s/send/m.room.message/%d", url.PathEscape(room), i), `{"msgtype":"m.text","body":"x"}`)
	}
	id := c.must("DELETE", "/_synapse/admin/v2/rooms/"+url.PathEscape(room), `{}`)["delete_id"].(string)
	s.Kill()
	s.Restart()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for ; ; <-again.C {
		status := c.must("GET", "/_synapse/admin/v2/rooms/delete_status/"+id, "")
		if status["status"] == "complete" {
			break
		}
		if status["status"] == "failed" {
			t.Fatal(status)
		}
	}
	if status, _ := c.ask("GET", "/_synapse/admin/v1/rooms/"+url.PathEscape(room), ""); status != http.StatusNotFound {
		t.Error("the room is still there:", status)
	}
}
