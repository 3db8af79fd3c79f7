package sovereign

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rempart/internal/testkit/mx"
)

// page serves web pages at a French address and gives its port.
func (l *lab) page(at string, h http.HandlerFunc) uint16 {
	l.t.Helper()
	listener, err := net.Listen("tcp", at+":0")
	mx.Must(l.t, err)
	s := httptest.NewUnstartedServer(h)
	_ = s.Listener.Close()
	s.Listener = listener
	s.Start()
	l.t.Cleanup(s.Close)
	return netip.MustParseAddrPort(listener.Addr().String()).Port()
}

// TestNoServiceAbroad has everything that an administrator configures, or a user names, be abroad: push gateways, application services,
// mail, the scanner, previews.
func TestNoServiceAbroad(t *testing.T) {
	l := newLab(t)
	ctx, port := t.Context(), l.abroad.port()
	l.host("push.abroad.lab", "127.12.0.1")
	l.host("pages.abroad.lab", "127.12.0.1")
	l.host("mail.abroad.lab", "127.12.0.1")
	l.also("alias.lab", "pages.abroad.lab")
	dir := t.TempDir()
	bridge := filepath.Join(dir, "bridge.yaml")
	mx.Must(t, os.WriteFile(bridge, fmt.Appendf(nil, "id: bridge\nurl: http://%s\nas_token: secret-as-token\nhs_token: secret-hs-token\nsender_localpart: bridge\nnamespaces:\n  users: [{regex: '@alice:.*', exclusive: false}]\n  aliases: [{regex: '#_bridge_.*', exclusive: true}]\n", l.abroad.addr), 0o600))
	w := l.town("mairie.lab", "127.10.0.1", french+partners("prefecture.lab"), fmt.Sprintf(
		"previews:\n  enabled: true\nmedia:\n  icap: icap://%s/avscan\nemail:\n  server: mail.abroad.lab:%d\n  from: no-reply@mairie.lab\nappservices:\n  files: [%q]\n", l.abroad.addr, port, bridge))

	w.noPreview(port)

	pusher := func(gateway string) error {
		return w.alice.Do(ctx, "POST", "/_matrix/client/v3/pushers/set", object{"kind": "http", "app_id": "app", "pushkey": "secret-push-key", "app_display_name": "a",
			"device_display_name": "d", "lang": "fr", "data": object{"url": gateway}}, nil)
	}
	if e := refused(pusher("https://push.elsewhere.example/_matrix/push/v1/notify")); e == nil || e.Code != "M_FORBIDDEN" || strings.Contains(e.Message, "secret") {
		t.Errorf("a pusher that the policy does not name: %v", e)
	}
	if err := pusher(fmt.Sprintf("https://push.abroad.lab:%d/_matrix/push/v1/notify", port)); err != nil && refused(err).Code != "M_FORBIDDEN" {
		t.Errorf("a pusher abroad: %v", err)
	}
	bob, err := mx.Register(ctx, w.URL, "bob")
	mx.Must(t, err)
	room, err := bob.CreateRoom(ctx, object{"preset": "trusted_private_chat", "is_direct": true, "invite": []string{w.alice.UserID}})
	mx.Must(t, err)
	mx.Must(t, w.alice.Join(ctx, room))
	_, err = bob.Send(ctx, room, "1", "this wakes a pusher and an application service")
	mx.Must(t, err)
	l.until("push is refused", func() bool { n, _ := w.refusals("push.abroad.lab"); return n > 0 })
	l.until("the application service is refused", func() bool { n, _ := w.refusals("127.12.0.1"); return n > 0 })
	_ = w.alice.Do(ctx, "GET", "/_matrix/client/v3/directory/room/%23_bridge_x:mairie.lab", nil, nil)

	err = w.alice.Do(ctx, "POST", "/_matrix/client/v3/account/3pid/email/requestToken", object{"client_secret": "abc", "email": "alice@example.org", "send_attempt": 1}, nil)
	if e := refused(err); e != nil && strings.Contains(e.Message, "127.12") {
		t.Errorf("a letter by a mail server abroad: %v", err)
	}
	l.until("the mail server is refused", func() bool { n, _ := w.refusals("mail.abroad.lab"); return n > 0 })
	if err := w.alice.Do(ctx, "POST", "/_matrix/client/v3/account/3pid/bind", object{"client_secret": "abc", "sid": "1", "id_server": l.abroad.addr, "id_access_token": "x"}, nil); err == nil {
		t.Error("an identity server abroad was taken")
	}
	_ = w.alice.Do(ctx, "POST", "/_matrix/client/v3/account/3pid/unbind", object{"id_server": l.abroad.addr, "medium": "email", "address": "a@example.org"}, nil)
	if err := bob.Do(ctx, "POST", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/invite", object{"id_server": l.abroad.addr, "id_access_token": "x",
		"medium": "email", "address": "a@example.org"}, nil); err == nil {
		t.Error("an identity server abroad was taken")
	}

	uri := w.upload("a file that the scanner abroad must not see")
	err = w.alice.Do(ctx, "GET", "/_matrix/client/v1/media/download/"+strings.TrimPrefix(uri, "mxc://")+"?timeout_ms=50", nil, nil)
	if e := refused(err); e == nil {
		t.Errorf("a file that no scanner has seen was served: %v", err)
	}
	l.until("the scanner is refused", func() bool {
		for _, e := range w.trace("127.12.0.1") {
			if e.Kind == "refused" && e.For == "scan" {
				return true
			}
		}
		return false
	})
	if strings.Contains(w.Log(), "secret-") {
		t.Error("the log holds a secret")
	}
	w.nothingLeft()
}

