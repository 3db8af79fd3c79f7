package egress_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"rempart/internal/egress"
	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/mx"
)

// scripted is a server that says on each connection what it is told, after each request.
type scripted struct {
	e     *egress.Egress
	n     *fakenet.Net
	asked chan struct{}
	say   chan string // "" ends the connection, cut without a word of TLS
}

const cut = "\x00"

func newScripted(t *testing.T) *scripted {
	s := &scripted{n: fakenet.New(t), asked: make(chan struct{}), say: make(chan string)}
	s.n.Host("a.org", "9.9.9.9")
	s.n.Serve("9.9.9.9:443", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		s.asked <- struct{}{}
		for text := range s.say {
			if secure, ok := conn.(*tls.Conn); ok && text == cut {
				_ = secure.NetConn().Close()
			}
			if text == "" || text == cut {
				return
			}
			_, _ = io.WriteString(conn, text)
		}
	}), "a.org")
	s.e = s.n.Egress(&moody{}, nil)
	t.Cleanup(func() { close(s.say) })
	return s
}

// post makes a request, of which nothing is answered yet.
func (s *scripted) post(t *testing.T, ctx context.Context) *egress.Posted {
	t.Helper()
	if err := s.e.Ready(toA(t), "a.org:0"); err != nil {
		t.Fatal(err)
	}
	v := s.e.Volley(ctx, time.Minute)
	defer v.Done()
	p := v.Post("a.org:0", []byte(putX))
	if p == nil {
		t.Fatal("not posted")
	}
	<-s.asked
	for range 2 {
		if _, there, err := p.Glance(50); there || err != nil {
			t.Fatalf("before anything is said: %v %v", there, err)
		}
	}
	return p
}

// glance looks until there is something to be seen.
func glance(t *testing.T, p *egress.Posted) (egress.Answer, error) {
	t.Helper()
	for end := time.Now().Add(mx.Patience); ; runtime.Gosched() {
		if a, there, err := p.Glance(50); there || err != nil {
			return a, err
		}
		if time.Now().After(end) {
			t.Fatal("nothing is seen")
		}
	}
}

const plainAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"

// A plain answer that is there is taken without waiting, and the connection serves again.
func TestGlance(t *testing.T) {
	s := newScripted(t)
	p := s.post(t, t.Context())
	s.say <- plainAnswer + `{"pdus":{}}`
	if a, err := glance(t, p); err != nil || a.Status != http.StatusOK || string(a.Body) != `{"pdus":{}}` || !s.e.Kept("a.org:0") {
		t.Errorf("%d %q %v, kept %v", a.Status, a.Body, err, s.e.Kept("a.org:0"))
	}
}

// Whatever else is there is seen, and left to who waits: half an answer, another answer, the end.
func TestGlanceSeesMore(t *testing.T) {
	for _, c := range []struct {
		name, first, rest string
		status            int
		body              string
		kept              bool
	}{
		{"half", plainAnswer + `{"pd`, `us":{}}`, http.StatusOK, `{"pdus":{}}`, true},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-", "Length: 2\r\n\r\n{}", http.StatusOK, "{}", true},
		{"refused", "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}", "", http.StatusInternalServerError, "{}", true},
		{"too much", plainAnswer + `{"pdus":{}}HTTP/1.1 `, "", http.StatusOK, `{"pdus":{}}`, false},
		{"the end", "", "", 0, "", false},
		{"cut", cut, "", 0, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScripted(t)
			p := s.post(t, t.Context())
			s.say <- c.first
			a, err := glance(t, p)
			if err != nil {
				if c.rest != "" {
					s.say <- c.rest
				}
				a, err = p.Answer(50)
			}
			if c.status == 0 && !errors.Is(err, egress.ErrNoWord) || c.status != 0 && err != nil {
				t.Error(err)
			}
			if a.Status != c.status || string(a.Body) != c.body || s.e.Kept("a.org:0") != c.kept {
				t.Errorf("%d %q, kept %v", a.Status, a.Body, s.e.Kept("a.org:0"))
			}
		})
	}
}

// When the context ends a glance says so, instead of seeing nothing for ever.
func TestGlanceAtAnEnd(t *testing.T) {
	s := newScripted(t)
	ctx, cancel := context.WithCancel(t.Context())
	p := s.post(t, ctx)
	cancel()
	if _, err := glance(t, p); err == nil {
		t.Error("an answer is seen")
	}
	if _, err := p.Answer(50); !errors.Is(err, context.Canceled) || s.e.Kept("a.org:0") {
		t.Error(err)
	}
}

// wrapped is a connection that is no socket.
type wrapped struct{ net.Conn }

// What cannot be read without waiting is left to who waits.
func TestGlanceAtNoSocket(t *testing.T) {
	s := newScripted(t)
	plain := s.e
	s.e = egress.New(egress.Options{Judge: &moody{}, Resolver: s.n, RootCAs: s.n.CA.Pool(), Connect: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := plain.Dial(ctx, egress.Federation, network, address)
		return wrapped{conn}, err
	}})
	defer func() { _ = s.e.Close() }()
	if err := s.e.Ready(toA(t), "a.org:0"); err != nil {
		t.Fatal(err)
	}
	v := s.e.Volley(t.Context(), time.Minute)
	defer v.Done()
	p := v.Post("a.org:0", []byte(putX))
	<-s.asked
	if _, there, err := p.Glance(50); there || err == nil {
		t.Errorf("%v %v", there, err)
	}
	s.say <- plainAnswer + `{"pdus":{}}`
	if a, err := p.Answer(50); err != nil || a.Status != http.StatusOK {
		t.Errorf("%d %v", a.Status, err)
	}
}
