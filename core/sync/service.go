package sync

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"rempart/core"
	"rempart/core/border"
	"rempart/core/push"
	"rempart/core/rooms"
	"rempart/core/threads"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Options are what a service is made of.
type Options struct {
	DB    *storage.DB
	Rooms *rooms.Service
	Push  *push.Service
	// Bus brings what is committed. New subscribes; rooms must have subscribed before.
	Bus *bus.Bus[storage.Batch]
	Log *slog.Logger
	// Outside tells other servers who types, reads and is here; nil: there are none.
	Outside core.Messenger
	// Border stands between the servers of this installation; nil: there is one only.
	Border *border.Border
	// Signals are what other nodes tell besides what they write; nil: there are none.
	Signals *bus.Bus[[]byte]
	// Watch hears of typing and presence, for application services; nil: nobody wants to.
	Watch core.Watcher
	// Meter is told what is shown to whom, between two positions; nil tells nobody. It must be quick.
	Meter func(c *matrix.Caller, room matrix.RoomID, from, to, events int64)
	Clock func() time.Time
}

// Service answers syncs. All its methods may be called concurrently.
type Service struct {
	db    *storage.DB
	rooms *rooms.Service
	push  *push.Service
	log   *slog.Logger
	now   func() time.Time
	meter func(c *matrix.Caller, room matrix.RoomID, from, to, events int64)
	hub   *hub
	// outside may be nil; present are changes of presence that it and other nodes are to be told, elsewhere those at other nodes.
	outside   core.Messenger
	border    *border.Border
	present   chan presenceChange
	elsewhere chan presenceSignal

	buffers sync.Pool // of *[]byte
	filters filterCache
	conns   connections
	threads *threads.Service
	closing chan struct{}
	ended   sync.WaitGroup
}

// New starts a service. Close ends it.
func New(o Options) *Service {
	s := &Service{meter: o.Meter, db: o.DB, rooms: o.Rooms, push: o.Push, log: o.Log, now: o.Clock, closing: make(chan struct{}), outside: o.Outside, border: o.Border, present: make(chan presenceChange, 256), elsewhere: make(chan presenceSignal, 1024)}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.buffers.New = func() any { b := make([]byte, 0, 4096); return &b }
	s.threads = threads.New(o.DB, o.Rooms)
	s.hub = newHub(o.DB.Position(), s.now())
	s.hub.presence.remote.now = s.now
	s.hub.watch = o.Watch
	if s.outside != nil || o.Signals != nil {
		s.hub.present = s.present
	}
	o.Bus.Subscribe(s.hub.hear)
	s.begin()
	if o.Signals != nil {
		o.Signals.Subscribe(s.hearTyping)
		o.Signals.Subscribe(s.hearPresence)
	}
	s.ended.Add(1)
	go s.tick()
	return s
}

// begin sets where the hub's knowledge begins. Why after it began to hear, and after what is on its way was told: a batch that was published
// in between would be known to nobody.
func (s *Service) begin() {
	if err := s.db.CatchUp(context.Background()); err != nil {
		s.log.Error("hear of what other nodes wrote while this one starts", "error", err)
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.pos = max(s.hub.pos, s.db.Position())
	s.hub.floor = s.hub.pos
}

// Close ends waiting syncs and the service's own work.
func (s *Service) Close() {
	close(s.closing)
	s.hub.endAllTyping(s.now())
	s.hub.wakeAll()
	s.ended.Wait()
	s.saveConnections(context.Background(), true)
	s.keepRoomLists(context.Background(), true)
}

// isClosing reports whether nobody is to wait any longer. Who waits is woken when that begins.
// Why not a channel that all of them wait at: a hundred who are woken at once would stand in line at its lock.
func (s *Service) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// tick looks once a second after what is due: large rooms to be woken, typing that ended, users who are gone.
func (s *Service) tick() {
	defer s.ended.Done()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	if err := s.readSticky(context.Background()); err != nil {
		s.log.Error("read the rooms with sticky events", "error", err) // they are looked up room by room then
	}
	for n := 0; ; {
		select {
		case <-s.closing:
			return
		case c := <-s.present:
			s.spread(context.Background(), &c)
		case t := <-s.elsewhere:
			s.takePresence(context.Background(), &t)
		case <-s.hub.kick:
			s.spreadLists()
		case <-second.C:
			n++
			s.spreadLists()
			s.due(context.Background(), n%15 == 0)
			if n%5 == 0 {
				s.saveConnections(context.Background(), false)
			}
			if n%60 == 30 {
				s.keepRoomLists(context.Background(), false)
			}
			if n%3600 == 60 {
				s.expireConnections(context.Background())
			}
		}
	}
}

func (s *Service) due(ctx context.Context, sweep bool) {
	now := s.now()
	if sweep {
		s.readRooms(ctx, now)
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.endTyping(now)
	for nid, r := range s.hub.calm {
		r.wake()
		delete(s.hub.calm, nid)
	}
	if sweep {
		s.hub.sticky.sweep(now.UnixMilli())
		s.hub.gone(now)
		s.hub.refresh(now)
	}
}

// readRooms reads the rooms of those who are about to be forgotten and have come into some since they were read: there, too, it is told
// that they are gone.
func (s *Service) readRooms(ctx context.Context, now time.Time) {
	var stale []*hubUser
	s.hub.mu.Lock()
	for _, u := range s.hub.users {
		if u.loaded && u.stale && u.idle(now) {
			stale = append(stale, u)
		}
	}
	s.hub.mu.Unlock()
	for _, u := range stale {
		if err := s.loadRooms(ctx, u, false); err != nil {
			s.log.Error("read the rooms of a user who has gone", "error", err)
		}
	}
}

// spreadLists wakes those who share a room with users whose device lists changed, where their rooms had to be read.
func (s *Service) spreadLists() {
	s.hub.mu.Lock()
	users := s.hub.lists
	s.hub.lists = nil
	s.hub.mu.Unlock()
	for _, user := range users {
		rows, err := s.db.ListJoinedPositions(context.Background(), user)
		if err != nil {
			s.log.Error("read the rooms of a user whose devices changed", "error", err)
		}
		s.hub.mu.Lock()
		if err != nil {
			s.hub.lists = append(s.hub.lists, user) // until the next second
		} else {
			s.hub.unspread--
		}
		for _, row := range rows {
			s.hub.spreadList(row.Room, s.hub.pos)
		}
		s.hub.mu.Unlock()
	}
}
