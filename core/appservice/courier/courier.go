package courier

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"rempart/core"
	"rempart/core/appservice"
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
	leaseName     = "application services"
	leaseLife     = 5 * time.Second
	leaseRenewal  = 1500 * time.Millisecond
	leaseAlone    = time.Hour
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

	mu      sync.Mutex
	upto    int64          // the outbox may hold rows up to here; Why not the database's: subscribers hear of a batch before it moves
	moved   map[int64]bool // services that have rows
	all     bool           // every service may
	lists   bool           // device lists may have changed
	people  map[int64]bool // users who got messages for devices, or whose keys were counted anew
	notes   []note         // what is ephemeral
	failing map[int64]bool // services that do not answer
	heard   map[int64]bool // those of them that spoke to us
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
		failing: map[int64]bool{}, heard: map[int64]bool{}}
	o.Bus.Subscribe(c.hear)
	c.wg.Go(func() { c.run(run) })
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

// run takes the lease whenever it is free, and tells while it is held.
func (c *Courier) run(ctx context.Context) {
	for ctx.Err() == nil {
		if c.lease(ctx) != nil {
			c.forget()
			c.pause(ctx, leaseRenewal)
			continue
		}
		if err := newDispatch(c).run(ctx); err != nil && ctx.Err() == nil {
			c.Log.Warn("telling application services starts again", "error", err)
			c.pause(ctx, leaseRenewal)
		}
	}
}

// forget drops what only who tells would take.
func (c *Courier) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes = nil
	clear(c.people)
}

// lease takes or renews the right to tell.
func (c *Courier) lease(ctx context.Context) error {
	now, life, free := c.Clock(), leaseLife, int64(0)
	if free = now.UnixMilli(); c.DB.Alone() { // the folder's lock says that whoever held it before is gone
		life, free = leaseAlone, now.Add(100*365*24*time.Hour).UnixMilli()
	}
	change := &storage.Change{}
	change.Guard(c.DB.TakeLease(leaseName, free, now.Add(life).UnixMilli()))
	return c.DB.Commit(ctx, change)
}

func (c *Courier) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
