package sovereign

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"rempart/internal/testkit/mx"
)

// wellKnown serves the well-known file of a name at a French address; false where this process may not listen there.
func (l *lab) wellKnown(name, at string, h http.HandlerFunc) bool {
	l.t.Helper()
	s := httptest.NewUnstartedServer(h)
	listener, err := listen(at + ":443")
	if err != nil {
		l.t.Logf("no well-known file of %s: %v", name, err)
		return false
	}
	_ = s.Listener.Close()
	s.Listener = listener
	s.TLS = &tls.Config{Certificates: []tls.Certificate{l.ca.Issue(name)}}
	s.StartTLS()
	l.t.Cleanup(s.Close)
	l.host(name, at)
	return true
}

// TestDelegationAbroad has partners whose well-known files, of French servers, lead abroad; and names that change their address between
// the look and the dial, or between two requests.
func TestDelegationAbroad(t *testing.T) {
	l := newLab(t)
	l.elsewhere()
	delegate := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, `{"m.server":%q}`, to) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	files := l.wellKnown("delegates.lab", "127.10.0.20", delegate(fmt.Sprintf("matrix.abroad.lab:%d", l.abroad.port()))) &&
		l.wellKnown("literal.lab", "127.10.0.21", delegate(l.abroad.addr)) &&
		l.wellKnown("srv.lab", "127.10.0.22", delegate("abroad.lab")) &&
		l.wellKnown("redirects.lab", "127.10.0.23", redirect(fmt.Sprintf("https://%s/.well-known/matrix/server", l.abroad.addr))) &&
		l.wellKnown("renamed.lab", "127.10.0.24", redirect(fmt.Sprintf("https://matrix.abroad.lab:%d/.well-known/matrix/server", l.abroad.port())))
	if !files {
		t.Skip("a process that may not listen at port 443 cannot publish well-known files")
	}
	leading := []string{"delegates.lab", "literal.lab", "srv.lab", "redirects.lab", "renamed.lab"}
	w := l.town("mairie.lab", "127.10.0.1", french+partners(append(leading, "rebinds.lab", "turns.lab")...), "")
	for _, name := range leading {
		for range 2 { // again, by what was kept of the file
			err := w.alice.Do(t.Context(), "GET", "/_matrix/client/v3/profile/@bob:"+name, nil, nil)
			if e := refused(err); e == nil || strings.Contains(e.Message, "127.12") {
				t.Errorf("%s: %v", name, err)
			}
		}
		refusal := false
		for _, e := range w.trace(name) {
			refusal = refusal || e.Kind == "refused" && e.Rule == "territory.outside"
			if e.Kind == "connection" && e.CC != "FR" {
				t.Errorf("%s: a connection to %s (%s)", name, e.Addr, e.CC)
			}
		}
		if !refusal {
			t.Errorf("%s: no refusal is recorded: %+v", name, w.trace(name))
		}
	}
	for range 4 { // French when first asked, abroad from then on
		if err := w.alice.Do(t.Context(), "GET", "/_matrix/client/v3/directory/room/%23hall:rebinds.lab", nil, nil); err == nil {
			t.Error("rebinds.lab answered")
		}
	}
	if _, rules := w.refusals2("rebinds.lab"); !strings.Contains(fmt.Sprint(rules), "territory.outside") {
		t.Errorf("rebinds.lab: %v", rules)
	}
	// A partner that did answer moves abroad, name, key and all.
	p := l.peer("turns.lab", "127.10.0.30")
	p.answers(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Connection", "close")
		_, _ = rw.Write([]byte(`{"displayname":"Bob"}`))
	})
	if err := w.alice.Do(t.Context(), "GET", "/_matrix/client/v3/profile/@bob:turns.lab", nil, nil); err != nil {
		t.Errorf("a French partner: %v", err)
	}
	was := p.calls()
	l.changing("matrix.turns.lab", func(int) []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.12.0.1")} })
	l.service("turns.lab", "matrix.turns.lab", l.abroad.port())
	err := w.alice.Do(t.Context(), "GET", "/_matrix/client/v3/profile/@carol:turns.lab", nil, nil)
	if e := refused(err); e == nil || p.calls() != was {
		t.Errorf("a partner that moved abroad: %v, %d calls", err, p.calls()-was)
	}
	w.nothingLeft()
}

