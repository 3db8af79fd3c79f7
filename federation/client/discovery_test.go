package client_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rempart/federation/client"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
)

// rig is a client in a small internet, with a clock that stands still until it is moved.
type rig struct {
	*fakenet.Net
	client *client.Client
	egress *egress.Egress
	key    matrix.SigningKey
	mu     sync.Mutex
	now    time.Time
}

func newRig(t *testing.T) *rig {
	key, err := matrix.GenerateSigningKey("us.org")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Net: fakenet.New(t), key: key, now: time.Now()}
	r.egress = r.Egress(egress.AllowNames([]string{"*"}, false), nil)
	r.client = client.New(client.Options{Egress: r.egress, Keys: r, Agent: "test", Clock: r.clock})
	return r
}

// SigningKey implements client.Keys.
func (r *rig) SigningKey(server matrix.ServerName) (matrix.SigningKey, bool) {
	return r.key, server == "us.org"
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// here answers /version with its name and what the request said.
func here(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"server": map[string]string{"name": name, "version": r.Host + " " + sni(r.TLS)}})
	})
}

func sni(s *tls.ConnectionState) string { return s.ServerName }

// delegates is a server of a well-known file.
func delegates(to string, headers ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/matrix/server" {
			http.NotFound(w, r)
			return
		}
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		_, _ = io.WriteString(w, `{"m.server":"`+to+`"}`)
	})
}

// Spec: server-server-api/#resolving-server-names, step by step.
func TestDiscovery(t *testing.T) {
	for _, c := range []struct {
		step   string
		server matrix.ServerName
		found  string // which server, with the Host header and the name in TLS that it must see
		set    func(n *fakenet.Net)
	}{
		{"1 address", "9.9.9.9", "target 9.9.9.9 ", func(n *fakenet.Net) { n.Serve("9.9.9.9:8448", here("target"), "9.9.9.9") }},
		{"1 address and port", "9.9.9.9:99", "target 9.9.9.9:99 ", func(n *fakenet.Net) { n.Serve("9.9.9.9:99", here("target"), "9.9.9.9") }},
		{"1 IPv6", "[2606::1]", "target [2606::1] ", func(n *fakenet.Net) { n.Serve("[2606::1]:8448", here("target"), "2606::1") }},
		{"2 port", "a.org:99", "target a.org:99 a.org", func(n *fakenet.Net) {
			n.Serve("9.9.9.9:99", here("target"), "a.org")
			n.Serve("9.9.9.9:443", delegates("b.org:1"), "a.org") // must not count
		}},
		{"3.1 delegated to an address", "a.org", "target 9.9.9.10 ", func(n *fakenet.Net) {
			n.Serve("9.9.9.9:443", delegates("9.9.9.10"), "a.org")
			n.Serve("9.9.9.10:8448", here("target"), "9.9.9.10")
		}},
		{"3.2 delegated to a port", "a.org", "target b.org:99 b.org", func(n *fakenet.Net) {
			n.Serve("9.9.9.9:443", delegates("b.org:99"), "a.org")
			n.Serve("9.9.9.10:99", here("target"), "b.org")
		}},
		{"3.3 delegated and matrix-fed", "a.org", "target b.org b.org", func(n *fakenet.Net) {
			n.Serve("9.9.9.9:443", delegates("b.org"), "a.org")
			n.Service("_matrix-fed._tcp.b.org", "c.org.", 98)
			n.Service("_matrix._tcp.b.org", "c.org.", 97)
			n.Serve("9.9.9.11:98", here("target"), "b.org")
		}},
		{"3.4 delegated and matrix", "a.org", "target b.org b.org", func(n *fakenet.Net) {
			n.Serve("9.9.9.9:443", delegates("b.org"), "a.org")
			n.Service("_matrix._tcp.b.org", "c.org.", 97)
			n.Serve("9.9.9.11:97", here("target"), "b.org")
		}},
		{"3.5 delegated", "a.org", "target b.org b.org", func(n *fakenet.Net) {
			n.Serve("9.9.9.9:443", delegates("b.org"), "a.org")
			n.Serve("9.9.9.10:8448", here("target"), "b.org")
		}},
		{"4 matrix-fed", "a.org", "target a.org a.org", func(n *fakenet.Net) {
			n.Service("_matrix-fed._tcp.a.org", "c.org.", 98)
			n.Serve("9.9.9.11:98", here("target"), "a.org")
		}},
		{"5 matrix", "a.org", "target a.org a.org", func(n *fakenet.Net) {
			n.Service("_matrix._tcp.a.org", "gone.org.", 97) // the first target is dead
			n.Service("_matrix._tcp.a.org", "c.org.", 97)
			n.Serve("9.9.9.11:97", here("target"), "a.org")
		}},
		{"6 default port", "a.org", "target a.org a.org", func(n *fakenet.Net) { n.Serve("9.9.9.9:8448", here("target"), "a.org") }},
		{"6 bad well-known", "a.org", "target a.org a.org", func(n *fakenet.Net) {
			n.Serve("9.9.9.9:443", delegates("not a name"), "a.org")
			n.Serve("9.9.9.9:8448", here("target"), "a.org")
		}},
		{"the certificate is another's", "a.org:99", "", func(n *fakenet.Net) { n.Serve("9.9.9.9:99", here("target"), "b.org") }},
		{"the certificate is the record's", "a.org", "", func(n *fakenet.Net) {
			n.Service("_matrix-fed._tcp.a.org", "c.org.", 98)
			n.Serve("9.9.9.11:98", here("target"), "c.org")
		}},
	} {
		t.Run(c.step, func(t *testing.T) {
			r := newRig(t)
			r.Host("a.org", "9.9.9.9")
			r.Host("b.org", "9.9.9.10")
			r.Host("c.org", "9.9.9.11")
			r.Host("gone.org", "9.9.9.12")
			c.set(r.Net)
			name, said, err := r.client.Version(t.Context(), c.server)
			if got := strings.TrimSuffix(name+" "+said, "\n"); c.found != "" && got != c.found || (err == nil) != (c.found != "") {
				t.Errorf("found %q, %v; dialled %v", got, err, r.Dialled())
			}
		})
	}
}

