package egress_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
)

// Whoever could not be reached is looked for as often as one likes; each look is judged, and all together are one entry in the record.
func TestWatch(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	judge, l := &moody{}, &ledger{}
	e := n.Egress(judge, l)
	to := egress.To(t.Context(), egress.Target{Server: "a.org", Tenant: "b.org", Endpoints: []egress.Endpoint{{Host: "a.org", Port: 443}}, TLSName: "a.org"})
	w, err := e.Watch(to)
	if err != nil {
		t.Fatal(err)
	}
	look := func(want bool) {
		t.Helper()
		if there, err := w.Look(t.Context()); there != want || err != nil {
			t.Errorf("there: %v, %v", there, err)
		}
	}
	look(false)
	look(false)
	judge.refuses.Store(true)
	look(false)
	if len(n.Dialled()) != 2 {
		t.Errorf("dialled %v, though it was refused", n.Dialled())
	}
	judge.refuses.Store(false)
	var calls atomic.Int64
	n.Serve("9.9.9.9:443", hello(&calls), "a.org")
	look(true)
	if len(l.begun) != 1 || !l.begun[0].Watch || l.begun[0].Server != "a.org" || l.begun[0].Tenant != "b.org" || l.begun[0].Addr.String() != "9.9.9.9:443" || len(l.ended) != 0 {
		t.Errorf("begun %+v, ended %v", l.begun, l.ended)
	}
	e.Renew(t.Context())
	if _, err := w.Look(t.Context()); !errors.Is(err, egress.ErrWatchOver) || len(n.Dialled()) != 3 {
		t.Errorf("%v: a watch of before went on", err)
	}
	w.End()
	w.End()
	if len(l.ended) != 1 || l.ended[0].Err != nil || calls.Load() != 0 {
		t.Errorf("ended %v", l.ended)
	}
}

// What a watch for nothing leaves behind; and what is refused or cannot be recorded is not looked for.
func TestWatchForNothing(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	judge, l := &moody{}, &ledger{}
	e := n.Egress(judge, l)
	to := func() context.Context {
		return egress.To(t.Context(), egress.Target{Server: "a.org", Endpoints: []egress.Endpoint{{Host: "a.org", Port: 443}}, TLSName: "a.org"})
	}
	w, err := e.Watch(to())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := w.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.End()
	if len(l.ended) != 1 || l.ended[0].Err == nil || !strings.Contains(l.ended[0].Err.Error(), "looked 3 times") {
		t.Errorf("ended %v", l.ended)
	}
	l.refuses = true
	if _, err := e.Watch(to()); err == nil {
		t.Error("what cannot be recorded is watched")
	}
	l.refuses = false
	judge.refuses.Store(true)
	if _, err := e.Watch(to()); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Error(err)
	}
	if len(l.begun) != 1 {
		t.Errorf("begun %v", l.begun)
	}
}
