package ledger

import (
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
)

// What somebody is just writing into the log is in no answer yet, and no more in memory: whoever asks waits for it.
func TestWhoAsksWaitsForWhatIsBeingWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Service{queue: make(chan *group, 2), writing: make(chan struct{}, 1)}
		s.Refuse(Record{For: "federation", Dest: "us.example", Rule: "territory"})
		go s.flush(true)
		synctest.Wait()
		asked := false
		go func() {
			s.flush(true)
			asked = true
		}()
		synctest.Wait()
		if asked {
			t.Error("who asks is answered without what another writes")
		}
		(<-s.queue).done <- nil
		synctest.Wait()
		if !asked {
			t.Error("who asks is not answered when all is written")
		}
	})
}

// Of those to whom one record goes all that ended alike are one outcome, and all that ends within a second is one record.
func TestWhatEndedAlikeIsOneOutcome(t *testing.T) {
	s := &Service{queue: make(chan *group, 1), writing: make(chan struct{}, 1)}
	many, alone := Permit{s: s, e: &entry{rec: Record{Dests: []string{"a", "b", "c"}}}}, Permit{s: s, e: &entry{}}
	many.e.n.Store(8)
	alone.e.n.Store(9)
	many.To(2).End(Outcome{Why: "nobody is there"})
	many.To(1).End(Outcome{OK: true, Sent: 900})
	many.To(0).End(Outcome{OK: true, Sent: 900})
	alone.To(0).End(Outcome{OK: true, Sent: 900})
	var ended sync.WaitGroup
	ended.Go(func() { s.flush(false) })
	g := <-s.queue
	g.done <- nil
	ended.Wait()
	want := []Outcome{{N: 7, Why: "nobody is there", To: []int{2}}, {N: 7, OK: true, Sent: 900, To: []int{1, 0}}, {N: 8, OK: true, Sent: 900}}
	if len(g.entries) != 1 || g.entries[0].rec.Kind != Outcomes || !reflect.DeepEqual(g.entries[0].rec.Of, want) {
		t.Errorf("%d records, the first %+v", len(g.entries), g.entries[0].rec)
	}
}
