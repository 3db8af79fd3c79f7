package courier

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"rempart/core"
	"rempart/core/appservice"
	"rempart/core/lease"
	"rempart/core/rooms"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Options is what a courier is made of.
type Options struct {
	DB       *storage.DB
	Bus      *bus.Bus[storage.Batch]
	Rooms    *rooms.Service
	Services *appservice.Registry
	Gateway  core.Appservices
	Log      *slog.Logger
	// Clock may be nil for the wall clock.
	Clock func() time.Time
}

// Bounds of the courier.
const (
	maxEvents     = 100 // of one transaction
	maxEphemeral  = 100
	maxToDevice   = 100
	maxLists      = 200
	maxCounted    = 50 // users whose counts of keys one transaction tells
	maxBody       = 2 << 20
	maxWaiting    = 1000 // ephemeral messages that wait for one service
	maxNotes      = 4096
	pageSize      = 500
	manyUsers     = 1000
	longestPause  = time.Hour
	shortestPause = time.Second
	idlePrune     = time.Minute
	ticks         = 500 * time.Millisecond
)

// Courier tells services. It may be used concurrently.
type Courier struct {
	Options
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{}
	lease  *lease.Lease

	mu      sync.Mutex
	upto    int64          // the outbox may hold rows up to here; Why not the database's: subscribers hear of a batch before it moves
	moved   map[int64]bool // services that have rows
	all     bool           // every service may
	lists   bool           // device lists may have changed
	people  map[int64]bool // users who got messages for devices, or whose keys were counted anew
	notes   []note         // what is ephemeral
	failing map[int64]bool // services that do not answer
	heard   map[int64]bool // those of them that spoke to us
	counts  map[int64]*counted
}

// note is something ephemeral on its way to the goroutine that owns the services.
type note struct {
	room    int64
	rooms   []int64 // of presence
	user    matrix.UserID
	typists []matrix.UserID
	event   json.RawMessage
	receipt *storage.ReceiptRow
}

// New makes a courier and lets it run until Close. Services that are new are told what comes from now on.
func New(ctx context.Context, o Options) (*Courier, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	change := &storage.Change{}
	for _, s := range o.Services.All() {
		change.Guard(storage.BeginAppservice(s.Number, s.ID, o.DB.Position()))
	}
	if err := o.DB.Commit(ctx, change); err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &Courier{Options: o, cancel: cancel, wake: make(chan struct{}, 1), moved: map[int64]bool{}, people: map[int64]bool{},
		failing: map[int64]bool{}, heard: map[int64]bool{}, counts: map[int64]*counted{}}
	o.Bus.Subscribe(c.hear)
	c.lease = lease.New(o.DB, "application services", o.Clock, o.Log)
	c.wg.Go(func() { c.lease.Hold(run, c.tell, c.forget) })
	return c, nil
}

// Close stops telling. What was not told is told after the next start.
func (c *Courier) Close() {
	c.cancel()
	c.wg.Wait()
}

// hear looks whether a batch holds something for the services.
func (c *Courier) hear(b storage.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	poke := b.Remote
	c.all = c.all || b.Remote
	c.upto = max(c.upto, b.To)
	for i := range b.Lives {
		poke = c.take(&b.Lives[i]) || poke
	}
	if poke {
		c.poke()
	}
}

// take notes what one entry means; mu is held.
func (c *Courier) take(l *storage.Live) bool {
	switch l.Kind {
	case storage.KindEvent:
		e, ok := l.Value.(*rooms.Stored)
		if !ok || len(e.ToldTo()) == 0 {
			return false
		}
		for _, s := range e.ToldTo() {
			c.moved[s.Number] = true
		}
	case storage.KindMembership: // perhaps an invitation into a room that is elsewhere
		c.all = true
	case storage.KindToDevice, storage.KindKeyCount:
		if len(c.people) >= manyUsers {
			return false // whoever is forgotten here is looked at when the service is told something
		}
		c.people[l.User] = true
	case storage.KindDeviceList:
		c.lists = true
	case storage.KindReceipt:
		row, ok := l.Value.(*storage.ReceiptRow)
		if !ok {
			return false
		}
		return c.note(note{room: l.Room, receipt: row})
	default:
		return false
	}
	return true
}

// note keeps something ephemeral; mu is held.
func (c *Courier) note(n note) bool {
	if len(c.notes) >= maxNotes {
		return false
	}
	c.notes = append(c.notes, n)
	return true
}

// Typing implements core.Watcher.
func (c *Courier) Typing(room int64, typists []matrix.UserID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.note(note{room: room, typists: typists}) {
		c.poke()
	}
}

// Presence implements core.Watcher.
func (c *Courier) Presence(user matrix.UserID, event json.RawMessage, in []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.note(note{user: user, event: event, rooms: in}) {
		c.poke()
	}
}

// Heard notes that a service has spoken to us: it is there, so whatever waits for it is sent now.
func (c *Courier) Heard(s *appservice.Service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failing[s.Number] && !c.heard[s.Number] {
		c.heard[s.Number] = true
		c.poke()
	}
}

func (c *Courier) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// tell tells services, while this node has the lease.
func (c *Courier) tell(ctx context.Context) error { return newDispatch(c).run(ctx) }

// forget drops what only who tells would take.
func (c *Courier) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes = nil
	clear(c.people)
	for _, n := range c.counts {
		n.since = 0 // who tells now knows
	}
}
