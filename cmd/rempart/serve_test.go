package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"rempart/config"
	"rempart/internal/httpx"
	"rempart/storage"
)

// freePorts makes a start without configuration listen on ports that nobody has.
func freePorts(t *testing.T) {
	t.Helper()
	t.Setenv("REMPART_LISTEN_CLIENT", "127.0.0.1:0")
	t.Setenv("REMPART_LISTEN_METRICS", "127.0.0.1:0")
}

// command runs one command line to its end.
func runCommand(in string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = run(context.Background(), args, console{in: strings.NewReader(in), out: &o, err: &e})
	return code, o.String(), e.String()
}

// served starts a server and returns it with its client address; it stops with the test.
func served(t *testing.T, change func(*config.Config)) (*server, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data", config.DefaultFile)
	if _, err := config.Create(path, "test.example.org"); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen.Client, cfg.Listen.Metrics = "127.0.0.1:0", ""
	change(cfg)
	s, err := start(context.Background(), cfg, console{out: io.Discard, err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s, s.clientAddress()
}

// get asks for a URL and returns status and body.
func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestFirstStartPrintsOneScreenAndStopsCleanly(t *testing.T) {
	t.Chdir(t.TempDir())
	freePorts(t)
	for _, first := range []bool{true, false} {
		ctx, stop := context.WithCancel(context.Background())
		reader, writer := io.Pipe()
		var errs bytes.Buffer
		done := make(chan int, 1)
		go func() {
			code := run(ctx, []string{"serve"}, console{out: writer, err: &errs})
			_ = writer.Close()
			done <- code
		}()
		screen, address := readScreen(t, reader)
		for _, want := range []string{"localhost", "data/rempart.yaml", "rempart user create -admin", "Element"} {
			if !strings.Contains(screen, want) {
				t.Errorf("the screen lacks %q:\n%s", want, screen)
			}
		}
		if strings.Contains(screen, "first time") != first {
			t.Errorf("first start %v, but:\n%s", first, screen)
		}
		if n := strings.Count(screen, "\n"); n > 24 {
			t.Errorf("%d lines are more than one screen", n)
		}
		if status, body := get(t, http.DefaultClient, address+"/_matrix/client/versions"); status != 200 || !strings.Contains(body, `"v1.19"`) {
			t.Errorf("versions: %d %s", status, body)
		}
		stop()
		go func() { _, _ = io.Copy(io.Discard, reader) }()
		if code := <-done; code != 0 {
			t.Fatalf("exit status %d: %s", code, &errs)
		}
	}
	for _, file := range []string{"rempart.yaml", "signing.key"} {
		info, err := os.Stat(filepath.Join("data", file))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", file, info, err)
		}
	}
}

// A server whose database was put back from a copy under it ends, for its supervisor to start it anew.
func TestServerEndsWhenTheDatabaseWasRestored(t *testing.T) {
	t.Chdir(t.TempDir())
	freePorts(t)
	reader, writer := io.Pipe()
	var errs bytes.Buffer
	done := make(chan int, 1)
	go func() {
		code := run(t.Context(), []string{"serve"}, console{out: writer, err: &errs})
		_ = writer.Close()
		done <- code
	}()
	readScreen(t, reader)
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	if err := storage.BeginAnew(t.Context(), filepath.Join("data", "rempart.db")); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != 1 || !strings.Contains(errs.String(), storage.ErrRestored.Error()) {
		t.Errorf("exit status %d: %s", code, &errs)
	}
}

// readScreen reads the welcome up to its last line.
func readScreen(t *testing.T, r io.Reader) (screen, address string) {
	t.Helper()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		screen += lines.Text() + "\n"
		if words := strings.Fields(lines.Text()); len(words) == 2 && words[0] == "Address" {
			address = words[1]
		}
		if strings.Contains(lines.Text(), "Ctrl-C") {
			return screen, address
		}
	}
	t.Fatalf("no welcome, only:\n%s", screen)
	return "", ""
}

func TestBadConfigurationEndsTheStartWithEveryMistake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.yaml")
	if err := os.WriteFile(path, []byte("listen: {client: nowhere}\nlog: {level: loud}\nroms: {a: 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"serve", "check-config"} {
		code, out, errs := runCommand("", command, "-config", path)
		if code != 78 || out != "" || strings.Count(errs, "\n") != 3 {
			t.Errorf("%s: %d\n%s\n%s", command, code, out, errs)
		}
	}
}

// A file's name in the place of the key in it would mean that nothing is ever cosigned.
func TestAWitnessIsNamedByItsKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.yaml")
	for witness, status := range map[string]int{"w.key.pub": 78, "prefecture.example+ca144a0d+AY00YC1Bcwl2V8LUHSJB9quwaD/cNHtg6XNC3FLdSxUb": 0} {
		text := "server: {name: a.example, data_dir: " + dir + "}\nledger: {witnesses: [\"" + witness + "\"]}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range [][]string{{"check-config"}, {"user", "list"}} {
			if code, _, errs := runCommand("", append(command, "-config", path)...); code != status || strings.Contains(errs, "ledger.witnesses[0]") != (status != 0) {
				t.Errorf("%s %s: %d %s", command, witness, code, errs)
			}
		}
	}
}

