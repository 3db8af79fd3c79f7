package sovereign

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// names is a name server that says what the test wants. It may be used concurrently.
type names struct {
	Addr string

	t     *testing.T
	mu    sync.Mutex
	hosts map[string]func(asked int) []netip.Addr
	alias map[string]string
	srv   map[string]dnsmessage.SRVResource
	asked map[string]int
}

// newNames starts a name server at a French address.
func newNames(t *testing.T) *names {
	conn, err := net.ListenPacket("udp", "127.10.0.53:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{Addr: conn.LocalAddr().String(), t: t, hosts: map[string]func(int) []netip.Addr{}, alias: map[string]string{},
		srv: map[string]dnsmessage.SRVResource{}, asked: map[string]int{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for buf := make([]byte, 4096); ; {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := n.answer(buf[:size]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		wg.Wait()
	})
	return n
}

// host gives a name addresses.
func (n *names) host(name string, addrs ...string) {
	list := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		list[i] = netip.MustParseAddr(a)
	}
	n.changing(name, func(int) []netip.Addr { return list })
}

// changing gives a name addresses that depend on how often it was asked.
func (n *names) changing(name string, of func(asked int) []netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[name] = of
}

// also makes a name another one's.
func (n *names) also(name, of string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.alias[name] = of
}

// service says where the server of a name is.
func (n *names) service(name, target string, port uint16) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.srv["_matrix-fed._tcp."+name] = dnsmessage.SRVResource{Port: port, Target: dnsmessage.MustNewName(target + ".")}
}

// wasAsked reports whether anybody asked for a name.
func (n *names) wasAsked(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[name] > 0
}

// answer answers one question.
func (n *names) answer(raw []byte) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(raw)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	name := strings.TrimSuffix(strings.ToLower(q.Name.String()), ".")
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked[name]++
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: head.ID, Response: true, RecursionAvailable: true}, Questions: []dnsmessage.Question{q}}
	say := func(body dnsmessage.ResourceBody, of dnsmessage.Name) {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: of, Class: dnsmessage.ClassINET}, Body: body})
	}
	if to := n.alias[name]; to != "" {
		target := dnsmessage.MustNewName(to + ".")
		say(&dnsmessage.CNAMEResource{CNAME: target}, q.Name)
		name, q.Name = to, target
	}
	srv, service := n.srv[name]
	of := n.hosts[name]
	switch {
	case q.Type == dnsmessage.TypeSRV && service:
		say(&srv, q.Name)
	case of == nil && !service:
		m.RCode = dnsmessage.RCodeNameError
	case of != nil:
		n.addresses(of(n.asked[name]), q, say)
	}
	out, err := m.Pack()
	if err != nil {
		n.t.Error(err)
	}
	return out
}

// addresses says the addresses of the kind that was asked for; one mapped into IPv6 is told as such.
func (n *names) addresses(list []netip.Addr, q dnsmessage.Question, say func(dnsmessage.ResourceBody, dnsmessage.Name)) {
	for _, a := range list {
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			say(&dnsmessage.AResource{A: a.As4()}, q.Name)
		case q.Type == dnsmessage.TypeAAAA && !a.Is4():
			say(&dnsmessage.AAAAResource{AAAA: a.As16()}, q.Name)
		}
	}
}
