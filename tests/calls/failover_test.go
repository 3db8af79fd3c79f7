package calls

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/pgtest"
	"rempart/internal/testkit/ports"
)

// front is what stands before several nodes, and sends everybody to one of them.
type front struct {
	*httptest.Server
	to atomic.Pointer[url.URL]
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{}
	f.Server = httptest.NewServer(&httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(f.to.Load()) }})
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

func (f *front) turn(t *testing.T, s *live.Server) {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	f.to.Store(u)
}

// drain forgets what came so far.
func drain(c <-chan struct{}) {
	for len(c) > 0 {
		<-c
	}
}

// TestACallOutlivesItsNode: the node on which a call is ends; those in the call do nothing, and hear and see one another again by
// the other node. Who does not come back is not shown there.
func TestACallOutlivesItsNode(t *testing.T) {
	if !pgtest.Wanted() {
		t.Skip("two nodes need PostgreSQL")
	}
	for name, end := range map[string]func(t *testing.T, s *live.Server){
		"a machine that is gone": func(t *testing.T, s *live.Server) {
			t.Helper()
			media := childOf(t, s)
			s.Signal(syscall.SIGSTOP) // lest it start another
			_ = syscall.Kill(media, syscall.SIGKILL)
			s.Kill()
		},
		"a server that is killed":  func(_ *testing.T, s *live.Server) { s.Kill() },
		"a server that is stopped": func(_ *testing.T, s *live.Server) { s.Stop() },
	} {
		t.Run(name, func(t *testing.T) {
			settings := fmt.Sprintf("  tcp_port: 0\n  redis: %q\n", redis(t))
			o := live.Options{Postgres: pgtest.New(t)}
			one := startSet(t, o, "http://calls.invalid", ports.Both(t), settings)
			o.SigningKey = one.Dir + "/signing.key"
			two := startSet(t, o, "http://calls.invalid", ports.Both(t), settings)
			outlives(t, one, two, end)
		})
	}
}

func outlives(t *testing.T, one, two *live.Server, end func(*testing.T, *live.Server)) {
	t.Helper()
	alice, bob, room := twoIn(t, one)
	carol := register(t, one, "carol")
	carol.must("POST", "/_matrix/client/v3/join/"+room, struct{}{})
	boss := admin(t, one)
	tokens := []string{alice.member(room), bob.member(room), carol.member(room)}
	until(t, "one node has the call", func() bool { return into(t, one).stats().Rooms+into(t, two).stats().Rooms == 1 })
	if into(t, two).stats().Rooms == 1 {
		one, two = two, one
	}
	f := newFront(t)
	f.turn(t, one)
	var heardBy []*heard
	for i, p := range []*person{alice, bob} {
		r, h, err := p.joinAt(f.URL, tokens[i])
		if err != nil {
			t.Fatal(err)
		}
		send(t, r)
		heardBy = append(heardBy, h)
	}
	if _, _, err := carol.joinAt(one.URL, tokens[2]); err != nil { // by the node itself: she does not come back
		t.Fatal(err)
	}
	for _, h := range heardBy {
		wait(t, "pictures", 101, h.video)
	}
	f.turn(t, two)
	began := time.Now()
	end(t, one)
	t.Logf("the node ended after %v", time.Since(began))
	// Once, and before the other node can know: who asks meanwhile waits for it. Those in the call ask again and again, so that they would
	// not notice.
	if status, answer := (&person{t: t, url: two.URL}).call("GET", base+"/rtc/validate?access_token="+tokens[0], nil); status != http.StatusOK {
		t.Errorf("who asks when the node has just ended: %d %v", status, answer)
	}
	for _, h := range heardBy {
		drain(h.video)
		drain(h.audio)
	}
	for _, h := range heardBy {
		wait(t, "pictures again", 101, h.video)
		wait(t, "sound again", 101, h.audio)
	}
	t.Logf("a call again after %v", time.Since(began))
	boss.url = two.URL
	var there []string
	until(t, "those who came back are in the call, and nobody else", func() bool {
		there = inCalls(boss)
		return slices.Equal(there, []string{alice.user, bob.user})
	})
	if status, _ := (&person{t: t, url: two.URL}).call("GET", base+"/rtc/validate?access_token="+tokens[2], nil); status != http.StatusOK {
		t.Errorf("who did not come back may still: %d", status)
	}
}

// inCalls are those that an administrator sees in calls, in order.
func inCalls(boss *person) (users []string) {
	boss.t.Helper()
	_, out := boss.call("GET", "/_rempart/admin/v1/calls", nil)
	list, _ := out["calls"].([]any)
	for _, c := range list {
		people, _ := c.(map[string]any)["participants"].([]any)
		for _, p := range people {
			user, _ := p.(map[string]any)["user_id"].(string)
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users
}

// TestACallOutlivesARestart: the one server there is, is stopped and started again; those in the call do nothing, and hear and see
// one another again.
func TestACallOutlivesARestart(t *testing.T) {
	s := start(t)
	alice, bob, room := twoIn(t, s)
	var all []*heard
	for _, p := range []*person{alice, bob} {
		r, h, err := p.join(p.member(room))
		if err != nil {
			t.Fatal(err)
		}
		send(t, r)
		all = append(all, h)
	}
	for _, h := range all {
		wait(t, "pictures", 101, h.video)
	}
	s.Stop()
	s.Restart()
	began := time.Now()
	for _, h := range all {
		drain(h.video)
		drain(h.audio)
	}
	for _, h := range all {
		wait(t, "pictures again", 101, h.video)
		wait(t, "sound again", 101, h.audio)
	}
	t.Logf("a call again %v after the restart", time.Since(began))
}
