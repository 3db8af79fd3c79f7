package clients

import (
	"context"
	"embed"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/ports"
)

//go:embed call/package.json call/package-lock.json call/run.js call/host.js call/host.html
var callFiles embed.FS

// TestElementCall plays a call of two people by Element Call in Chromium, in an encrypted room, in both of its modes: each sees
// the other's moving picture and hears him; the browser of one is killed, and he is out of the call. REMPART_SCREENSHOTS names
// a folder that keeps the screenshots.
func TestElementCall(t *testing.T) {
	wanted(t)
	chromium := chromiumPath(t)
	dir := project(t, callFiles, "call")
	shots := os.Getenv("REMPART_SCREENSHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	must(t, os.MkdirAll(shots, 0o750))
	address := callServer(t)
	for _, mode := range []string{"compatibility", "matrix_2_0"} {
		t.Run(mode, func(t *testing.T) {
			ctx, done := context.WithTimeout(t.Context(), 8*time.Minute)
			defer done()
			cmd := exec.CommandContext(ctx, "node", "run.js", address, shots, mode, chromium)
			cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			cmd.WaitDelay = 5 * time.Second // for browsers that hold its output open
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

// callServer runs a server with calls behind a proxy, whose address is known before the server starts, and gives that address.
func callServer(t *testing.T) string {
	t.Helper()
	target := &url.URL{Scheme: "http"}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }, FlushInterval: -1}).ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		proxy.CloseClientConnections()
		proxy.Close()
	})
	t.Setenv("REMPART_SERVER_PUBLIC_URL", proxy.URL)
	server := live.Start(t, live.Options{Extra: fmt.Sprintf("calls:\n  mode: embedded\n  node_ip: [\"127.0.0.1\"]\n  udp_port: %d\n  tcp_port: 0\n", ports.Both(t))})
	target.Host = server.URL[len("http://"):]
	return proxy.URL
}
