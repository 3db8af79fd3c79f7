package sovereign

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"rempart/federation/client"
	"rempart/federation/keys"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/testkit/mx"
)

const sighup = syscall.SIGHUP

// peer is another server that is the test itself: an attacker, or a partner that does an attacker's work.
type peer struct {
	*client.Client
	name matrix.ServerName
	key  matrix.SigningKey
	t    *testing.T
	room *matrix.RoomVersion
	auth []matrix.EventID

	mu     sync.Mutex
	answer http.HandlerFunc
	asked  []string
}

// peer starts a server of a name at a place; calls come from there too.
func (l *lab) peer(name, at string) *peer {
	l.t.Helper()
	p := &peer{name: matrix.ServerName(name), t: l.t}
	listener, err := net.Listen("tcp", at+":0")
	mx.Must(l.t, err)
	s := httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	_ = s.Listener.Close()
	s.Listener = listener
	s.TLS = &tls.Config{Certificates: []tls.Certificate{l.ca.Issue(name, "matrix."+name)}}
	s.StartTLS()
	l.t.Cleanup(s.Close)
	where := netip.MustParseAddrPort(listener.Addr().String())
	l.host("matrix."+name, at)
	l.service(name, "matrix."+name, where.Port())
	p.key, err = matrix.GenerateSigningKey(p.name)
	mx.Must(l.t, err)
	p.Client = l.clientAt(at, p)
	return p
}

// clientAt makes requests from a place.
func (l *lab) clientAt(at string, k client.Keys) *client.Client {
	e := egress.New(egress.Options{Judge: egress.AllowNames([]string{"*"}, true), RootCAs: l.ca.Pool(), Source: netip.MustParseAddr(at),
		NameServers: []netip.AddrPort{netip.MustParseAddrPort(l.names.Addr)}})
	l.t.Cleanup(func() { _ = e.Close() })
	return client.New(client.Options{Egress: e, Keys: k, Agent: "peer"})
}

func (p *peer) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.URL.Path)
	answer := p.answer
	p.mu.Unlock()
	switch {
	case r.URL.Path == "/_matrix/key/v2/server":
		raw, err := keys.New(keys.Options{Own: map[matrix.ServerName][]matrix.SigningKey{p.name: {p.key}}}).Publish(p.name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(raw)
	case answer != nil:
		answer(w, r)
	default:
		http.NotFound(w, r)
	}
}

// answers says how everything but keys is answered.
func (p *peer) answers(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = h
}

// calls counts what was asked so far.
func (p *peer) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

// SigningKey implements client.Keys. It signs for any name, as a liar would.
func (p *peer) SigningKey(name matrix.ServerName) (matrix.SigningKey, bool) {
	k := p.key
	k.ServerName = name
	return k, true
}

// join enters a room of another server.
func (p *peer) join(to matrix.ServerName, room matrix.RoomID, user matrix.UserID) error {
	tmpl, err := p.MakeJoin(p.t.Context(), p.name, to, room, user, []string{"10", "11"})
	if err != nil {
		return err
	}
	v, _ := matrix.Version(tmpl.RoomVersion)
	p.room = v
	var e struct {
		Type       string           `json:"type"`
		StateKey   string           `json:"state_key"`
		Content    json.RawMessage  `json:"content"`
		Depth      int64            `json:"depth"`
		PrevEvents []matrix.EventID `json:"prev_events"`
		AuthEvents []matrix.EventID `json:"auth_events"`
	}
	mx.Must(p.t, json.Unmarshal(tmpl.Event, &e))
	built, err := v.Build(matrix.Proto{RoomID: room, Sender: user, Type: e.Type, StateKey: &e.StateKey, Content: e.Content, PrevEvents: e.PrevEvents,
		AuthEvents: e.AuthEvents, Depth: e.Depth, OriginServerTS: time.Now().UnixMilli()}, p.key)
	mx.Must(p.t, err)
	_, err = p.SendJoin(p.t.Context(), p.name, to, room, built.ID, built.JSON, false, nil)
	p.auth = append(e.AuthEvents[:len(e.AuthEvents):len(e.AuthEvents)], built.ID)
	return err
}

// status is the status of a refusal by the other server; 0 when it did not refuse.
func status(err error) int {
	if e, ok := client.AsRemote(err); ok {
		return e.Status
	}
	return 0
}
