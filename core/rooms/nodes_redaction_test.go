package rooms_test

import (
	"runtime"
	"sync"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
)

// A redaction that one node takes in while another takes in what it redacts takes effect, whichever is written first.
func TestARedactionBesideItsTargetAtAnotherNode(t *testing.T) {
	if !pgtest.Wanted() {
		t.Skip("two nodes need PostgreSQL")
	}
	for _, table := range []string{"pending_redactions", "relations"} { // to which the redaction alone writes, and its target
		t.Run(table, func(t *testing.T) {
			ctx, url := t.Context(), pgtest.New(t)
			w, one, d := twoServers(t, url)
			two := newRig(t, url, func(o *rooms.Options) { o.Keys, o.Peers, o.Federated, o.Server = own{w.keys[home]}, w, true, home })
			room := one.publicRoom(t, "11")
			d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
			root := d.must(t, d.known(t, room.ID()), text(dora, "root"))[0]
			target := d.must(t, d.known(t, room.ID()), rooms.Draft{Sender: dora, Type: "m.room.message",
				Content: []byte(`{"body":"wrong","msgtype":"m.text","m.relates_to":{"rel_type":"m.reference","event_id":"` + string(root.ID) + `"}}`)})[0]
			take := func(e *rooms.Stored) {
				if out, err := one.rooms.Receive(ctx, room.ID(), []*matrix.Event{e.Event}, rooms.Arrival{From: there}); err != nil || out[0].Err != nil || out[0].Refused != nil {
					t.Errorf("%s: %+v, %v", e.Type, out, err)
				}
			}
			take(root)
			if err := two.db.CatchUp(ctx); err != nil {
				t.Fatal(err)
			}
			far := two.known(t, room.ID())
			if table == "relations" {
				two.must(t, far, text(alice, "hello")) // so that the target forks the room
				if err := one.db.CatchUp(ctx); err != nil {
					t.Fatal(err)
				}
			}

			waiting, release := pgtest.Lock(t, url, table)
			var both sync.WaitGroup
			first, second := func() { take(target) }, func() {
				redaction := rooms.Draft{Sender: alice, Type: "m.room.redaction", Content: []byte(`{"redacts":"` + string(target.ID) + `"}`)}
				if _, err := two.send(ctx, far, redaction); err != nil {
					t.Error(err)
				}
			}
			if table == "pending_redactions" {
				first, second = second, first
			}
			both.Go(first)
			for waiting() == 0 && !t.Failed() {
				runtime.Gosched()
			}
			done := make(chan struct{})
			both.Go(func() {
				defer close(done)
				second()
			})
			for over := false; !over && waiting() < 2 && !t.Failed(); {
				select {
				case <-done:
					over = true
				default:
					runtime.Gosched()
				}
			}
			release()
			both.Wait()
			for _, r := range []*rig{one, two} {
				if err := r.db.CatchUp(ctx); err != nil {
					t.Fatal(err)
				}
				there, err := r.rooms.Room(ctx, room.ID())
				if err != nil {
					t.Fatal(err)
				}
				if e := r.event(t, there, target.ID); e.RedactedBy == nil {
					t.Errorf("it says %s", e.Content)
				}
			}
		})
	}
}
