package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rempart/config"
	"rempart/internal/httpx"
)

// fuzzer sends anything to every route of the client address, in the name of an administrator.
type fuzzer struct {
	t     *testing.T
	base  string
	dice  *rand.Rand
	names []string // of fields that requests have
	cast  int
	// sent counts requests, done those that were answered 200.
	sent, done int
	actor
}

// actor is whom and what requests speak of. A route that ends his session gets the next one.
type actor struct{ token, user, device, victim, room, event string }

// TestEveryRouteStandsAnyBody: whatever comes, no route panics or answers 500, and what says that it is JSON is.
func TestEveryRouteStandsAnyBody(t *testing.T) {
	rounds := 12
	if os.Getenv("REMPART_PROVE") == "1" {
		rounds = 300
	}
	_, base := served(t, func(c *config.Config) {
		c.Limits.Enabled = false
		c.Registration.SharedSecret = "secret"
		c.Password.Argon2Time, c.Password.Argon2MemoryKiB = 1, 8
	})
	f := &fuzzer{t: t, base: base, dice: rand.New(rand.NewSource(11)), names: fieldNames(t)}
	for _, r := range allRoutes() {
		if strings.HasPrefix(r.Pattern, "/_matrix/federation/") || strings.HasPrefix(r.Pattern, "/_matrix/key/") || r.Alias {
			continue // another listener's
		}
		f.enter()
		for i := range rounds {
			f.try(r, i)
		}
	}
	t.Logf("%d requests, %d of them to an end", f.sent, f.done)
	if f.done < f.sent/20 {
		t.Errorf("only %d of %d requests got as far as a 200: nothing is tested behind the decoding", f.done, f.sent)
	}
}

