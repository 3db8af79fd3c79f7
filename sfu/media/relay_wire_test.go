package media

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v3"
	"github.com/pion/turn/v5"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/ports"
)

// wire is a relay on loopback, with somebody behind its media port who answers what he gets.
type wire struct {
	settings Settings
	roots    *x509.CertPool
	echo     net.Addr
}

func newWire(t *testing.T, by *judged) *wire {
	t.Helper()
	ca := fakenet.NewCA(t)
	_, cert, key := ca.WriteFiles(t.TempDir(), "127.0.0.1")
	w := &wire{roots: x509.NewCertPool(), echo: answering(t)}
	pem, err := os.ReadFile(cert[:strings.LastIndexByte(cert, '/')] + "/ca.pem")
	if err != nil || !w.roots.AppendCertsFromPEM(pem) {
		t.Fatal("no authority", err)
	}
	w.settings = Settings{NodeIP: []string{"127.0.0.1"}, SFU: SFU{UDPPort: w.echo.(*net.UDPAddr).Port}, //nolint:forcetypeassert // it is one
		TURN: TURN{Port: ports.Both(t), TLSPort: ports.Both(t), CertFile: cert, KeyFile: key, Realm: "test", Secret: "t", RelayMin: 40000, RelayMax: 40400, Quota: 2}}
	r, err := openRelay(t.Context(), w.settings, by)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return w
}

// answering sends back what it gets.
func answering(t *testing.T) net.Addr {
	t.Helper()
	c := listening(t, func(c net.PacketConn, b []byte, from net.Addr) { _, _ = c.WriteTo(b, from) })
	return c.LocalAddr()
}

func listening(t *testing.T, got func(net.PacketConn, []byte, net.Addr)) net.PacketConn {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 2000); ; {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			got(c, b[:n], from)
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	return c
}

// beside listens at a port that is none of the relay's, which the system may give to whoever asks for any.
func (w *wire) beside(t *testing.T, got func(net.PacketConn, []byte, net.Addr)) net.PacketConn {
	t.Helper()
	for {
		c := listening(t, got)
		if at := c.LocalAddr().(*net.UDPAddr).Port; at < w.settings.TURN.RelayMin || at > w.settings.TURN.RelayMax { //nolint:forcetypeassert // it is one
			return c
		}
	}
}

// client connects by one of the ways there are.
func (w *wire) client(t *testing.T, way, name, password string) *turn.Client {
	t.Helper()
	port := w.settings.TURN.Port
	var conn net.PacketConn
	var stream net.Conn
	var err error
	switch way {
	case "udp":
		conn, err = net.ListenPacket("udp4", "127.0.0.1:0")
	case "tcp":
		stream, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	case "tls":
		port = w.settings.TURN.TLSPort
		stream, err = tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{RootCAs: w.roots, MinVersion: tls.VersionTLS12})
	}
	if err != nil {
		t.Fatal(err)
	}
	if stream != nil {
		conn = turn.NewSTUNConn(stream)
	}
	to := fmt.Sprintf("127.0.0.1:%d", port)
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	c, err := turn.NewClient(&turn.ClientConfig{STUNServerAddr: to, TURNServerAddr: to, Conn: conn, Username: name, Password: password, Realm: "test", LoggerFactory: quiet})
	if err == nil {
		err = c.Listen()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		_ = conn.Close()
	})
	return c
}

// name is a user's, good for a time that may be over.
func name(user string, life time.Duration) string {
	return fmt.Sprintf("%d:%s", time.Now().Add(life).Unix(), user)
}

// TestTheRelayOnTheWire: packets pass by UDP, TCP and TLS, to the media port and back, and to no other port of this machine nor
// to a private network.
func TestTheRelayOnTheWire(t *testing.T) {
	w := newWire(t, nil)
	var leaked atomic.Int64
	other := w.beside(t, func(net.PacketConn, []byte, net.Addr) { leaked.Add(1) })
	for _, way := range []string{"udp", "tcp", "tls"} {
		t.Run(way, func(t *testing.T) {
			user := name("@"+way+":test", time.Hour)
			c := w.client(t, way, user, Password("t", user))
			relayed, err := c.Allocate()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = relayed.Close() }()
			if _, err := relayed.WriteTo([]byte("leak"), other.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			b, n, from := make([]byte, 100), 0, net.Addr(nil)
			for end := time.Now().Add(mx.Patience); time.Now().Before(end); { // again, since packets may be lost
				if _, err := relayed.WriteTo([]byte("hello"), w.echo); err != nil {
					t.Fatal(err)
				}
				_ = relayed.SetReadDeadline(time.Now().Add(time.Second))
				if n, from, err = relayed.ReadFrom(b); err == nil {
					break
				}
			}
			if err != nil || string(b[:n]) != "hello" || from.String() != w.echo.String() {
				t.Errorf("%q from %v: %v", b[:n], from, err)
			}
			if err := c.CreatePermission(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 9}); err == nil {
				t.Error("a private network may be reached")
			}
		})
	}
	if leaked.Load() != 0 {
		t.Errorf("%d packets reached another port of this machine", leaked.Load())
	}
}

func TestTheRelayRefuses(t *testing.T) {
	w := newWire(t, nil)
	good, over := name("@a:test", time.Hour), name("@a:test", -time.Minute)
	for what, c := range map[string][2]string{"a wrong password": {good, "x"}, "a name that is over": {over, Password("t", over)}, "no time": {"@a:test", Password("t", "@a:test")}} {
		if _, err := w.client(t, "udp", c[0], c[1]).Allocate(); err == nil {
			t.Errorf("%s opens a relay", what)
		}
	}
	for i := range 3 {
		_, err := w.client(t, "udp", good, Password("t", good)).Allocate()
		if (err == nil) != (i < 2) {
			t.Errorf("relay %d of a user who may have two: %v", i+1, err)
		}
	}
}

// TestTheRelayAsksThePolicy: whom the policy refuses is no peer, and as a client he gets no answer, though no network of the
// configuration is in the way.
func TestTheRelayAsksThePolicy(t *testing.T) {
	asked, questions := io.Pipe()
	answers, out := io.Pipe()
	by := newJudged(questions)
	var done sync.WaitGroup
	done.Go(func() { by.hear(answers) })
	done.Go(func() {
		p := &Process{ProcessOptions: ProcessOptions{Reach: func(_ context.Context, to netip.Addr) error {
			if netip.MustParsePrefix("127.9.0.0/16").Contains(to) || to == netip.MustParseAddr("9.9.9.9") {
				return errors.New("abroad")
			}
			return nil
		}}}
		p.answer(t.Context(), asked, out, func() {})
	})
	defer func() {
		_, _ = questions.Close(), out.Close()
		done.Wait()
	}()
	w := newWire(t, by)
	user := name("@a:test", time.Hour)
	c := w.client(t, "udp", user, Password("t", user))
	if _, err := c.Allocate(); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]bool{"9.9.9.9": false, "8.8.4.4": true} {
		if err := c.CreatePermission(&net.UDPAddr{IP: net.ParseIP(to), Port: 9}); (err == nil) != want {
			t.Errorf("%s as a peer: %v", to, err)
		}
	}
	refused, err := net.ListenPacket("udp4", "127.9.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = refused.Close() }()
	asking := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	if _, err := refused.WriteTo(asking.Raw, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: w.settings.TURN.Port}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SendBindingRequest(); err != nil { // which comes after it at the same socket
		t.Fatal(err)
	}
	_ = refused.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, _, err := refused.ReadFrom(make([]byte, 2000)); err == nil {
		t.Errorf("%d bytes to a refused address", n)
	}
}
