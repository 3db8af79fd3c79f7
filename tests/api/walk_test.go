package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// unrecognised are the operations that the specification itself lets a server answer so, until it has what they need.
func unrecognised() map[string]bool {
	return map[string]bool{"getAuthMetadata": true, "redirectToSSO": true, "redirectToIdP": true}
}

// operation is a row of docs/spec/endpoints.tsv.
type operation struct{ api, method, path, id string }

func operations(t *testing.T) []operation {
	t.Helper()
	text, err := os.ReadFile("../../docs/spec/endpoints.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var all []operation
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		c := strings.Split(line, "\t")
		if c[0] == "client-server" || c[0] == "server-server" {
			all = append(all, operation{c[0], c[1], c[2], c[3]})
		}
	}
	if len(all) < 200 {
		t.Fatalf("only %d operations are listed", len(all))
	}
	return all
}

// Every operation of the specification is answered by something that knows it, and by no internal error.
func TestEveryOperationIsKnown(t *testing.T) {
	s := live.Start(t, live.Options{CA: fakenet.NewCA(t)})
	host, err := mx.Register(t.Context(), s.URL, "host")
	mx.Must(t, err)
	room, err := host.CreateRoom(t.Context(), map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	event, err := host.Send(t.Context(), room, "t", "hello")
	mx.Must(t, err)
	outside := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // a test's own server
	var user *mx.Client
	for i, op := range operations(t) {
		// Why: some operations end a session or an account.
		if user == nil || user.Do(t.Context(), http.MethodGet, "/_matrix/client/v3/account/whoami", nil, nil) != nil {
			user, err = mx.Register(t.Context(), s.URL, fmt.Sprintf("u%d", i))
			mx.Must(t, err)
			mx.Must(t, user.Join(t.Context(), room))
		}
		base, c := s.URL, http.DefaultClient
		if op.api == "server-server" {
			base, c = "https://"+s.Federation, outside
		}
		path := fill(op.path, map[string]string{"roomId": room, "eventId": event, "userId": user.UserID, "serverName": s.Name,
			"roomIdOrAlias": room, "roomAlias": "#none:" + s.Name, "eventType": "m.room.topic", "relType": "m.thread", "receiptType": "m.read"})
		status, code, body := ask(t, c, op.method, base+path, user.Token)
		switch {
		case status >= 500 && status != http.StatusBadGateway:
			t.Errorf("%s (%s %s): %d %s", op.id, op.method, op.path, status, body)
		case code == "M_UNRECOGNIZED" && !unrecognised()[op.id]:
			t.Errorf("%s (%s %s) is not known", op.id, op.method, op.path)
		case code != "M_UNRECOGNIZED" && unrecognised()[op.id]:
			t.Errorf("%s is served now: take it from the list of exceptions", op.id)
		}
	}
}

// fill puts values in the place of a path's variables; what is not named is "x".
func fill(path string, values map[string]string) string {
	return regexp.MustCompile(`\{[^}]*\}`).ReplaceAllStringFunc(path, func(name string) string {
		if v := values[strings.Trim(name, "{}")]; v != "" {
			return strings.NewReplacer("/", "%2F", "#", "%23", "$", "%24").Replace(v)
		}
		return "x"
	})
}

func ask(t *testing.T, c *http.Client, method, url, token string) (status int, code, body string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var in io.Reader
	if method != http.MethodGet {
		in = bytes.NewReader([]byte("{}"))
	}
	req, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	var e struct{ Errcode string }
	_ = json.Unmarshal(raw, &e) // what is no JSON has no code
	return res.StatusCode, e.Errcode, string(raw[:min(len(raw), 300)])
}
