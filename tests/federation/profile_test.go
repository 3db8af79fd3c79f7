package federation

import (
	"cmp"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"rempart/internal/testkit/mx"
)

// profiling lets the servers that a test starts from here on show their profiles, at an address of their own, if
// REMPART_PROFILE names a file for them, to which suffix is added. What is returned starts a profile, and what that returns ends it.
func profiling(t *testing.T, suffix string) func() func() {
	t.Helper()
	file := os.Getenv("REMPART_PROFILE")
	if file == "" {
		return func() func() { return func() {} }
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	mx.Must(t, err)
	address := l.Addr().String()
	mx.Must(t, l.Close())
	t.Setenv("REMPART_LISTEN_PPROF", address)
	file += suffix
	seconds := cmp.Or(os.Getenv("REMPART_PROFILE_SECONDS"), "50")
	return func() func() {
		done := make(chan error, 1)
		go func() { done <- download("http://"+address+"/debug/pprof/profile?seconds="+seconds, file) }()
		return func() {
			if err := <-done; err != nil {
				t.Error(err)
			}
			if err := download("http://"+address+"/debug/pprof/heap", file+".heap"); err != nil {
				t.Error(err)
			}
		}
	}
}

func download(address, file string) error {
	res, err := http.Get(address) //nolint:gosec,noctx // an address of this test
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, res.Body)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