func TestReadyTurnsAwayWhileDraining(t *testing.T) {
	s, address := served(t, func(*config.Config) {})
	for _, path := range []string{"/health", "/ready"} {
		if status, body := get(t, http.DefaultClient, address+path); status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	s.app.drain()
	if status, body := get(t, http.DefaultClient, address+"/ready"); status != 503 {
		t.Errorf("while draining: %d %s", status, body)
	}
	if status, _ := get(t, http.DefaultClient, address+"/health"); status != 200 {
		t.Errorf("health while draining: %d", status)
	}
}

func TestStopAnswersWaitingSyncs(t *testing.T) {
	s, address := served(t, func(*config.Config) {})
	if code, _, errs := runCommand("long enough\n", "user", "create", "-config", s.config.File, "alice"); code != 0 {
		t.Fatal(errs)
	}
	token := login(t, address, "alice", "long enough")
	sync := address + "/_matrix/client/v3/sync?access_token=" + token
	_, body := get(t, http.DefaultClient, sync)
	var first struct {
		Next string `json:"next_batch"`
	}
	if err := json.Unmarshal([]byte(body), &first); err != nil || first.Next == "" {
		t.Fatalf("first sync: %s", body)
	}
	answered := make(chan int, 1)
	go func() {
		resp, err := http.Get(sync + "&timeout=600000&since=" + first.Next)
		if err != nil {
			answered <- 0
			return
		}
		_ = resp.Body.Close()
		answered <- resp.StatusCode
	}()
	router, ok := s.app.client.(*httpx.Router)
	for ok && router.Open() == 0 {
		runtime.Gosched()
	}
	s.app.drain()
	if status := <-answered; status != 200 {
		t.Errorf("the waiting sync was answered %d", status)
	}
}

// login opens a session and returns its token.
func login(t *testing.T, address, user, password string) string {
	t.Helper()
	resp, err := http.Post(address+"/_matrix/client/v3/login", "application/json", strings.NewReader(
		`{"type":"m.login.password","identifier":{"type":"m.id.user","user":"`+user+`"},"password":"`+password+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.Token == "" {
		t.Fatalf("log in: %d %v", resp.StatusCode, err)
	}
	return out.Token
}

func TestMetricsAndProfilesHaveTheirOwnListeners(t *testing.T) {
	dir := t.TempDir()
	_, address := served(t, func(c *config.Config) {
		c.Listen.Metrics, c.Listen.Pprof = "unix:"+filepath.Join(dir, "m"), "unix:"+filepath.Join(dir, "p")
	})
	_, _ = get(t, http.DefaultClient, address+"/_matrix/client/versions")
	_, _ = get(t, http.DefaultClient, address+"/nowhere")
	over := func(socket string) *http.Client {
		return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, socket))
			}}}
	}
	_, text := get(t, over("m"), "http://x/metrics")
	for _, want := range []string{
		`rempart_http_answers_total{method="GET",route="/_matrix/client/versions",status="200"} 1`,
		`rempart_http_answers_total{method="",route="",status="404"} 1`, "rempart_build_info{", "go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s:\n%s", want, text)
		}
	}
	if _, text := get(t, over("p"), "http://x/debug/pprof/cmdline"); text == "" {
		t.Error("no profiles")
	}
	if status, _ := get(t, http.DefaultClient, address+"/debug/pprof/"); status != 404 {
		t.Errorf("profiles on the client address: %d", status)
	}
}

// certificate writes a self-signed pair for a host and returns a client that trusts it.
func certificate(t *testing.T, dir, host string) *http.Client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}}}
}

func TestTLSReadsARenewedCertificate(t *testing.T) {
	dir := t.TempDir()
	old := certificate(t, dir, "test.example.org")
	s, address := served(t, func(c *config.Config) {
		c.Listen.ClientTLS, c.Listen.TLSCert, c.Listen.TLSKey = true, filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	})
	if status, _ := get(t, old, address+"/health"); status != 200 || !strings.HasPrefix(address, "https://") {
		t.Fatalf("%s: %d", address, status)
	}
	before := s.certs.current.Load()
	renewed := certificate(t, dir, "test.example.org")
	s.certs.signals <- syscall.SIGHUP
	for s.certs.current.Load() == before { // the watcher has taken the signal and reads two small files
		runtime.Gosched()
		if t.Context().Err() != nil {
			t.Fatal("not read again")
		}
	}
	if status, _ := get(t, renewed, address+"/health"); status != 200 {
		t.Errorf("after the renewal: %d", status)
	}
	if _, err := old.Get(address + "/health"); err == nil {
		t.Error("the old certificate is still served")
	}
}

func TestOneServerPerSQLiteFolder(t *testing.T) {
	s, _ := served(t, func(*config.Config) {})
	other := *s.config
	if _, err := start(context.Background(), &other, console{out: io.Discard, err: io.Discard}); err == nil || !strings.Contains(err.Error(), "another server runs on") {
		t.Errorf("a second server on the same folder: %v", err)
	}
}

func TestStartTellsEveryAddressThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	cfg, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Server.DataDir = t.TempDir()
	cfg.Server.SigningKey = filepath.Join(cfg.Server.DataDir, "k")
	cfg.Database.Path = filepath.Join(cfg.Server.DataDir, "d")
	cfg.Listen.Client, cfg.Listen.Metrics = taken.Addr().String(), taken.Addr().String()
	_, err = start(context.Background(), cfg, console{out: io.Discard, err: io.Discard})
	if err == nil || strings.Count(err.Error(), "address already in use") != 2 {
		t.Errorf("got %v", err)
	}
}
