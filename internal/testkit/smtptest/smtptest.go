// Package smtptest is a mail server for tests: it speaks SMTP on loopback, with STARTTLS and authentication, and keeps
// what it is sent.
package smtptest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"
)

// Letter is one letter as the server took it.
type Letter struct {
	From string   // envelope
	To   []string // envelope
	Raw  string
	TLS  bool
	Auth string // "user:password", "" without
}

// Server is a mail server. Set its fields before the first letter.
type Server struct {
	Addr  string
	Roots *x509.CertPool
	// Refuse is the answer to RCPT; "" takes everybody.
	Refuse string
	// NoTLS hides STARTTLS.
	NoTLS bool

	t       testing.TB
	cert    tls.Certificate
	mu      sync.Mutex
	letters []Letter
	news    chan struct{}
	conns   sync.WaitGroup
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, Addr: l.Addr().String(), news: make(chan struct{}, 1)}
	s.certify()
	s.conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.conns.Wait()
	})
	return s
}

// Letters lists what came so far.
func (s *Server) Letters() []Letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Letter(nil), s.letters...)
}

// Await waits for the n-th letter, counted from 1; the test's own deadline ends a wait in vain.
func (s *Server) Await(n int) Letter {
	s.t.Helper()
	for {
		if all := s.Letters(); len(all) >= n {
			return all[n-1]
		}
		select {
		case <-s.news:
		case <-s.t.Context().Done():
			s.t.Fatalf("letter %d never came", n)
		}
	}
}

// Text is the plain text of a letter, decoded, and its parsed headers.
func (l Letter) Text(t testing.TB) (mail.Header, string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(l.Raw))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	part, err := multipart.NewReader(m.Body, params["boundary"]).NextPart()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(part)
	if err != nil {
		t.Fatal(err)
	}
	return m.Header, strings.ReplaceAll(string(text), "\r\n", "\n")
}

// Link is the first link in a letter's text.
func (l Letter) Link(t testing.TB) string {
	t.Helper()
	_, text := l.Text(t)
	for _, word := range strings.Fields(text) {
		if strings.HasPrefix(word, "http") {
			return word
		}
	}
	t.Fatalf("no link in %q", text)
	return ""
}

func (s *Server) keep(l Letter) {
	s.mu.Lock()
	s.letters = append(s.letters, l)
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// serve is one dialogue.
func (s *Server) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	in := textproto.NewReader(bufio.NewReader(conn))
	say := func(line string) { _, _ = fmt.Fprintf(conn, "%s\r\n", line) }
	say("220 sink ready")
	var l Letter
	for {
		line, err := in.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO", "HELO":
			say("250-sink")
			if !s.NoTLS && !l.TLS {
				say("250-STARTTLS")
			}
			say("250 AUTH PLAIN")
		case "STARTTLS":
			if s.NoTLS {
				say("502 what?")
				continue
			}
			say("220 go on")
			secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS12})
			if secured.Handshake() != nil {
				return
			}
			conn, in, l.TLS = secured, textproto.NewReader(bufio.NewReader(secured)), true
		case "AUTH":
			_, word, _ := strings.Cut(rest, " ")
			plain, _ := base64.StdEncoding.DecodeString(word)
			l.Auth = strings.ReplaceAll(strings.TrimPrefix(string(plain), "\x00"), "\x00", ":")
			say("235 welcome")
		case "MAIL":
			l.From = path(rest)
			say("250 fine")
		case "RCPT":
			if s.Refuse != "" {
				say(s.Refuse)
				continue
			}
			l.To = append(l.To, path(rest))
			say("250 fine")
		case "DATA":
			say("354 go on")
			body, err := in.ReadDotBytes()
			if err != nil {
				return
			}
			l.Raw = string(body)
			s.keep(l)
			say("250 taken")
		case "QUIT":
			say("221 goodbye")
			return
		default:
			say("502 what?")
		}
	}
}

// path takes the address out of "FROM:<a@b>".
func path(s string) string {
	_, s, _ = strings.Cut(s, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}

// certify makes a certificate for 127.0.0.1 and the pool that trusts it.
func (s *Server) certify() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sink"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	s.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	s.Roots = x509.NewCertPool()
	s.Roots.AddCert(cert)
}
