package rooms

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"

	"rempart/core"
	"rempart/core/appservice"
	"rempart/core/border"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Keys finds the key with which a server of this installation signs.
type Keys interface {
	// SigningKey is the key of a server name; false when that server is not one of ours.
	SigningKey(server matrix.ServerName) (matrix.SigningKey, bool)
}

// PushEvaluator decides, while an event is built, whom it notifies.
type PushEvaluator interface {
	// Evaluate may set FlagNotify, FlagHighlight and Thread on the row and returns further rows of the same Change.
	// Rows that carry a position take row.Live. It is called under the room's mutex and must not write.
	Evaluate(ctx context.Context, r *Room, v *View, e *matrix.Event, row *storage.EventRow) ([]storage.Row, error)
}

// Options say what the rooms rest on.
type Options struct {
	DB  *storage.DB
	Bus *bus.Bus[storage.Batch]
	// Keys signs for the servers of this installation.
	Keys Keys
	// DefaultVersion is the version of new rooms; default matrix.DefaultVersion.
	DefaultVersion string
	// Push is asked about every event that enters a timeline; nil: nothing notifies.
	Push PushEvaluator
	// Federated says that other servers are told of what happens here; Server is the name by which we pass on what others did.
	Federated bool
	Server    matrix.ServerName
	// Peers are the other homeservers; nil: there are none.
	Peers core.Peers
	// Border stands between the servers of this installation; nil: there is one only.
	Border *border.Border
	// Policy decides which other servers may be in rooms; nil admits all.
	Policy core.RoomPolicy
	// Services are the application services, Asked those that are asked for what does not exist yet; both may be nil.
	Services *appservice.Registry
	Asked    core.Entities
	// Signals are what other nodes tell besides what they write; nil: there are none.
	Signals *bus.Bus[[]byte]
	// Meter is told what is shown to whom, between two positions; nil tells nobody. It must be quick.
	Meter func(c *matrix.Caller, room matrix.RoomID, from, to, events int64)
	Log   *slog.Logger
	// Lifetimes say for how long messages are kept.
	Lifetimes Lifetimes
	// CacheBytes bounds what is kept of rooms and events in memory; default 96 MiB.
	CacheBytes int64
	// Clock is the time; default time.Now.
	Clock func() time.Time
}

// Service is the entry to all rooms. Its methods may be called concurrently.
type Service struct {
	db     *storage.DB
	opts   Options
	log    *slog.Logger
	events *eventCache
	rooms  *roomCache
	txns   txnCache
	// listings are what the directory shows of rooms.
	listings *listings
	// shadows are the accounts whose events reach nobody.
	shadows shadows
	// waiting are the rooms with sticky events that are to be judged again.
	waiting waitingRooms
	// lastCreate are the times of the newest create events made here, in milliseconds, by hash of the creator.
	lastCreate [64]atomic.Int64
	createSeed maphash.Seed
	// entering lets one user at a time take this installation into a room; fetching, one backfill a room.
	// standing, one change at a time of how our users stand to a room from outside.
	entering, fetching, standing keyLocks[matrix.RoomID]
	reading                      keyLocks[matrix.ServerName]
	// spaces are what other servers told of spaces.
	spaces      spaceCache
	serverLists serverLists
	resets      atomic.Int64
	// claims are members of whom others told us, and whose events nobody here can check.
	claims claims
	// hopeless are events of gaps that nobody could fill.
	hopeless hopeless
	// late wakes who finishes joins whose answer was lost.
	late chan struct{}
}

// New makes the service and subscribes it to commits; subscribers that read rooms subscribe after it.
func New(_ context.Context, o Options) (*Service, error) {
	if o.DB == nil || o.Bus == nil || o.Keys == nil {
		return nil, errors.New("rooms: a database, a bus and signing keys are needed")
	}
	if o.DefaultVersion == "" {
		o.DefaultVersion = matrix.DefaultVersion
	}
	if _, ok := matrix.Version(o.DefaultVersion); !ok {
		return nil, errors.New("rooms: the default room version " + o.DefaultVersion + " is unknown")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 96 << 20
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	s := &Service{createSeed: maphash.MakeSeed(), late: make(chan struct{}, 1), db: o.DB, opts: o, log: o.Log, events: newEventCache(o.CacheBytes * 2 / 3), listings: newListings(o.DB)}
	s.rooms = newRoomCache(o.CacheBytes / 3)
	o.Bus.Subscribe(s.hear)
	if o.Signals != nil {
		o.Signals.Subscribe(s.hearTurn)
	}
	return s, nil
}

// Close ends the service. It has no goroutines of its own: whoever called it waits for his own writes.
func (s *Service) Close() {}

// nowMS is the time as events state it.
func (s *Service) nowMS() int64 { return s.opts.Clock().UnixMilli() }

// Room finds a room by its id; M_NOT_FOUND when this installation does not know it.
func (s *Service) Room(ctx context.Context, id matrix.RoomID) (*Room, error) {
	if r := s.rooms.byID(id); r != nil {
		return r, nil
	}
	info, err := s.db.GetRoomByID(ctx, id)
	return s.roomOf(info, err)
}

// RoomByNID finds a room by its number; M_NOT_FOUND when there is none.
func (s *Service) RoomByNID(ctx context.Context, nid int64) (*Room, error) {
	if r := s.rooms.byNID(nid); r != nil {
		return r, nil
	}
	info, err := s.db.GetRoom(ctx, nid)
	return s.roomOf(info, err)
}

func (s *Service) roomOf(info *storage.RoomInfo, err error) (*Room, error) {
	if errors.Is(err, storage.ErrNotFound) {
		return nil, matrix.NotFound("This room is not known here.")
	}
	if err != nil {
		return nil, err
	}
	v, ok := matrix.Version(info.RoomVersion)
	if !ok {
		return nil, matrix.UnsupportedRoomVersion()
	}
	return s.rooms.add(&Room{s: s, nid: info.NID, id: info.RoomID, version: v}), nil
}

// hear takes in every batch that was committed, in order: it moves what readers see, and forgets rooms that another
// node wrote to.
func (s *Service) hear(b storage.Batch) {
	for i := range b.Lives {
		l := &b.Lives[i]
		s.serverLists.hear(l)
		if l.Kind == storage.KindShadow {
			s.shadows.changed()
		}
		if l.Kind == storage.KindRoom && s.opts.Services.FollowsAliases() {
			if r := s.rooms.byNID(l.Room); r != nil {
				r.renamed.Store(true)
			}
		}
		if e, ok := l.Value.(*Stored); ok && l.User != 0 {
			s.settled(e)
		}
		if b.Remote {
			if l.Kind == storage.KindSticky {
				s.waiting.note(l.Room, s.nowMS()+matrix.MaxSticky)
			}
			if r := s.rooms.byNID(l.Room); r != nil && movesGraph(l.Kind) {
				r.overtaken(l)
			}
			if l.Kind == storage.KindRedaction || l.Kind == storage.KindRoom {
				if r := s.rooms.byNID(l.Room); r != nil {
					r.redactions.Add(1)
				}
				s.events.removeRoom(l.Room)
			}
			continue
		}
		if e, ok := l.Value.(*Stored); ok && e.commit != nil {
			e.commit.publish(true)
		}
	}
}

// movesGraph reports whether entries of this kind mean that a room's graph or row moved.
func movesGraph(k storage.Kind) bool {
	switch k {
	case storage.KindEvent, storage.KindState, storage.KindMembership, storage.KindRoom:
		return true
	}
	return false
}
