package httpx

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rempart/internal/matrix"
)

// clock is a time that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func TestBurstThenRate(t *testing.T) {
	c := &clock{time.Unix(1000, 0)}
	l := NewLimiter(map[string]Rate{"message": {PerSecond: 2, Burst: 3}}, c.now)
	for i := range 3 {
		if err := l.TakeUser("message", "@a:x"); err != nil {
			t.Fatalf("request %d of the burst: %v", i, err)
		}
	}
	err := l.TakeUser("message", "@a:x")
	if !matrix.HasCode(err, "M_LIMIT_EXCEEDED") || matrix.AsError(err).Extra["retry_after_ms"] != int64(500) {
		t.Fatalf("beyond the burst: %v %v", err, matrix.AsError(err).Extra)
	}
	if err := l.TakeUser("message", "@b:x"); err != nil {
		t.Errorf("another user: %v", err)
	}
	c.t = c.t.Add(500 * time.Millisecond)
	if err := l.TakeUser("message", "@a:x"); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	if err := l.TakeUser("message", "@a:x"); err == nil {
		t.Error("the wait gave back more than one")
	}
	if err := l.TakeUser("unlisted", "@a:x"); err != nil {
		t.Errorf("a class without limit: %v", err)
	}
}

func TestAddressesShareBySubscriber(t *testing.T) {
	l := NewLimiter(map[string]Rate{"": {PerSecond: 1, Burst: 1}}, (&clock{time.Unix(1, 0)}).now)
	for _, c := range []struct {
		addr string
		ok   bool
	}{{"192.0.2.1", true}, {"192.0.2.2", true}, {"192.0.2.1", false}, {"2001:db8::1", true}, {"2001:db8::2", false}, {"2001:db8:0:1::2", true}} {
		if err := l.TakeAddr("x", netip.MustParseAddr(c.addr)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.addr, err)
		}
	}
}

func TestLimiterMemoryIsBounded(t *testing.T) {
	c := &clock{time.Unix(1, 0)}
	l := NewLimiter(map[string]Rate{"": {PerSecond: 0.001, Burst: 5}}, c.now)
	for i := range 2 * len(l.shards) * maxKeysPerShard {
		_ = l.TakeName("", fmt.Sprint(i))
	}
	for i := range l.shards {
		if n := len(l.shards[i].until); n > maxKeysPerShard {
			t.Fatalf("shard %d holds %d", i, n)
		}
	}
}

func TestDefaultsLeaveRoomForClients(t *testing.T) {
	rates := DefaultRates()
	for class, least := range map[string]Rate{"message": {0.5, 30}, "delayed": {1, 20}} {
		if r := rates[class]; r.PerSecond < least.PerSecond || r.Burst < least.Burst {
			t.Errorf("%s: %v is tighter than %v", class, r, least)
		}
	}
}

func TestLimitIsAnswered429(t *testing.T) {
	r := New(Options{Auth: people(), Limits: NewLimiter(map[string]Rate{"message": {PerSecond: 0.1, Burst: 1}}, (&clock{time.Unix(1, 0)}).now)})
	vars(r, "GET", "/m", Route{Access: User, Class: "message"})
	vars(r, "GET", "/p", Route{Class: "message"})
	for _, c := range []struct {
		path, token string
		status      int
	}{
		{"/m", "alice", 200}, {"/m", "alice", 429}, {"/p", "", 200}, {"/p", "", 429}, {"/m", "root", 200}, {"/m", "root", 200},
	} {
		w := record(r, "GET", c.path, "", "Authorization", "Bearer "+c.token)
		if w.Code != c.status {
			t.Errorf("%v: %d %s", c, w.Code, w.Body)
		}
		if w.Code == 429 && (w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "retry_after_ms")) {
			t.Errorf("%v: no time to wait in %v %s", c, w.Header(), w.Body)
		}
	}
}

// Who asks too often waits for his refusal, unless too many do; all others are answered at once.
func TestRefusalsAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		took := func(err error) time.Duration {
			start := time.Now()
			r.holdBack(t.Context(), err)
			return time.Since(start)
		}
		limit := matrix.LimitExceeded(time.Second)
		if d := took(limit); d != refusalTime {
			t.Errorf("a refusal was held back for %v", d)
		}
		if d := took(matrix.Forbidden("no")); d != 0 {
			t.Errorf("another error was held back for %v", d)
		}
		if r.held.Store(maxHeld); took(limit) != 0 {
			t.Error("more refusals are held back than may be")
		}
	})
}
