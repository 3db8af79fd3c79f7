// Package ports gives tests addresses where what they start may listen, now, later, and again after it was stopped.
//
// To listen at port 0, look which port that was, and close is not enough: until the server that is meant to have it listens there,
// another test's may be given it. Here the test keeps a socket of its own bound to the port, which never listens: the system gives
// it to nobody by chance, while whoever asks for it by its number may listen there, and who connects meanwhile is refused.
package ports

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
)

// Hold gives a free TCP address of a host ("" is 127.0.0.1), which is the test's until it ends.
func Hold(t testing.TB, host string) string {
	t.Helper()
	if host == "" {
		host = "127.0.0.1"
	}
	at, err := hold(t, netip.AddrPortFrom(netip.MustParseAddr(host), 0))
	if err != nil {
		t.Fatal(err)
	}
	return at.String()
}

// hold binds a socket until the test ends; port 0 is any.
func hold(t testing.TB, at netip.AddrPort) (netip.AddrPort, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return at, err
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	// Why: two sockets may be bound to one port while both say this and none of them listens; net.Listen says it too.
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return at, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
		return at, fmt.Errorf("bind %s: %w", at, err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return at, err
	}
	return netip.AddrPortFrom(at.Addr(), uint16(name.(*syscall.SockaddrInet4).Port)), nil //nolint:forcetypeassert,gosec // it is one
}

// lowest is the first port of those that nobody has by custom.
const lowest = 20_000

// Both gives a port of 127.0.0.1 that is free for packets and for connections.
// Why not one that the system chooses: two cannot be bound to one UDP port, so none can be held. Below the range from which the
// system gives ports to whoever asks for any, only those who ask for it by its number may have it; of these each is one test's.
func Both(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := lowest + uint16(rand.N(chosen()-lowest)) //nolint:gosec // it is a port
		if !claim(t, port) {
			continue
		}
		at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
		c, err := net.ListenPacket("udp", at.String())
		if err != nil {
			continue
		}
		_ = c.Close()
		if l, err := net.Listen("tcp", at.String()); err == nil {
			_ = l.Close()
			if _, err := hold(t, at); err == nil {
				return int(port)
			}
		}
	}
	t.Fatal("no port is free for packets and for connections")
	return 0
}

// claim reports whether a port is the test's until it ends. Two sockets that do not listen may hold one, also those of other processes;
// a name without a file is one process's alone.
func claim(t testing.TB, port uint16) bool {
	l, err := net.Listen("unix", fmt.Sprintf("@rempart-test-port-%d", port))
	if err != nil {
		return false
	}
	t.Cleanup(func() { _ = l.Close() })
	return true
}

// chosen is the first port that the system gives to whoever asks for any.
func chosen() int {
	first := 0
	text, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range") // where that is not told it is 32768
	if _, err := fmt.Fscan(bytes.NewReader(text), &first); err != nil || first <= lowest+1000 {
		return 32_768
	}
	return first
}
