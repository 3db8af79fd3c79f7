package calls

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"google.golang.org/protobuf/proto"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/ports"
)

// foreign counts packets that arrive at an address abroad.
func foreign(t *testing.T) (port int, packets *atomic.Int64) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.12.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	packets = &atomic.Int64{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 2000); ; packets.Add(1) {
			if _, _, err := c.ReadFrom(b); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	return c.LocalAddr().(*net.UDPAddr).Port, packets //nolint:forcetypeassert // it is one
}

// liar stands between a participant and the signalling, and adds an address to all that the participant offers.
type liar struct {
	to    string // the server
	lie   string // the candidate; "": none is added
	told  atomic.Int64
	async websocket.Upgrader
	// hear, if it is not nil, changes what the server says.
	hear func([]byte) []byte
}

// ServeHTTP passes on what both say.
func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	query.Set("disable_ice_lite", "true") // Why: a full agent would check what it is offered
	server, answer, err := websocket.DefaultDialer.DialContext(r.Context(), "ws"+l.to[len("http"):]+r.URL.Path+"?"+query.Encode(), http.Header{"Authorization": r.Header["Authorization"]})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_ = answer.Body.Close()
	defer func() { _ = server.Close() }()
	client, err := l.async.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	go func() {
		defer func() { _ = client.Close() }()
		for {
			kind, b, err := server.ReadMessage()
			if err == nil && l.hear != nil {
				b = l.hear(b)
			}
			if err != nil || client.WriteMessage(kind, b) != nil {
				return
			}
		}
	}()
	for {
		kind, b, err := client.ReadMessage()
		if err != nil {
			return
		}
		for _, m := range l.add(b) {
			if server.WriteMessage(kind, m) != nil {
				return
			}
		}
	}
}

// add puts the lie into a message, and behind it.
func (l *liar) add(b []byte) [][]byte {
	q := &livekit.SignalRequest{}
	if l.lie == "" || proto.Unmarshal(b, q) != nil {
		return [][]byte{b}
	}
	target := livekit.SignalTarget_PUBLISHER
	switch m := q.Message.(type) {
	case *livekit.SignalRequest_Offer:
		m.Offer.Sdp = strings.TrimRight(m.Offer.Sdp, "\r\n") + "\r\na=" + l.lie + "\r\n"
	case *livekit.SignalRequest_Answer:
		m.Answer.Sdp = strings.TrimRight(m.Answer.Sdp, "\r\n") + "\r\na=" + l.lie + "\r\n"
		target = livekit.SignalTarget_SUBSCRIBER
	default:
		return [][]byte{b}
	}
	l.told.Add(1)
	first, _ := proto.Marshal(q) // what was read can be written
	init, _ := json.Marshal(map[string]any{"candidate": l.lie, "sdpMid": "0", "sdpMLineIndex": 0})
	second, _ := proto.Marshal(&livekit.SignalRequest{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{CandidateInit: string(init), Target: target}}})
	return [][]byte{first, second}
}

// TestNoPacketGoesToAnOfferedAddress: a participant offers an address abroad, in each way there is, and asks that the server
// check it; the call works and nothing goes there.
func TestNoPacketGoesToAnOfferedAddress(t *testing.T) {
	alice, bob, room := inRoom(t)
	port, packets := foreign(t)
	l := &liar{to: alice.url, lie: fmt.Sprintf("candidate:1 1 udp 2130706431 127.12.0.1 %d typ host", port)}
	between := httptest.NewServer(l)
	defer between.Close()
	_, jwt := bob.ask(room)
	_, h, err := bob.joinAt(between.URL, jwt)
	if err != nil {
		t.Fatal(err)
	}
	_, jwt = alice.ask(room)
	r, _, err := alice.join(jwt)
	if err != nil {
		t.Fatal(err)
	}
	send(t, r)
	wait(t, "pictures", 101, h.video)
	if l.told.Load() == 0 || packets.Load() != 0 {
		t.Errorf("offered %d times; %d packets went there", l.told.Load(), packets.Load())
	}
}

// passage carries packets between participants and the media server by an address abroad, and counts those of the server.
type passage struct {
	net.PacketConn
	to           *net.UDPAddr
	asked, given atomic.Int64
}

