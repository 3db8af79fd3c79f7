package ports

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"
)

// An address that is held is nobody's by chance, and whoever is told of it may listen there again and again.
func TestAHeldAddressIsNobodysByChance(t *testing.T) {
	at := Hold(t, "")
	// What the system gives by chance it would also give to who asks for the port and shares it with nobody.
	unshared := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 0) }), err)
	}}
	if l, err := unshared.Listen(t.Context(), "tcp", at); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("somebody else was given the address: %v", err)
		if err == nil {
			_ = l.Close()
		}
	}
	for range 2 {
		if c, err := net.Dial("tcp", at); err == nil {
			_ = c.Close()
			t.Error("somebody answers there")
		}
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Close(), l.Close()
	}
}

// A port for packets and connections is free for both, and below those that the system gives to anybody.
func TestAPortForBoth(t *testing.T) {
	port := Both(t)
	if port >= chosen() {
		t.Errorf("%d may be given to anybody", port)
	}
	if claim(t, uint16(port)) { //nolint:gosec // it is a port
		t.Errorf("%d may be given to another test, too", port)
	}
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	c, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Close(), l.Close()
}
