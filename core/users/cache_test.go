package users

import (
	"testing"

	"rempart/internal/matrix"
)

func TestWhatWasReadBeforeADropIsNotKept(t *testing.T) {
	c := newSessionCache()
	s := &cached{hash: tokenHash{1}, caller: matrix.Caller{UserNID: 7}}
	_, before := c.find(s.hash)
	c.drop(8) // any commit about sessions that comes between reading and keeping
	c.put(s, before)
	if found, _ := c.find(s.hash); found != nil {
		t.Error("a session was kept that may have ended meanwhile")
	}
	_, before = c.find(s.hash)
	c.put(s, before)
	if found, _ := c.find(s.hash); found != s {
		t.Error("a session was not kept")
	}
	c.drop(7)
	if found, _ := c.find(s.hash); found != nil || len(c.byUser) != 0 {
		t.Error("a session was kept after its user's sessions changed")
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newSessionCache()
	for i := range cacheLimit + 10 {
		s := &cached{hash: tokenHash{byte(i), byte(i >> 8), byte(i >> 16)}, caller: matrix.Caller{UserNID: int64(i)}}
		c.put(s, 0)
	}
	if n := len(c.byHash); n > cacheLimit || n < cacheLimit/2 || n != len(c.byUser) {
		t.Errorf("%d sessions of %d users are kept", n, len(c.byUser))
	}
}

func TestPHC(t *testing.T) {
	cost := Argon2{Time: 1, MemoryKiB: 8}
	p, err := parsePHC(cost.hash("sesame"))
	if err != nil || !p.matches("sesame") || p.matches("Sesame") || p.cost != cost {
		t.Errorf("%+v, %v", p, err)
	}
	for _, bad := range []string{
		"", "x", "$argon2id$v=19$m=8,t=1,p=1$AAAA$", "$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=99999999,t=1,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=8,t=0,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=8,t=1,p=1$!$AAAAAAAAAAAAAAAAAAAAAA",
	} {
		if _, err := parsePHC(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
