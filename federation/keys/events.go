package keys

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"rempart/core"
	"rempart/internal/matrix"
)

// maxFetches bounds how many servers are asked at once.
const maxFetches = 32

// VerifyEvents checks the signatures that events need and gives one result each, nil for a good one. Keys are fetched
// for all events first, then signatures are checked on all processors.
// Spec: server-server-api/#validating-hashes-and-signatures-on-received-events
func (r *Ring) VerifyEvents(ctx context.Context, events []*matrix.Event) []error {
	r.fetchFor(ctx, events)
	out := make([]error, len(events))
	each(len(events), runtime.GOMAXPROCS(0), func(i int) { out[i] = r.verifyEvent(ctx, events[i]) })
	return out
}

// each calls fn for 0 to n-1 on some goroutines and waits for them.
func each(n, workers int, fn func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(n, workers) {
		wg.Go(func() {
			for i := range next {
				fn(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// fetchFor has the keys of all signers at hand, as far as they can be had, with many servers asked at once.
func (r *Ring) fetchFor(ctx context.Context, events []*matrix.Event) {
	needs := map[matrix.ServerName]map[string]int64{}
	for _, e := range events {
		signed := e.SignatureKeys()
		for _, name := range e.RequiredSigners() {
			for _, id := range signed[name] {
				if needs[name] == nil {
					needs[name] = map[string]int64{}
				}
				needs[name][id] = max(needs[name][id], validAt(e))
			}
		}
	}
	names := make([]matrix.ServerName, 0, len(needs))
	for name := range needs {
		names = append(names, name)
	}
	each(len(names), maxFetches, func(i int) {
		for id, at := range needs[names[i]] {
			_, _ = r.Key(ctx, names[i], id, at) // Why no error: each event says for itself what it lacks
		}
	})
}

// validAt is when the keys of an event must have been valid, 0 where its room version asks for no time.
func validAt(e *matrix.Event) int64 {
	if !e.Version.EnforceKeyValidity {
		return 0
	}
	return e.OriginServerTS
}

// verifyEvent checks that each server whose signature an event needs has signed it with a valid key.
func (r *Ring) verifyEvent(ctx context.Context, e *matrix.Event) error {
	signed := e.SignatureKeys()
	for _, name := range e.RequiredSigners() {
		if err := r.verifyBy(ctx, e, name, signed[name]); err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
	}
	return nil
}

// maxSignatures bounds how many signatures of one server on one event are tried.
const maxSignatures = 8

// verifyBy checks that one of a server's signatures is good.
func (r *Ring) verifyBy(ctx context.Context, e *matrix.Event, name matrix.ServerName, keyIDs []string) error {
	var last error = matrix.Forbidden("The event is not signed by " + string(name) + ".")
	for _, id := range keyIDs[:min(len(keyIDs), maxSignatures)] {
		pub, err := r.Key(ctx, name, id, validAt(e))
		if err == nil {
			err = e.VerifySignature(name, id, pub)
		}
		if err == nil {
			return nil
		}
		if !errors.Is(last, core.ErrUnreached) {
			last = err
		}
	}
	return last
}
