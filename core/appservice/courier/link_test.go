package courier

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"rempart/core/appservice"
)

// TestPausesDouble checks that a service which fails is asked ever more seldom, and at the latest after an hour.
func TestPausesDouble(t *testing.T) {
	l := &link{of: &appservice.Service{}}
	now := time.UnixMilli(1_000_000_000)
	begin, tries := now, 0
	for ; now.Sub(begin) < 24*time.Hour; tries++ {
		l.failed(now, errors.New("away"))
		pause := time.UnixMilli(l.Retry).Sub(now)
		if since := now.Sub(begin); pause > longestPause || pause > max(since, shortestPause) || pause < min(max(since, shortestPause), longestPause)*8/10 {
			t.Fatalf("after %v the pause is %v", since, pause)
		}
		now = now.Add(pause)
	}
	if tries > 12+26+12 {
		t.Errorf("%d tries in a day", tries)
	}
	if l.Since != begin.UnixMilli() || l.Reason != "away" {
		t.Errorf("fails since %d because of %q", l.Since, l.Reason)
	}
	l.arrived(now)
	if l.Since != 0 || l.Retry != 0 || l.Success != now.UnixMilli() {
		t.Errorf("arrived: %+v", l.AppserviceCursor)
	}
}

// TestEphemeralIsBounded checks that the newest of a kind stays, that too many are left out, and that none wait for who fails.
func TestEphemeralIsBounded(t *testing.T) {
	l := &link{of: &appservice.Service{}, ephemeral: map[string]json.RawMessage{}}
	l.tell("a", json.RawMessage(`1`))
	if len(l.order) != 0 {
		t.Error("told what was not asked for")
	}
	l.of.Ephemeral = true
	l.tell("a", json.RawMessage(`1`))
	l.tell("b", json.RawMessage(`2`))
	l.tell("a", json.RawMessage(`3`))
	if got := l.takeTold(1); len(got) != 1 || string(got[0]) != "3" || len(l.order) != 1 {
		t.Errorf("took %s, %d are left", got, len(l.order))
	}
	for i := range 2 * maxWaiting {
		l.tell(time.UnixMilli(int64(i)).String(), json.RawMessage(`4`))
	}
	if len(l.order) != maxWaiting || len(l.ephemeral) != maxWaiting {
		t.Errorf("%d wait", len(l.order))
	}
	l.failed(time.UnixMilli(5), errors.New("away"))
	l.tell("c", json.RawMessage(`5`))
	if len(l.order) != 0 || !l.idle() {
		t.Error("something ephemeral waits for a service that fails")
	}
}
