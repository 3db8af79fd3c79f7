package scenario

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"rempart/tests/load/csapi"
	"rempart/tests/load/wire"
)

// Target is the homeserver to measure.
type Target struct {
	Name      string
	Address   wire.Address
	Secret    string // for registration; empty: open registration
	Server    int    // process id; 0: unknown, then no CPU and memory
	Databases []int  // process ids of the database, if it is apart
}

// Env is a target with the accounts made on it. Scenarios run one after the
// other; only events is shared with their workers.
type Env struct {
	Target Target
	Sizes  Sizes
	Log    *slog.Logger
	prefix string // of account names, new for each run
	made   int
	pool   []csapi.User
	events atomic.Int64 // that this run put into rooms, joins included
	young  *growth      // what an event cost when the run began
}

// NewEnv makes an environment whose account names begin with prefix.
func NewEnv(t Target, s Sizes, prefix string, log *slog.Logger) *Env {
	return &Env{Target: t, Sizes: s, Log: log, prefix: prefix}
}

// prepareWorkers is how many connections prepare state at once.
const prepareWorkers = 16

// parallel calls act for 0…n-1 on up to workers connections of their own and
// returns the first error, after which no further call begins.
func (e *Env) parallel(ctx context.Context, workers, n int, act func(ctx context.Context, c *csapi.Client, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			c := csapi.NewClient(e.Target.Address, csapi.User{})
			defer c.Conn.Close()
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := act(ctx, c, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// newUsers makes n accounts that no other scenario uses.
func (e *Env) newUsers(ctx context.Context, n int) ([]csapi.User, error) {
	users := make([]csapi.User, n)
	first := e.made
	e.made += n
	err := e.parallel(ctx, prepareWorkers, n, func(ctx context.Context, c *csapi.Client, i int) (err error) {
		users[i], err = c.Register(ctx, fmt.Sprintf("%s%d", e.prefix, first+i), e.Target.Secret)
		return err
	})
	return users, err
}

// users returns n accounts that scenarios share; they may be in any rooms.
func (e *Env) users(ctx context.Context, n int) ([]csapi.User, error) {
	if missing := n - len(e.pool); missing > 0 {
		e.Log.Info("registering", "target", e.Target.Name, "accounts", missing)
		more, err := e.newUsers(ctx, missing)
		if err != nil {
			return nil, err
		}
		e.pool = append(e.pool, more...)
	}
	return e.pool[:n:n], nil
}

// room makes a room of these people; the first one creates it.
func (e *Env) room(ctx context.Context, people []csapi.User) (string, error) {
	c := csapi.NewClient(e.Target.Address, people[0])
	defer c.Conn.Close()
	room, err := c.CreateRoom(ctx, "load", e.Sizes.RoomVersion)
	if err != nil {
		return "", err
	}
	err = e.parallel(ctx, prepareWorkers, len(people)-1, func(ctx context.Context, c *csapi.Client, i int) error {
		return c.As(people[i+1]).Join(ctx, room)
	})
	e.events.Add(int64(len(people)))
	return room, err
}

// hall makes a room of n people from the shared accounts.
func (e *Env) hall(ctx context.Context, n int) (room string, people []csapi.User, err error) {
	if people, err = e.users(ctx, n); err != nil {
		return "", nil, err
	}
	room, err = e.room(ctx, people)
	return room, people, err
}

// clients gives each user a connection. The caller closes them by closeAll.
func (e *Env) clients(users []csapi.User) []*csapi.Client {
	cs := make([]*csapi.Client, len(users))
	for i, u := range users {
		cs[i] = csapi.NewClient(e.Target.Address, u)
	}
	return cs
}

func closeAll(cs []*csapi.Client) {
	for _, c := range cs {
		c.Conn.Close()
	}
}