// fieldNames are the names of all fields that this program reads or writes as JSON.
func fieldNames(t *testing.T) []string {
	t.Helper()
	tag := regexp.MustCompile("json:\"([A-Za-z0-9_.]+)")
	var out []string
	for _, dir := range []string{"clientapi", "adminapi", "mediaapi", "core"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range tag.FindAllSubmatch(text, -1) {
				out = append(out, string(m[1]))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(out)
	if out = slices.Compact(out); len(out) < 200 {
		t.Fatalf("only %d fields were found", len(out))
	}
	return out
}

// enter makes a new actor with a room.
func (f *fuzzer) enter() {
	f.cast++
	f.actor = actor{}
	victim := f.register(fmt.Sprint("victim", f.cast), false)
	me := f.register(fmt.Sprint("admin", f.cast), true)
	f.token, f.user, f.device, f.victim = text(me, "access_token"), text(me, "user_id"), text(me, "device_id"), text(victim, "user_id")
	f.room = text(f.must("POST", "/_matrix/client/v3/createRoom", `{"preset":"public_chat"}`), "room_id")
	f.event = text(f.must("PUT", "/_matrix/client/v3/rooms/"+url.PathEscape(f.room)+"/send/m.room.message/1", `{"body":"x","msgtype":"m.text"}`), "event_id")
}

func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

func (f *fuzzer) register(name string, admin bool) map[string]any {
	nonce := text(f.must("GET", "/_synapse/admin/v1/register", ""), "nonce")
	mac, role := hmac.New(sha1.New, []byte("secret")), "notadmin"
	if admin {
		role = "admin"
	}
	_, _ = io.WriteString(mac, strings.Join([]string{nonce, name, "long enough", role}, "\x00"))
	return f.must("POST", "/_synapse/admin/v1/register", fmt.Sprintf(`{"nonce":%q,"username":%q,"password":"long enough","admin":%v,"mac":%q}`,
		nonce, name, admin, hex.EncodeToString(mac.Sum(nil))))
}

func (f *fuzzer) must(method, path, body string) map[string]any {
	f.t.Helper()
	status, _, answer := f.do(method, path, body)
	var out map[string]any
	if err := json.Unmarshal(answer, &out); status != 200 || err != nil {
		f.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	return out
}

func (f *fuzzer) do(method, path, body string) (status int, kind string, answer []byte) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, f.base+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
	if f.token != "" {
		req.Header.Set("Authorization", "Bearer "+f.token)
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // redirects are answers
	if err != nil {
		f.t.Fatalf("%s %s with %.300q: %v", method, path, body, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		f.t.Errorf("%s %s with %.300q: %v", method, path, body, err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), answer
}

// try sends one request: the first few rounds whole nonsense, then objects of fields that exist.
func (f *fuzzer) try(r httpx.RouteInfo, round int) {
	f.t.Helper()
	path := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllStringFunc(r.Pattern, func(name string) string { return f.variable(name, round) })
	query := url.Values{"timeout": {"0"}}
	for range f.dice.Intn(4) {
		names := []string{"limit", "from", "to", "since", "dir", "filter", "at", "ts", "version", "kind", "user_id", "room_id", "width", "height",
			"method", "order_by", "search_term", "set_presence", "via", "server", "format", "membership", "recurse", "next_token", "timeout_ms"}
		query.Set(names[f.dice.Intn(len(names))], []string{"", "-1", "0", "1", "9223372036854775808", "b", "f", "\x00", "{", f.room, f.user, "s1_2"}[f.dice.Intn(12)])
	}
	whole := []string{``, `null`, `[]`, `{"a":`, `"\u0000"`, strings.Repeat(`{"a":`, 2000), `{}`}
	body := f.object(3)
	if round < len(whole) {
		body = whole[round]
	}
	path += "?" + query.Encode()
	status, kind, answer := f.do(r.Method, path, body)
	if f.sent++; status == 200 {
		f.done++
	}
	if status >= 500 && status != http.StatusNotImplemented && status != http.StatusGatewayTimeout && !(status == http.StatusBadGateway) {
		f.t.Errorf("%s %s with %.500q: %d %s", r.Method, path, body, status, answer)
	}
	if r.Method != "HEAD" && strings.HasPrefix(kind, "application/json") && !json.Valid(answer) {
		f.t.Errorf("%s %s with %.500q: %d, no JSON: %.300q", r.Method, path, body, status, answer)
	}
	if status == http.StatusUnauthorized || strings.Contains(r.Pattern, "logout") || status == http.StatusForbidden && round%4 == 3 {
		f.enter()
	}
}

// variable is a value for a part of a path: most often one that fits.
func (f *fuzzer) variable(name string, round int) string {
	fit := map[string]string{"{roomID}": f.room, "{roomIDOrAlias}": f.room, "{eventID}": f.event, "{userID}": f.user, "{deviceID}": f.device,
		"{eventType}": "m.room.message", "{roomAlias}": "#x:test.example.org", "{version}": "1", "{serverName}": "test.example.org"}[name]
	switch {
	case name == "{userID}" && f.dice.Intn(2) == 0:
		fit = f.victim
	case fit == "" || round%5 == 4:
		fit = []string{"x", "0", "-1", "%00", "!a:b", "@a:b", "$e", "#a:b", "☃", "a/b", strings.Repeat("y", 300)}[f.dice.Intn(11)]
		if fit == "%00" {
			return fit
		}
	}
	return url.PathEscape(fit)
}

// object is a JSON object of some fields that exist.
func (f *fuzzer) object(depth int) string {
	var sb strings.Builder
	sb.WriteByte('{')
	for i := range f.dice.Intn(10) {
		if i > 0 {
			sb.WriteByte(',')
		}
		name := f.names[f.dice.Intn(len(f.names))]
		if f.dice.Intn(8) == 0 {
			name = []string{f.user, f.victim, f.room, f.event, f.device, "", "*", "ed25519:x"}[f.dice.Intn(8)]
		}
		key, _ := json.Marshal(name)
		sb.Write(append(key, ':'))
		sb.WriteString(f.value(depth))
	}
	return sb.String() + "}"
}

func (f *fuzzer) value(depth int) string {
	switch n := f.dice.Intn(14); {
	case n < 6:
		s := []string{"", "x", "m.text", "m.login.password", "m.login.dummy", f.user, f.victim, f.room, f.event, f.device, "\x00", "☃\u202e",
			"https://127.0.0.1:1/", "join", "#x:test.example.org", "mxc://test.example.org/x", strings.Repeat("z", 300)}
		text, _ := json.Marshal(s[f.dice.Intn(len(s))])
		return string(text)
	case n < 8:
		return []string{"0", "1", "-1", "1.5", "1e99", "9007199254740993", "-9223372036854775809"}[f.dice.Intn(7)]
	case n == 8:
		return []string{"true", "false", "null"}[f.dice.Intn(3)]
	case n < 11 && depth > 0:
		list := make([]string, f.dice.Intn(3))
		for i := range list {
			list[i] = f.value(depth - 1)
		}
		return "[" + strings.Join(list, ",") + "]"
	case depth > 0:
		return f.object(depth - 1)
	}
	return `"y"`
}
