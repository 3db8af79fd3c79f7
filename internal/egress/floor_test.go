package egress_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"rempart/internal/egress"
	"rempart/internal/testkit/cputime"
	"rempart/internal/testkit/fakenet"
)

// receiverEnv names the folder of the certificate with which this test program is, instead, a server that takes requests.
const receiverEnv = "REMPART_TEST_RECEIVER"

// TestReceiver is the other side of [BenchmarkFloor], in a process of its own so that its processor time is not counted.
func TestReceiver(t *testing.T) {
	dir := os.Getenv(receiverEnv)
	if dir == "" {
		t.Skip("this is a process of BenchmarkFloor")
	}
	certificate, err := tls.LoadX509KeyPair(dir+"/cert.pem", dir+"/key.pem")
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("listening", l.Addr())
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); _ = l.Close() }()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go take(conn)
	}
}

const floorAnswer = "HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 07:00:00 GMT\r\nContent-Length: 11\r\nContent-Type: application/json\r\n\r\n{\"pdus\":{}}"

// oddPath is in the path of a request whose answer is one that is not plain.
const oddPath = "ODD"

// take answers whatever comes on a connection.
func take(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		answer := floorAnswer
		if strings.Contains(req.URL.Path, oddPath) {
			answer = strings.Replace(answer, "Date:", "X1: 1\r\nDate:", 1)
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

// floor is what the ways of sending share.
type floor struct {
	ctx     context.Context
	e       *egress.Egress
	address string
	roots   *tls.Config
	text    []byte
}

func newFloor(b *testing.B) *floor {
	ca, dir := fakenet.NewCA(b), b.TempDir()
	ca.WriteFiles(dir, "127.0.0.1")
	cmd := exec.Command(os.Args[0], "-test.run=^TestReceiver$")
	cmd.Env = append(os.Environ(), receiverEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	f := &floor{address: strings.TrimSpace(strings.TrimPrefix(line, "listening ")), roots: &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"}}
	f.e = egress.New(egress.Options{Judge: egress.AllowNames([]string{"*"}, true), RootCAs: ca.Pool()})
	b.Cleanup(func() { _ = f.e.Close() })
	port := netPort(b, f.address)
	f.ctx = egress.To(b.Context(), egress.Target{Server: "a.org", TLSName: "127.0.0.1", Endpoints: []egress.Endpoint{{Host: "127.0.0.1", Port: port}}})
	body := `{"edus":[],"origin":"a.org","origin_server_ts":1795330000000,"pdus":[` + strings.Repeat("x", 700) + `]}`
	f.text = fmt.Appendf(nil, "PUT /_matrix/federation/v1/send/ABCDEFGHIJKLMNOP HTTP/1.1\r\nHost: 127.0.0.1:8448\r\nUser-Agent: Rempart/1\r\n"+
		"Authorization: X-Matrix origin=\"127.0.0.1:8448\",destination=\"127.0.0.1:8449\",key=\"ed25519:abcdef\",sig=\"%s\"\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", strings.Repeat("s", 86), len(body), body)
	return f
}

func netPort(b *testing.B, address string) (port uint16) {
	_, text, err := net.SplitHostPort(address)
	if err == nil {
		_, err = fmt.Sscan(text, &port)
	}
	if err != nil {
		b.Fatal(err)
	}
	return port
}

// waveSize is how many servers are told at once.
const waveSize = 210

// What one request over a connection that is kept costs the one who sends it, in processor time, when 210 of them go out at once each
// second or so: "bare" is crypto/tls and the system alone, "exchange" what sends transactions. Over loopback the system does much of the
// receiver's part in the time of the sender. pause is what the others have for themselves between waves.
func BenchmarkFloor(b *testing.B) {
	for _, pause := range []time.Duration{0, 500 * time.Millisecond} {
		b.Run(fmt.Sprint("bare/pause=", pause), func(b *testing.B) {
			f := newFloor(b)
			conns := make([]*tls.Conn, waveSize)
			for i := range conns {
				conn, err := net.Dial("tcp", f.address)
				if err != nil {
					b.Fatal(err)
				}
				conns[i] = tls.Client(conn, f.roots)
				b.Cleanup(func() { _ = conn.Close() })
			}
			f.waves(b, pause, func(i int) error {
				if _, err := conns[i].Write(f.text); err != nil {
					return err
				}
				_, err := io.ReadFull(conns[i], make([]byte, len(floorAnswer)))
				return err
			})
		})
		b.Run(fmt.Sprint("exchange/pause=", pause), func(b *testing.B) {
			f := newFloor(b)
			f.waves(b, pause, func(i int) error {
				ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
				defer cancel()
				_, err := f.e.Exchange(ctx, fmt.Sprint("a.org:", i), func() ([]byte, error) { return f.text, nil }, 1<<20)
				return err
			})
		})
	}
}

// waves makes requests, all at once, again and again.
func (f *floor) waves(b *testing.B, pause time.Duration, one func(i int) error) {
	once := func() {
		var wg sync.WaitGroup
		for i := range waveSize {
			wg.Go(func() {
				if err := one(i); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		time.Sleep(pause)
	}
	once() // the connections are made
	began := cputime.Used()
	for b.Loop() {
		once()
	}
	b.ReportMetric(float64((cputime.Used()-began).Microseconds())/float64(b.N)/waveSize, "µs-cpu/request")
}
