package egress_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"

	"rempart/internal/egress"
	"rempart/internal/testkit/fakenet"
)

// What is under way when the way out is closed has its end in the record then: a connection, as net/http may hold one that it has not closed
// yet, and a dial. The database's connection stays.
func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	arrived := make(chan struct{})
	n.Serve("9.9.9.9:443", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done() // until the connection is closed
	}), "a.org")
	l := &ledger{}
	e := n.Egress(&moody{}, l)
	store, err := e.Dial(t.Context(), egress.Store, "tcp", "9.9.9.9:443")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := fetch(t.Context(), e.HTTP(egress.Push), "https://a.org/")
		done <- err
	}()
	<-arrived
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if ended := l.outcomes(); len(ended) != 1 || ended[0].Err != nil || ended[0].Sent == 0 {
		t.Fatalf("ended: %v", ended)
	}
	if err := <-done; err == nil {
		t.Error("the request went on")
	}
	if _, err := store.Write([]byte("x")); err != nil {
		t.Errorf("the database's connection: %v", err)
	}
	if err := store.Close(); err != nil || len(l.outcomes()) != 2 {
		t.Errorf("the database's connection: %v, ended %v", err, l.outcomes())
	}
}

func TestCloseGivesUpDials(t *testing.T) {
	l := &ledger{}
	dialling, end := make(chan struct{}), make(chan struct{})
	e := egress.New(egress.Options{Judge: &moody{}, Recorder: l, Connect: func(ctx context.Context, _, _ string) (net.Conn, error) {
		close(dialling)
		<-ctx.Done()
		<-end // some take their time
		return nil, ctx.Err()
	}})
	done := make(chan error)
	go func() {
		_, err := e.Dial(t.Context(), egress.Mail, "tcp", "9.9.9.9:25")
		done <- err
	}()
	<-dialling
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if ended := l.outcomes(); len(ended) != 1 || ended[0].Err == nil {
		t.Fatalf("ended: %v", ended)
	}
	close(end)
	if err := <-done; !errors.Is(err, context.Canceled) || len(l.outcomes()) != 1 {
		t.Errorf("the dial: %v, ended %v", err, l.outcomes())
	}
}