// noPreview asks for previews of pages abroad.
func (w *town) noPreview(port uint16) {
	l, t, ctx := w.l, w.l.t, w.l.t.Context()
	french := l.page("127.10.0.80", func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, fmt.Sprintf("http://pages.abroad.lab:%d/there", port), http.StatusFound)
	})
	l.host("pages.lab", "127.10.0.80")
	l.changing("moves.lab", func(asked int) []netip.Addr {
		return []netip.Addr{netip.MustParseAddr([]string{"127.10.0.80", "127.12.0.1"}[min(asked-1, 2)/2])}
	})
	for name, c := range map[string]struct{ address, dest string }{
		"abroad":            {fmt.Sprintf("http://pages.abroad.lab:%d/", port), "pages.abroad.lab"},
		"https":             {fmt.Sprintf("https://pages.abroad.lab:%d/", port), "pages.abroad.lab"},
		"another name":      {fmt.Sprintf("http://alias.lab:%d/", port), "alias.lab"},
		"an address":        {fmt.Sprintf("http://127.12.0.1:%d/", port), "127.12.0.1"},
		"a mapped address":  {fmt.Sprintf("http://[::ffff:127.12.0.1]:%d/", port), "::ffff:127.12.0.1"},
		"redirected abroad": {fmt.Sprintf("http://pages.lab:%d/", french), "pages.abroad.lab"},
	} {
		err := w.alice.Do(ctx, "GET", "/_matrix/client/v1/media/preview_url?url="+url.QueryEscape(c.address), nil, nil)
		if e := refused(err); e == nil || e.Code != "M_FORBIDDEN" {
			t.Errorf("preview %s: %v", name, err)
		}
		if n, rules := w.refusals(c.dest); n == 0 {
			t.Errorf("preview %s: no refusal is recorded: %v", name, rules)
		}
	}
	// Numbers that some libraries take for addresses are names here, which nobody knows.
	for _, odd := range []string{"2131492865", "0x7f0c0001", "127.12.1", "0177.014.0.1"} {
		if err := w.alice.Do(ctx, "GET", "/_matrix/client/v1/media/preview_url?url="+url.QueryEscape(fmt.Sprintf("http://%s:%d/", odd, port)), nil, nil); err == nil {
			t.Errorf("preview of %s", odd)
		}
	}
}

// upload uploads a text.
func (w *town) upload(text string) string {
	w.l.t.Helper()
	req, err := http.NewRequestWithContext(w.l.t.Context(), "POST", w.URL+"/_matrix/media/v3/upload?filename=a.txt", bytes.NewReader([]byte(text)))
	mx.Must(w.l.t, err)
	req.Header.Set("Authorization", "Bearer "+w.alice.Token)
	req.Header.Set("Content-Type", "text/plain")
	res, err := http.DefaultClient.Do(req)
	mx.Must(w.l.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	mx.Must(w.l.t, err)
	_, uri, _ := strings.Cut(string(raw), `"content_uri":"`)
	uri, _, ok := strings.Cut(uri, `"`)
	if !ok {
		w.l.t.Fatalf("upload: %s", raw)
	}
	return uri
}

// TestNoDatabaseAbroad starts a server whose database is abroad.
func TestNoDatabaseAbroad(t *testing.T) {
	l := newLab(t)
	w := l.town("mairie.lab", "127.10.0.1", french+partners("prefecture.lab"), "")
	w.Stop()
	file := filepath.Join(w.Dir, "rempart.yaml")
	text, err := os.ReadFile(file)
	mx.Must(t, err)
	l.host("db.abroad.lab", "127.12.0.1")
	for _, host := range []string{"127.12.0.1", "db.abroad.lab", "127.11.0.1", "[::ffff:127.12.0.1]"} {
		more := fmt.Sprintf("database:\n  url: \"postgres://rempart:secret-password@%s:%d/rempart\"\n", host, l.abroad.port())
		mx.Must(t, os.WriteFile(file, append(bytes.Clone(text), more...), 0o600))
		out, err := w.Command("serve")
		if err == nil || strings.Contains(out, "secret-password") || !strings.Contains(out, "127.1") && !strings.Contains(out, "db.abroad.lab") {
			t.Errorf("%s: %v\n%s", host, err, out)
		}
	}
}