// count counts what passes by.
type count struct {
	mu sync.Mutex
	n  int
}

func (c *count) of(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.n++
		c.mu.Unlock()
		h.ServeHTTP(w, r)
	})
}

func (c *count) get() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func TestWellKnownIsKept(t *testing.T) {
	for _, c := range []struct {
		name    string
		headers []string
		kept    time.Duration
	}{
		{"by default", nil, 24 * time.Hour},
		{"as long as it says", []string{"Cache-Control", "public, max-age=7200"}, 2 * time.Hour},
		{"at most two days", []string{"Cache-Control", "max-age=9999999"}, 48 * time.Hour},
		{"at least five minutes", []string{"Cache-Control", "no-store"}, 5 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.Host("a.org", "9.9.9.9")
			r.Host("b.org", "9.9.9.10")
			var asked count
			r.Serve("9.9.9.9:443", asked.of(delegates("b.org:99", c.headers...)), "a.org")
			r.Serve("9.9.9.10:99", here("target"), "b.org")
			for _, step := range []struct {
				pass time.Duration
				want int
			}{{0, 1}, {c.kept - time.Second, 1}, {2 * time.Second, 2}} {
				r.pass(step.pass)
				if _, _, err := r.client.Version(t.Context(), "a.org"); err != nil || asked.get() != step.want {
					t.Errorf("asked %d times, not %d: %v", asked.get(), step.want, err)
				}
			}
		})
	}
}

func TestMissingWellKnownIsAskedForEverLessOften(t *testing.T) {
	r := newRig(t)
	r.Host("a.org", "9.9.9.9")
	var asked count
	r.Serve("9.9.9.9:443", asked.of(http.NotFoundHandler()), "a.org")
	r.Serve("9.9.9.9:8448", here("target"), "a.org")
	for i := range 1000 { // 1,000 minutes
		if _, _, err := r.client.Version(t.Context(), "a.org"); err != nil {
			t.Fatal(i, err)
		}
		r.pass(time.Minute)
	}
	if n := asked.get(); n < 16 || n > 30 { // hourly in the end
		t.Errorf("asked %d times", n)
	}
}

func TestDelegationOutlivesAnOutage(t *testing.T) {
	r := newRig(t)
	r.Host("a.org", "9.9.9.9")
	r.Host("b.org", "9.9.9.10")
	status := http.StatusOK
	var mu sync.Mutex
	r.Serve("9.9.9.9:443", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		delegates("b.org:99", "Cache-Control", "max-age=3600").ServeHTTP(w, req)
	}), "a.org")
	r.Serve("9.9.9.10:99", here("target"), "b.org")
	for _, c := range []struct {
		status int
		pass   time.Duration
		ok     bool
	}{{200, 0, true}, {503, 2 * time.Hour, true}, {503, 47 * time.Hour, false}, {200, 2 * time.Hour, true}, {404, 2 * time.Hour, false}} {
		mu.Lock()
		status = c.status
		mu.Unlock()
		r.pass(c.pass)
		if _, _, err := r.client.Version(t.Context(), "a.org"); (err == nil) != c.ok {
			t.Errorf("status %d, %v later: %v", c.status, c.pass, err)
		}
	}
}

// What was found out about a server belongs to the policy that was in force: files are kept for days, records for minutes.
func TestPlacesBelongToAGeneration(t *testing.T) {
	r := newRig(t)
	r.Host("a.org", "9.9.9.9")
	r.Host("b.org", "9.9.9.10")
	r.Host("c.org", "9.9.9.11")
	r.Host("d.org", "9.9.9.12")
	var asked count
	r.Serve("9.9.9.9:443", asked.of(delegates("b.org:99", "Cache-Control", "max-age=86400")), "a.org")
	r.Serve("9.9.9.10:99", here("target"), "b.org")
	r.Service("_matrix-fed._tcp.c.org", "d.org.", 98)
	r.Serve("9.9.9.12:98", here("target"), "c.org")
	records := func() (n int) {
		for _, name := range r.Asked() {
			if strings.HasPrefix(name, "_matrix-fed._tcp.c.org") {
				n++
			}
		}
		return n
	}
	for i, c := range []struct{ renewed, files, records int }{{0, 1, 1}, {0, 1, 1}, {1, 2, 2}, {0, 2, 2}} {
		if c.renewed > 0 {
			r.egress.Renew(t.Context())
		}
		for _, name := range []matrix.ServerName{"a.org", "c.org"} {
			if _, _, err := r.client.Version(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		if asked.get() != c.files || records() != c.records {
			t.Errorf("round %d: files were asked for %d times, records %d times; want %+v", i, asked.get(), records(), c)
		}
	}
}
