package icap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"rempart/internal/testkit/ports"
)

// serverMode, when set, makes this test binary an ICAP server, written from RFC 3507, instead of running tests.
const serverMode = "REMPART_ICAP_SERVER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(serverMode); mode != "" {
		serve(mode)
		return
	}
	os.Exit(m.Run())
}

// serve listens, writes its address to standard output, and goes on until standard input ends.
func serve(mode string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				if err := serveOne(conn, mode); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
			}()
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func serveOne(conn net.Conn, mode string) error {
	b := bufio.NewReader(conn)
	text := textproto.NewReader(b)
	line, err := text.ReadLine()
	if err != nil {
		return err
	}
	method := strings.Fields(line)[0]
	header, err := text.ReadMIMEHeader()
	if err != nil {
		return err
	}
	methods := map[string]string{"reqmod": "REQMOD", "none": "LOGMOD"}[mode]
	if methods == "" {
		methods = "RESPMOD, REQMOD"
	}
	if method == "OPTIONS" {
		_, err = fmt.Fprintf(conn, "ICAP/1.0 200 OK\r\nMethods: %s\r\nAllow: 204\r\nISTag: \"x\"\r\nEncapsulated: null-body=0\r\n\r\n", methods)
		return err
	}
	if !strings.Contains(methods, method) {
		return fmt.Errorf("was asked for %s", method)
	}
	// The offsets must be right: what stands before the body is read by them.
	parts := strings.Split(header.Get("Encapsulated"), ", ")
	var offset int
	if _, err := fmt.Sscanf(parts[len(parts)-1][strings.Index(parts[len(parts)-1], "=")+1:], "%d", &offset); err != nil {
		return err
	}
	head := make([]byte, offset)
	if _, err := io.ReadFull(b, head); err != nil || !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		return fmt.Errorf("the body does not begin at %d: %q, %w", offset, head, err)
	}
	if mode == "early" {
		_, err = io.WriteString(conn, "ICAP/1.0 200 OK\r\nX-Infection-Found: Type=0; Resolution=2; Threat=eicar;\r\nEncapsulated: null-body=0\r\n\r\n")
		return err
	}
	body, err := io.ReadAll(httputil.NewChunkedReader(b))
	if err != nil {
		return err
	}
	switch {
	case mode == "broken":
		_, err = io.WriteString(conn, "ICAP/1.0 500 Server error\r\n\r\n")
	case bytes.Contains(body, []byte("virus")):
		page := "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n"
		_, err = fmt.Fprintf(conn, "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=%d\r\n\r\n%s4\r\nnope\r\n0\r\n\r\n", len(page), page)
	case mode == "echo" || mode == "change":
		page := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
		if mode == "change" {
			body = append(body, '!')
		}
		_, _ = fmt.Fprintf(conn, "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=%d\r\n\r\n%s", len(page), page)
		w := httputil.NewChunkedWriter(conn)
		_, _ = w.Write(body)
		_ = w.Close()
		_, err = io.WriteString(conn, "\r\n")
	default:
		_, err = io.WriteString(conn, "ICAP/1.0 204 No Content\r\nISTag: \"x\"\r\n\r\n")
	}
	return err
}

// start runs a server in a process of its own and makes a client of it.
func start(t *testing.T, mode string) *Client {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverMode+"="+mode)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return client(t, "icap://"+strings.TrimSpace(address)+"/scan")
}

func client(t *testing.T, service string) *Client {
	t.Helper()
	c, err := New(service, time.Minute, func(ctx context.Context, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestVerdicts(t *testing.T) {
	long := strings.Repeat("clean ", 200_000)
	for _, test := range []struct {
		mode, file string
		clean      bool
	}{
		{"usual", "a letter", true},
		{"usual", "", true},
		{"usual", long, true},
		{"usual", long + "virus", false},
		{"reqmod", "a letter", true},
		{"reqmod", "a virus", false},
		{"echo", long, true},
		{"echo", "a virus", false},
		{"change", "a letter", false},
		{"early", strings.Repeat("x", 20<<20), false},
	} {
		c := start(t, test.mode)
		for range 2 {
			if clean, err := c.Scan(t.Context(), strings.NewReader(test.file)); err != nil || clean != test.clean {
				t.Errorf("%s, %d bytes: clean %v, %v", test.mode, len(test.file), clean, err)
			}
		}
	}
}

func TestNoVerdict(t *testing.T) {
	for _, mode := range []string{"broken", "none"} {
		if clean, err := start(t, mode).Scan(t.Context(), strings.NewReader("a letter")); clean || !errors.Is(err, ErrVerdict) {
			t.Errorf("%s: %v, %v", mode, clean, err)
		}
	}
	unreadable := io.MultiReader(strings.NewReader("half of a letter"), iotest.ErrReader(errors.New("the disk fails")))
	if clean, err := start(t, "usual").Scan(t.Context(), unreadable); clean || err == nil {
		t.Errorf("a file that cannot be read: %v, %v", clean, err)
	}
	nobody := client(t, "icap://127.0.0.1:1/scan")
	if clean, err := nobody.Scan(t.Context(), strings.NewReader("a letter")); clean || err == nil {
		t.Errorf("nobody there: %v, %v", clean, err)
	}
	for _, address := range []string{"", "http://h/x", "icap:///x", "icap://u:p@h/x", "h:1344"} {
		if _, err := New(address, 0, nil); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
}

// TestCICAP asks c-icap's own service "echo", where that server is installed.
func TestCICAP(t *testing.T) {
	binary, err := exec.LookPath("c-icap")
	if err != nil {
		t.Skip("c-icap is not installed")
	}
	modules, _ := filepath.Glob("/usr/lib/*/c_icap")
	if len(modules) == 0 {
		t.Skip("c-icap's modules are not where they are looked for")
	}
	address := ports.Hold(t, "")
	dir := t.TempDir()
	conf := filepath.Join(dir, "c-icap.conf")
	text := "PidFile " + dir + "/pid\nCommandsSocket " + dir + "/ctl\nPort " + address + "\nStartServers 1\nMaxServers 1\nThreadsPerChild 4\n" +
		"TmpDir " + dir + "\nServerLog " + dir + "/server.log\nAccessLog " + dir + "/access.log\nModulesDir " + modules[0] +
		"\nServicesDir " + modules[0] + "\nService echo srv_echo.so\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-N", "-f", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	c := client(t, "icap://"+address+"/echo")
	var clean bool
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if clean, err = c.Scan(t.Context(), strings.NewReader(strings.Repeat("a letter ", 100_000))); err == nil {
			break
		}
	}
	if err != nil || !clean {
		log, _ := os.ReadFile(filepath.Join(dir, "server.log"))
		t.Errorf("clean %v, %v\n%s", clean, err, log)
	}
}
