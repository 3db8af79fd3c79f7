package scenario

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"rempart/tests/load/csapi"
	"rempart/tests/load/stats"
)

const (
	keyWorkers = 8  // users who act at once
	oneTime    = 50 // one-time keys per device
	keyPath    = "/_matrix/client/v3/keys/"
)

// keys is what starts encrypted conversations: everybody uploads keys, asks for
// everybody's, and claims one-time keys of those next to him.
func keys(ctx context.Context, e *Env, s *Sheet) error {
	people, err := e.newUsers(ctx, e.Sizes.KeyUsers)
	if err != nil {
		return err
	}
	if _, err := e.room(ctx, people); err != nil {
		return err
	}
	if err := e.upload(ctx, s, people); err != nil {
		return err
	}
	if err := e.query(ctx, s, people); err != nil {
		return err
	}
	return e.claim(ctx, s, people)
}

// each lets every user make one request, keyWorkers at a time, and writes the
// figures. Answers are copied, to be looked at after the measurement.
func (e *Env) each(ctx context.Context, s *Sheet, what string, people []csapi.User, bodies [][]byte) ([][]byte, error) {
	if err := e.quiet(ctx); err != nil {
		return nil, err
	}
	answers := make([][]byte, len(people))
	wall := stats.NewSample(len(people))
	var mu sync.Mutex
	start, err := e.usage()
	if err != nil {
		return nil, err
	}
	err = e.parallel(ctx, keyWorkers, len(people), func(ctx context.Context, c *csapi.Client, i int) error {
		at := time.Now()
		answer, err := c.As(people[i]).Raw(ctx, "POST", keyPath+what, bodies[i])
		if err != nil {
			return fmt.Errorf("keys/%s: %w", what, err)
		}
		took := time.Since(at)
		answers[i] = slices.Clone(answer)
		mu.Lock()
		wall.Add(took)
		mu.Unlock()
		return nil
	})
	if err != nil {
		return nil, err
	}
	c, err := e.since(start)
	if err != nil {
		return nil, err
	}
	s.latency(what, wall)
	s.add(what+" rate", "requests/s", float64(len(people))/c.wall.Seconds())
	s.cpu(e, c, len(people), what)
	return answers, nil
}

func (e *Env) upload(ctx context.Context, s *Sheet, people []csapi.User) (err error) {
	bodies := make([][]byte, len(people))
	for i, u := range people {
		if bodies[i], err = csapi.KeyUpload(u, oneTime); err != nil {
			return err
		}
	}
	_, err = e.each(ctx, s, "upload", people, bodies)
	return err
}

func (e *Env) query(ctx context.Context, s *Sheet, people []csapi.User) error {
	body, err := csapi.QueryBody(people)
	if err != nil {
		return err
	}
	answers, err := e.each(ctx, s, "query", people, slices.Repeat([][]byte{body}, len(people)))
	if err != nil {
		return err
	}
	for _, a := range answers {
		n, err := csapi.QueriedUsers(a)
		if err != nil {
			return fmt.Errorf("read the answer of a key query: %w", err)
		}
		if n != len(people) {
			return fmt.Errorf("a query for %d users found the devices of %d", len(people), n)
		}
	}
	return nil
}

func (e *Env) claim(ctx context.Context, s *Sheet, people []csapi.User) (err error) {
	bodies, each := make([][]byte, len(people)), min(e.Sizes.KeyClaims, len(people)-1, oneTime)
	for i := range people {
		others := make([]csapi.User, each)
		for k := range others {
			others[k] = people[(i+1+k)%len(people)]
		}
		if bodies[i], err = csapi.ClaimBody(others); err != nil {
			return err
		}
	}
	answers, err := e.each(ctx, s, "claim", people, bodies)
	if err != nil {
		return err
	}
	claimed := map[string]bool{}
	for _, a := range answers {
		ids, err := csapi.ClaimedKeys(a)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if claimed[id] {
				return fmt.Errorf("a one-time key was handed out twice: %s", id)
			}
			claimed[id] = true
		}
	}
	s.add("keys claimed", "", float64(len(claimed)))
	if want := each * len(people); len(claimed) != want {
		return fmt.Errorf("%d one-time keys were handed out, want %d", len(claimed), want)
	}
	return nil
}
