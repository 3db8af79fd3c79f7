package ledger

import (
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
