package calls

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/ports"
)

// twoIn makes two people who share a room of a server.
func twoIn(t *testing.T, s *live.Server) (alice, bob *person, room string) {
	t.Helper()
	alice, bob = register(t, s, "alice"), register(t, s, "bob")
	room = alice.must("POST", "/_matrix/client/v3/createRoom", map[string]any{"preset": "public_chat"})["room_id"].(string)
	bob.must("POST", "/_matrix/client/v3/join/"+room, struct{}{})
	return alice, bob, room
}

// member is ask for what has to succeed.
func (p *person) member(room string) string {
	p.t.Helper()
	status, jwt := p.ask(room)
	if status != 200 {
		p.t.Fatalf("%s: no token: %d", p.user, status)
	}
	return jwt
}

// wrapped listens for packets and carries them to a server by TCP, each behind its length, as ICE does: RFC 4571. It is a network
// in which UDP goes no further than the next machine.
type wrapped struct {
	net.PacketConn
	to      string
	carried atomic.Int64
	mu      sync.Mutex
	by      map[string]net.Conn
	done    sync.WaitGroup
}

func wrap(t *testing.T, port int) *wrapped {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wrapped{PacketConn: c, to: fmt.Sprintf("127.0.0.1:%d", port), by: map[string]net.Conn{}}
	w.done.Go(w.out)
	t.Cleanup(func() {
		_ = w.Close()
		w.mu.Lock()
		for _, c := range w.by {
			_ = c.Close()
		}
		w.mu.Unlock()
		w.done.Wait()
	})
	return w
}

func (w *wrapped) out() {
	b := make([]byte, 2000)
	for {
		n, from, err := w.ReadFrom(b[2:])
		if err != nil {
			return
		}
		w.mu.Lock()
		c := w.by[from.String()]
		if c == nil {
			if c, err = net.Dial("tcp", w.to); err == nil {
				w.by[from.String()] = c
				w.done.Go(func() { w.back(c, from) })
			}
		}
		w.mu.Unlock()
		if c != nil {
			binary.BigEndian.PutUint16(b, uint16(n))
			_, _ = c.Write(b[:2+n])
		}
	}
}

func (w *wrapped) back(c net.Conn, to net.Addr) {
	var size [2]byte
	for {
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		w.carried.Add(1)
		_, _ = w.WriteTo(b, to)
	}
}

// byTCP leaves of the server's addresses the one for TCP, and has the participant send there by packets that are carried.
func (w *wrapped) byTCP(line string) (string, bool) {
	f := strings.Fields(line)
	if len(f) < 8 || !strings.Contains(f[0], "candidate:") {
		return line, true
	}
	if !strings.EqualFold(f[2], "tcp") {
		return "", false
	}
	return fmt.Sprintf("%s 1 udp %s 127.0.0.1 %d typ host", f[0], f[3], w.LocalAddr().(*net.UDPAddr).Port), true //nolint:forcetypeassert // it is one
}