// refusals2 is refusals without the law that nothing was connected.
func (w *town) refusals2(dest string) (n int64, rules []string) {
	for _, e := range w.trace(dest) {
		if e.Kind == "refused" {
			n, rules = n+e.Count, append(rules, e.Rule)
		}
	}
	return n, rules
}

// TestMediaElsewhere has a partner say that its file is abroad.
func TestMediaElsewhere(t *testing.T) {
	l := newLab(t)
	w := l.town("mairie.lab", "127.10.0.1", french+partners("prefecture.lab"), "")
	p := l.peer("prefecture.lab", "127.10.0.2")
	l.host("cdn.abroad.lab", "127.12.0.1")
	for name, to := range map[string]string{"name": fmt.Sprintf("https://cdn.abroad.lab:%d/f", l.abroad.port()), "address": "https://" + l.abroad.addr + "/f",
		"plain": "http://" + l.abroad.addr + "/f"} {
		for part, h := range map[string]http.HandlerFunc{
			"parts": func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "multipart/mixed; boundary=b")
				_, _ = fmt.Fprintf(rw, "--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nLocation: %s\r\n\r\n\r\n--b--\r\n", to)
			},
			"redirect": func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, to, http.StatusTemporaryRedirect) },
		} {
			p.answers(h)
			err := w.alice.Do(t.Context(), "GET", "/_matrix/client/v1/media/download/prefecture.lab/"+name+part, nil, nil)
			if e := refused(err); e == nil {
				t.Errorf("%s by %s: %v", name, part, err)
			}
		}
	}
	if _, rules := w.refusals2("prefecture.lab"); !strings.Contains(fmt.Sprint(rules), "territory.outside") {
		t.Errorf("the refusals that are recorded: %v", rules)
	}
	w.nothingLeft()
}

// TestStrangersFromOutside has others ask us: by a name that is no partner, by a partner's from abroad, in another's name, about third servers.
func TestStrangersFromOutside(t *testing.T) {
	l := newLab(t)
	w := l.town("mairie.lab", "127.10.0.1", french+partners("prefecture.lab", "abroad.lab", "cloud.lab", "rebinds.lab"), "")
	mx.Must(t, w.alice.Do(t.Context(), "PUT", "/_matrix/client/v3/profile/"+w.alice.UserID+"/displayname", object{"displayname": "Alice Secret"}, nil))
	french := l.peer("prefecture.lab", "127.10.0.2")
	ask := func(p *peer, from string) error {
		raw, err := p.QueryProfile(t.Context(), p.name, "mairie.lab", "@alice:mairie.lab", "")
		if err == nil && !strings.Contains(string(raw), "Alice Secret") {
			t.Errorf("%s: an answer without the profile: %s", from, raw)
		}
		return err
	}
	if err := ask(french, "a partner in France"); err != nil {
		t.Errorf("a partner in France: %v", err)
	}
	for name, at := range map[string]string{"abroad.lab": "127.12.0.2", "cloud.lab": "127.11.0.2", "stranger.lab": "127.10.0.3", "banned.lab": "127.10.0.9"} {
		p := l.peer(name, at)
		if err := ask(p, name); status(err) != 403 {
			t.Errorf("%s: %v", name, err)
		}
		if p.calls() != 0 {
			t.Errorf("%s was asked for its keys", name)
		}
		l.until("the refusal of "+name+" is recorded", func() bool {
			for _, e := range w.trace(name) {
				if e.Kind == "refused" && e.For == "fed.in.accept" {
					return true
				}
			}
			return false
		})
	}
	// The partner's own key, from an address abroad.
	stolen := &peer{name: french.name, t: t, Client: l.clientAt("127.12.0.3", french)}
	if err := ask(stolen, "a partner's key abroad"); status(err) != 403 {
		t.Errorf("a partner's key abroad: %v", err)
	}
	// Notaries: what we are asked about others makes us ask nobody.
	for _, path := range []string{"/_matrix/key/v2/query/abroad.lab", "/_matrix/key/v2/query/stranger.lab", "/_matrix/key/v2/query/" + l.abroad.addr} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", w.URL+path, nil)
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}
	w.nothingLeft()
}
