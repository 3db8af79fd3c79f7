package egress_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
)

func TestPoolsBelongToAGeneration(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	var calls atomic.Int64
	n.Serve("9.9.9.9:443", hello(&calls), "a.org")
	e := n.Egress(&moody{}, nil)
	kept(t, n, e)
	before := len(n.Dialled())
	e.Renew(t.Context())
	if _, err := fetch(t.Context(), e.HTTP(egress.Push), "https://a.org/"); err != nil {
		t.Fatal(err)
	}
	if d := n.Dialled(); len(d) != before+1 {
		t.Errorf("dialled %v: a kept connection of before was used", d)
	}
}

func TestRenewCutsWhatIsRefused(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	arrived := make(chan struct{})
	n.Serve("9.9.9.9:443", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done() // until the connection is cut
	}), "a.org")
	judge := &moody{}
	e := n.Egress(judge, nil)
	done := make(chan error)
	go func() {
		_, err := fetch(t.Context(), e.HTTP(egress.Push), "https://a.org/")
		done <- err
	}()
	<-arrived
	judge.refuses.Store(true)
	e.Renew(t.Context())
	if err := <-done; err == nil {
		t.Error("a request to whom is refused now went on")
	}
}

func TestRenewGivesUpDials(t *testing.T) {
	judge := &moody{}
	dialling := make(chan struct{})
	e := egress.New(egress.Options{Judge: judge, Connect: func(ctx context.Context, _, _ string) (net.Conn, error) {
		close(dialling)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	done := make(chan error)
	go func() {
		_, err := e.Dial(t.Context(), egress.Mail, "tcp", "9.9.9.9:25")
		done <- err
	}()
	<-dialling
	judge.refuses.Store(true)
	e.Renew(t.Context())
	if err := <-done; err == nil {
		t.Error("the dial went on")
	}
}

// telling is a judge that says how it decides, and a recorder that hears of refusals.
type telling struct {
	ledger
	refused []egress.Intent
}

func (*telling) Admit(_ context.Context, i egress.Intent) error {
	if i.Host == "b.org" {
		return egress.Refused("no")
	}
	return nil
}

func (j *telling) Examine(ctx context.Context, i egress.Intent) (egress.Verdict, error) {
	return egress.Verdict{ID: "1", Rule: "r"}, j.Admit(ctx, i)
}

func (j *telling) Refused(_ context.Context, i egress.Intent, _ error) {
	j.refused = append(j.refused, i)
}

func TestVerdictsReachTheRecord(t *testing.T) {
	j := &telling{}
	e := egress.New(egress.Options{Judge: j, Recorder: j, Connect: func(_ context.Context, network, address string) (net.Conn, error) {
		if network != "unix" || address != "/run/x.sock" {
			t.Errorf("%s %s", network, address)
		}
		near, far := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		return near, nil
	}})
	conn, err := e.Dial(t.Context(), egress.Scan, "unix", "/run/x.sock")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if _, err := e.Dial(t.Context(), egress.Mail, "tcp", "b.org:25"); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Error(err)
	}
	if len(j.begun) != 1 || j.begun[0].Verdict.Rule != "r" || !j.begun[0].Socket || len(j.ended) != 1 {
		t.Errorf("begun %+v", j.begun)
	}
	if len(j.refused) != 1 || j.refused[0].Host != "b.org" || j.refused[0].Verdict.ID != "1" {
		t.Errorf("refused %+v", j.refused)
	}
}
