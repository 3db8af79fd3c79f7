package media

import (
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestVerdicts: an answer is good for a while and then asked for again; too many questions are answered with no.
func TestVerdicts(t *testing.T) {
	var asked strings.Builder
	j := newJudged(&asked)
	now := time.Unix(1000, 0)
	j.now = func() time.Time { return now }
	a := netip.MustParseAddr("192.0.2.1")
	for _, word := range []string{yes, no} {
		v, first := j.find(a, false)
		if !first {
			t.Fatal("it is not asked again")
		}
		j.hear(strings.NewReader("\nnonsense\nyes 192.0.2.9\n" + word + "192.0.2.1\n" + yes + "192.0.2.1\n"))
		if <-v.done; v.yes != (word == yes) || j.may(netip.MustParseAddr("::ffff:192.0.2.1")) != v.yes {
			t.Errorf("%s: %v", word, v.yes)
		}
		now = now.Add(verdictLife)
	}
	if asked.Len() != 0 {
		t.Errorf("asked: %s", asked.String())
	}
	j.out = io.Discard
	for i := range maxVerdicts {
		j.find(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), false)
	}
	if v, first := j.find(a.Next(), false); first || v.yes {
		t.Error("there is no end of questions")
	}
	now = now.Add(verdictLife)
	if _, first := j.find(a.Next(), false); !first || len(j.known) != 1 {
		t.Error("old verdicts are kept")
	}
}

// TestStrangers: packets in the names of very many addresses are not all asked about; whoever was admitted before is, and whoever
// is named by somebody with a password.
func TestStrangers(t *testing.T) {
	j := newJudged(io.Discard)
	now := time.Unix(1000, 0)
	j.now = func() time.Time { return now }
	friend := netip.MustParseAddr("192.0.2.1")
	j.find(friend, true)
	j.hear(strings.NewReader(yes + friend.String() + "\n"))
	now = now.Add(verdictLife)
	asked := 0
	for i := range 10 * maxStrangers {
		if v, first := j.find(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), true); first {
			asked++
		} else if <-v.done; v.yes {
			t.Fatal("a stranger is admitted unasked")
		}
	}
	if asked != maxStrangers {
		t.Errorf("%d strangers were asked about", asked)
	}
	if _, first := j.find(friend, true); !first {
		t.Error("who was admitted before is a stranger")
	}
	if _, first := j.find(friend.Next(), false); !first {
		t.Error("who is named by somebody with a password is a stranger")
	}
	now = now.Add(time.Second)
	if _, first := j.find(netip.MustParseAddr("10.0.3.0"), true); !first {
		t.Error("nobody is asked about any more")
	}
}
