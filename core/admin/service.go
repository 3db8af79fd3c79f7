package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rempart/core/media"
	"rempart/core/rooms"
	"rempart/core/users"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Options is what the service is made of.
type Options struct {
	DB       *storage.DB
	Accounts *users.Service
	Graph    *rooms.Service
	Files    *media.Service
	// Tenants is how many organisations this installation has: one sees all rooms that are known here.
	Tenants int
	// Retry lets a server be tried at once; nil where there is no federation.
	Retry func(matrix.ServerName)
	Log   *slog.Logger
	// Clock may be nil for the wall clock.
	Clock func() time.Time
}

// Service does what administrators ask for. Its methods may be called concurrently.
type Service struct {
	Options
	wake chan struct{} // wakes the worker
	// speaking lets one notice at a time find or make the room of a user.
	speaking sync.Mutex

	// people are the members of rooms, ordered what lists of rooms go by.
	people  *derived[storage.RoomPeople]
	ordered map[string]*derived[string]

	stop   context.CancelFunc
	ending sync.WaitGroup
}

// New makes the service and starts the worker that does the long work.
func New(ctx context.Context, o Options) *Service {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{Options: o, wake: make(chan struct{}, workers)}
	used := new(atomic.Int64)
	s.people = newDerived(used, func(p storage.RoomPeople) int64 { return int64(40 + 8*cap(p.Tenants)) })
	s.ordered = newTexts(used)
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	for range workers {
		s.ending.Go(func() { s.work(run) })
	}
	return s
}

// Close stops the worker. What it was doing goes on when the server runs again.
func (s *Service) Close() {
	s.stop()
	s.ending.Wait()
}

func (s *Service) nowMS() int64 { return s.Clock().UnixMilli() }

// act commits a Change that an administrator asked for, with its record.
func (s *Service) act(ctx context.Context, c *storage.Change, admin matrix.Caller, act, target string, detail any) error {
	nid, err := s.DB.NewID(ctx, storage.OtherNIDs)
	if err != nil {
		return err
	}
	a := storage.Audit{NID: nid, TS: s.nowMS(), Tenant: admin.Tenant, Admin: string(admin.User), Act: act, Target: target, Detail: []byte(`{}`)}
	if detail != nil {
		if a.Detail, err = json.Marshal(detail); err != nil {
			return err
		}
	}
	c.Add(&storage.AuditRow{Audit: a})
	return s.DB.Commit(ctx, c)
}

// Note records an act that changes nothing in the database by itself, before it is done.
func (s *Service) Note(ctx context.Context, admin matrix.Caller, act, target string, detail any) error {
	return s.act(ctx, &storage.Change{}, admin, act, target, detail)
}

// sees is the tenant whose rooms an administrator sees; 0: all rooms.
func (s *Service) sees(admin matrix.Caller) int64 {
	if s.Tenants <= 1 {
		return 0
	}
	return admin.Tenant
}

// Room finds a room that the administrator's organisation has to do with.
func (s *Service) Room(ctx context.Context, admin matrix.Caller, id matrix.RoomID) (*rooms.Room, error) {
	r, err := s.Graph.Room(ctx, id)
	if err != nil || s.sees(admin) == 0 {
		return r, err
	}
	in, err := s.DB.TenantInRoom(ctx, admin.Tenant, r.NID())
	if err == nil && !in {
		err = matrix.NotFound("This room is not known here.")
	}
	return r, err
}

// ownRoom finds a room of which the administrator's organisation alone disposes: none in which people of another one of this
// installation are, or wait to be. Why: for them it would be as if somebody of another server had done it.
func (s *Service) ownRoom(ctx context.Context, admin matrix.Caller, id matrix.RoomID) (*rooms.Room, error) {
	r, err := s.Room(ctx, admin, id)
	if err != nil || s.sees(admin) == 0 {
		return r, err
	}
	others, err := s.DB.OthersInRoom(ctx, admin.Tenant, r.NID())
	if err == nil && others {
		err = matrix.Forbidden("People of another organisation of this installation are in this room: you cannot do this to them.").
			French("Des personnes d'un autre organisme de cette installation sont dans ce salon : vous ne pouvez pas leur faire cela.")
	}
	return r, err
}

// Page is a stretch of a list.
type Page struct {
	From, Limit int64
	Order       string
	Backward    bool
}
