package federation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"rempart/internal/testkit/mx"
)

// People at three servers do all that people do, at random and at once, while the ways between the servers are cut, lose answers and
// become slow, and the servers are stopped and killed. When all is quiet, everybody knows what is true.
//
// REMPART_PROVE=1 does it 20 times at length, from a seed of the moment; REMPART_SEED names the first seed, REMPART_ROUNDS how often. With either
// one of the servers is two nodes.
func TestServersAgreeInTheEnd(t *testing.T) {
	seed, rounds, acts, nodes := uint64(1), 1, 60, 1
	if os.Getenv("REMPART_PROVE") == "1" {
		seed, rounds, acts, nodes = uint64(time.Now().UnixNano()), 20, 200, 2 //nolint:gosec // any number does
	}
	if s, err := strconv.ParseUint(os.Getenv("REMPART_SEED"), 10, 64); err == nil {
		seed, nodes = s, 2
	}
	if n, err := strconv.Atoi(os.Getenv("REMPART_ROUNDS")); err == nil {
		rounds = n
	}
	for i := range rounds {
		t.Run(fmt.Sprint("seed", seed+uint64(i)), func(t *testing.T) { converge(t, seed+uint64(i), acts, nodes) })
	}
}

// converge is one round.
func converge(t *testing.T, seed uint64, acts, nodes int) {
	w := newRealm(t, seed, 3, 2, nodes)
	w.furnish(t)
	listening, stop := context.WithCancel(t.Context())
	var listeners sync.WaitGroup
	for _, s := range w.souls {
		listeners.Go(func() { s.listen(listening) })
	}
	defer listeners.Wait()
	defer stop()
	done := make(chan struct{})
	var actors sync.WaitGroup
	for i, s := range w.souls {
		actors.Go(func() { w.live(s, rand.New(rand.NewPCG(seed, uint64(i))), acts) }) //nolint:gosec // no secret
	}
	go func() {
		actors.Wait()
		close(done)
	}()
	w.disturb(t, rand.New(rand.NewPCG(seed, 1000)), done) //nolint:gosec // no secret
	<-done
	if t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), mx.Patience)
	defer cancel()
	w.settle(ctx)
	began := time.Now()
	wrong := w.wrongs(ctx)
	for len(wrong) > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
		if again := w.wrongs(ctx); ctx.Err() == nil {
			if len(again) == 0 && time.Since(began) > 4*time.Second {
				t.Logf("late: %v", wrong)
			}
			wrong = again
		}
	}
	for _, what := range wrong {
		t.Error(what)
	}
	t.Logf("seed %d: %d things done, %d refused; quiet after %v; %s", seed, w.did.Load(), w.refused.Load(), time.Since(began).Round(time.Millisecond), w.faults)
	stop()
	listeners.Wait()
	if !t.Failed() {
		w.requireNothingWaits(ctx, t)
	}
	if t.Failed() {
		w.tellStories(t)
	}
}
