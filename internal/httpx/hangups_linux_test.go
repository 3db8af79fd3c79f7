package httpx

import (
	"errors"
	"io"
	"syscall"
	"testing"
)

// Who has said something and then nothing more is still to be answered.
func TestOnlyWhoHasNothingMoreToSayHasHungUp(t *testing.T) {
	server, client := pair(t)
	if server.ended() {
		t.Error("a connection that rests has ended")
	}
	_, _ = io.WriteString(client, "x")
	_ = client.CloseWrite()
	b := make([]byte, 2)
	if server.await(t); server.ended() {
		t.Fatal("a connection with a request to be read has ended")
	}
	if n, err := server.Read(b); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := server.Read(b); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if !server.ended() {
		t.Error("a connection whose client has hung up has not ended")
	}
}

// await waits until there is something to read.
func (c *clearConn) await(t *testing.T) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Read(func(fd uintptr) bool {
		n, _, _ := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return n > 0
	}); err != nil {
		t.Fatal(err)
	}
}