func newPassage(t *testing.T, port int) *passage {
	t.Helper()
	// Two sockets: one that participants send to, and one abroad, where the server sees them come from.
	near, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	far, err := net.ListenPacket("udp4", "127.12.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &passage{PacketConn: near, to: &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}}
	var last atomic.Pointer[net.Addr]
	var done sync.WaitGroup
	carry := func(from, by net.PacketConn, n *atomic.Int64, to func(net.Addr) net.Addr) {
		b := make([]byte, 2000)
		for {
			size, sender, err := from.ReadFrom(b)
			if err != nil {
				return
			}
			n.Add(1)
			if at := to(sender); at != nil {
				_, _ = by.WriteTo(b[:size], at)
			}
		}
	}
	done.Go(func() {
		carry(near, far, &p.asked, func(a net.Addr) net.Addr {
			last.Store(&a)
			return p.to
		})
	})
	done.Go(func() { carry(far, near, &p.given, func(net.Addr) net.Addr { return *last.Load() }) })
	t.Cleanup(func() {
		_, _ = near.Close(), far.Close()
		done.Wait()
	})
	return p
}

// hear has participants send through the passage only.
func (p *passage) hear(b []byte) []byte {
	port := fmt.Sprintf(" %d typ", p.to.Port)
	with := fmt.Sprintf(" %d typ", p.LocalAddr().(*net.UDPAddr).Port) //nolint:forcetypeassert // it is one
	r := &livekit.SignalResponse{}
	if proto.Unmarshal(b, r) != nil {
		return b
	}
	switch m := r.Message.(type) {
	case *livekit.SignalResponse_Offer:
		m.Offer.Sdp = strings.ReplaceAll(m.Offer.Sdp, port, with)
	case *livekit.SignalResponse_Answer:
		m.Answer.Sdp = strings.ReplaceAll(m.Answer.Sdp, port, with)
	case *livekit.SignalResponse_Trickle:
		m.Trickle.CandidateInit = strings.ReplaceAll(m.Trickle.CandidateInit, port, with)
	}
	out, _ := proto.Marshal(r) // what was read can be written
	return out
}

// TestARefusedAddressHearsNothing: who comes from an address that the policy refuses gets no packet at all, not even an answer to
// his first, though he has a token and the right password. From an admitted address the same way works.
func TestARefusedAddressHearsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(more string) {
		if err := os.WriteFile(file, []byte(policyFor+more), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("deny: {networks: [127.12.0.0/16]}\n")
	port := ports.Both(t)
	s := startSet(t, live.Options{Extra: fmt.Sprintf("policy:\n  file: %q\n", file)}, "http://calls.invalid", port, "  tcp_port: 0\n")
	_, bob, room := twoIn(t, s)
	p := newPassage(t, port)
	between := httptest.NewServer(&liar{to: bob.url, hear: p.hear})
	defer between.Close()
	until(t, "packets come from the refused address", func() bool {
		if _, _, err := bob.joinAt(between.URL, bob.member(room), lksdk.WithConnectTimeout(5*time.Second)); err == nil {
			t.Fatal("a refused address is in the call")
		}
		return p.asked.Load() > 0
	})
	if n := p.given.Load(); n != 0 {
		t.Errorf("%d packets from a refused address, %d there", p.asked.Load(), n)
	}
	write("")
	s.Signal(syscall.SIGHUP)
	until(t, "the admitted address is in the call", func() bool {
		_, _, err := bob.joinAt(between.URL, bob.member(room), lksdk.WithConnectTimeout(20*time.Second))
		return err == nil
	})
	if p.given.Load() == 0 {
		t.Error("no packet went to the admitted address: the test sees none")
	}
}

// TestARefusedAddressHasNoConnection: the system takes a connection to the media port before anybody can be asked; it is closed
// then, without a byte, while one from an admitted address is kept and waits.
func TestARefusedAddressHasNoConnection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(policyFor+"deny: {networks: [127.12.0.0/16]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	port := ports.Both(t)
	startSet(t, live.Options{Extra: fmt.Sprintf("policy:\n  file: %q\n", file)}, "http://calls.invalid", ports.Both(t), fmt.Sprintf("  tcp_port: %d\n", port))
	dial := func(from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	// The admitted one is there first: were both treated alike, both would be closed for their silence, it first.
	admitted, refused := dial("127.0.0.1"), dial("127.12.0.1")
	_ = refused.SetReadDeadline(time.Now().Add(mx.Patience))
	if n, err := refused.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection of a refused address: %d bytes, %v", n, err)
	}
	_ = admitted.SetReadDeadline(time.Now().Add(time.Millisecond))
	if n, err := admitted.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection of an admitted address: %d bytes, %v", n, err)
	}
}
