package courier

import (
	"context"
	"time"

	"rempart/core/appservice"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Standing is how a service stands, for administrators. Any node can say it.
type Standing struct {
	ID  string `json:"id"`
	URL string `json:"url"`
	// Sender is the service's own account.
	Sender matrix.UserID `json:"sender"`
	// Waiting is how many events the service has not taken yet; More says that there are more than were counted.
	Waiting int  `json:"waiting_events"`
	More    bool `json:"more_waiting,omitempty"`
	// FailingSince is when it ceased to take anything, NextTry when it is asked again, in milliseconds; 0: it does not fail.
	FailingSince int64 `json:"failing_since"`
	NextTry      int64 `json:"next_try"`
	// LastError is why it did not take the last transaction; "" when it did.
	LastError string `json:"last_error"`
	// LastSuccess is when it last took something; 0: never.
	LastSuccess int64 `json:"last_success"`
}

// maxCounted bounds how many waiting rows are counted for one service.
const maxWaitingCounted = 10_000

// Standings are those of all services with an address.
func (c *Courier) Standings(ctx context.Context) ([]Standing, error) {
	out := []Standing{}
	if c == nil {
		return out, nil
	}
	cursors, err := c.DB.ListAppservices(ctx)
	if err != nil {
		return nil, err
	}
	for i := range cursors {
		if of := c.Services.ByNumber(cursors[i].Number); of != nil && of.URL != "" {
			one, err := c.standing(ctx, of, &cursors[i])
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		}
	}
	return out, nil
}

func (c *Courier) standing(ctx context.Context, of *appservice.Service, at *storage.AppserviceCursor) (Standing, error) {
	n, err := c.DB.CountAppserviceOutbox(ctx, at.Number, at.Pos, maxWaitingCounted)
	return Standing{ID: of.ID, URL: of.URL, Sender: of.Sender, Waiting: min(n, maxWaitingCounted), More: n > maxWaitingCounted,
		FailingSince: at.Since, NextTry: at.Retry, LastError: at.Reason, LastSuccess: at.Success}, err
}

// Count is what this node handed over to a service since the start.
type Count struct {
	Taken, Failed uint64
	// Failing is for how long it has taken nothing; 0: it does not fail, or another node tells it.
	Failing time.Duration
}

// counted is a Count as it is kept.
type counted struct {
	taken, failed uint64
	since         int64
}

// Count is what became of a service's transactions at this node.
func (c *Courier) Count(of *appservice.Service) (out Count) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.counts[of.Number]
	if n == nil {
		return out
	}
	out.Taken, out.Failed = n.taken, n.failed
	if n.since != 0 {
		out.Failing = c.Clock().Sub(time.UnixMilli(n.since))
	}
	return out
}

// stands notes how a service stands after an attempt, or at the beginning.
func (c *Courier) stands(l *link, taken, failed uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.heard, l.Number)
	if c.failing[l.Number] = l.Since != 0; l.Since == 0 {
		delete(c.failing, l.Number)
	}
	n := c.counts[l.Number]
	if n == nil {
		n = &counted{}
		c.counts[l.Number] = n
	}
	n.taken, n.failed, n.since = n.taken+taken, n.failed+failed, l.Since
}
