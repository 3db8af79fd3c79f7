package sender

import (
	"sync"
	"time"
)

// crewIdle is how long who has nothing to do waits for the next piece of work.
const crewIdle = 10 * time.Second

// crew does short pieces of work, each at once. It may be used concurrently.
// Why not a new goroutine each time: its stack would grow anew for every signature and every TLS record.
type crew struct {
	work chan func()
	stop chan struct{}
	wg   sync.WaitGroup
}

func newCrew() *crew { return &crew{work: make(chan func()), stop: make(chan struct{})} }

// do has somebody do something.
func (c *crew) do(f func()) {
	select {
	case c.work <- f:
	default:
		c.wg.Go(func() { c.serve(f) })
	}
}

// serve does one piece of work after the other, until there has been none for some time.
func (c *crew) serve(f func()) {
	idle := time.NewTimer(crewIdle)
	defer idle.Stop()
	for {
		f()
		idle.Reset(crewIdle)
		select {
		case f = <-c.work:
		case <-idle.C:
			return
		case <-c.stop:
			return
		}
	}
}

// close waits for what is being done; nobody may ask for more.
func (c *crew) close() {
	close(c.stop)
	c.wg.Wait()
}