func (w *wrapped) description(text string) string {
	var kept []string
	for _, line := range strings.Split(text, "\r\n") {
		if l, ok := w.byTCP(line); ok {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\r\n")
}

// hear changes what the server says of its addresses.
func (w *wrapped) hear(b []byte) []byte {
	r := &livekit.SignalResponse{}
	if proto.Unmarshal(b, r) != nil {
		return b
	}
	switch m := r.Message.(type) {
	case *livekit.SignalResponse_Offer:
		m.Offer.Sdp = w.description(m.Offer.Sdp)
	case *livekit.SignalResponse_Answer:
		m.Answer.Sdp = w.description(m.Answer.Sdp)
	case *livekit.SignalResponse_Trickle:
		var init map[string]any
		_ = json.Unmarshal([]byte(m.Trickle.CandidateInit), &init)
		line, ok := w.byTCP(fmt.Sprint(init["candidate"]))
		if !ok {
			line = "" // the end of them
		}
		init["candidate"] = line
		text, _ := json.Marshal(init)
		m.Trickle.CandidateInit = string(text)
	}
	out, _ := proto.Marshal(r) // what was read can be written
	return out
}

// converse has bob join a call by the server at an address and alice by her own, and waits until each hears and sees the other.
func converse(t *testing.T, alice, bob *person, room, address string, how ...lksdk.ConnectOption) {
	t.Helper()
	guest, h, err := bob.joinAt(address, bob.member(room), how...)
	if err != nil {
		t.Fatal(err)
	}
	send(t, guest)
	r, back, err := alice.join(alice.member(room))
	if err != nil {
		t.Fatal(err)
	}
	send(t, r)
	for what, from := range map[string]chan struct{}{"sound": h.audio, "pictures": h.video, "bob's sound": back.audio, "bob's pictures": back.video} {
		wait(t, what, 101, from)
	}
}

// TestMediaByTCP: who reaches the server by TCP alone is in the call.
func TestMediaByTCP(t *testing.T) {
	port := ports.Both(t)
	alice, bob, room := twoIn(t, startSet(t, live.Options{}, "http://calls.invalid", ports.Both(t), fmt.Sprintf("  tcp_port: %d\n", port)))
	w := wrap(t, port)
	between := httptest.NewServer(&liar{to: bob.url, hear: w.hear})
	defer between.Close()
	converse(t, alice, bob, room, between.URL)
	if n := w.carried.Load(); n < 202 {
		t.Errorf("%d packets came by TCP", n)
	}
}

// TestMediaByRelay: who reaches the relay alone is in the call; clients are told of no server but this one's, and of none that tells
// addresses (STUN).
func TestMediaByRelay(t *testing.T) {
	port := ports.Both(t)
	s := startSet(t, live.Options{}, "http://calls.invalid", ports.Both(t), fmt.Sprintf("  tcp_port: 0\nturn:\n  port: %d\n", port))
	alice, bob, room := twoIn(t, s)
	var urls []string
	var mu sync.Mutex
	between := httptest.NewServer(&liar{to: bob.url, hear: func(b []byte) []byte {
		r := &livekit.SignalResponse{}
		if proto.Unmarshal(b, r) == nil && r.GetJoin() != nil {
			mu.Lock()
			defer mu.Unlock()
			for _, server := range r.GetJoin().IceServers {
				urls = append(urls, server.Urls...)
			}
		}
		return b
	}})
	defer between.Close()
	converse(t, alice, bob, room, between.URL, lksdk.WithICETransportPolicy(webrtc.ICETransportPolicyRelay))
	if n := into(t, s).stats().Relays; n == 0 {
		t.Error("no relay is in use")
	}
	mu.Lock()
	defer mu.Unlock()
	for _, u := range alice.must("GET", "/_matrix/client/v3/voip/turnServer", nil)["uris"].([]any) {
		urls = append(urls, u.(string))
	}
	own := fmt.Sprintf("127.0.0.1:%d", port)
	for _, u := range urls {
		kind, rest, _ := strings.Cut(u, ":")
		if host, _, _ := strings.Cut(rest, "?"); kind != "turn" || host != own {
			t.Errorf("clients are sent to %s", u)
		}
	}
	if len(urls) < 4 {
		t.Errorf("clients are told of %q", urls)
	}
}

// TestNoTokenInTheLog: neither tokens nor the passwords of relays are in the log, whatever is done with them.
func TestNoTokenInTheLog(t *testing.T) {
	s := startSet(t, live.Options{Env: []string{"REMPART_LOG_LEVEL=debug"}}, "http://calls.invalid", ports.Both(t), fmt.Sprintf("  tcp_port: 0\nturn:\n  port: %d\n", ports.Both(t)))
	alice, bob, room := twoIn(t, s)
	jwt := bob.member(room)
	_, h, err := bob.join(jwt)
	if err != nil {
		t.Fatal(err)
	}
	password := alice.must("GET", "/_matrix/client/v3/voip/turnServer", nil)["password"].(string)
	alice.must("POST", "/_matrix/client/v3/rooms/"+room+"/kick", map[string]string{"user_id": bob.user})
	wait(t, "end of the connection", 1, h.gone)
	bad := jwt[:len(jwt)-4] + "AAAA"
	nobody := &person{t: t, url: bob.url} // Why: of somebody who is logged in it is the token of his session that is looked at
	for _, token := range []string{jwt, bad} {
		for _, path := range []string{"/rtc/validate", "/rtc", "/rtc/v1/validate"} {
			status, out := nobody.call("GET", base+path+"?access_token="+url.QueryEscape(token), nil)
			if status < 400 || strings.Contains(fmt.Sprint(out), token) {
				t.Errorf("%s: %d, and the answer holds the token: %t", path, status, strings.Contains(fmt.Sprint(out), token))
			}
		}
	}
	s.Stop()
	log := s.Log()
	if !strings.Contains(log, "started") {
		t.Error("there is no log")
	}
	parts := strings.Split(jwt, ".")
	for _, secret := range []string{parts[1], parts[2], bad[len(bad)-20:], password, bob.token} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds a secret: %s", secret)
		}
	}
}
