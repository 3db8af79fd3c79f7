package users

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"rempart/core"
	"rempart/core/appservice"
	"rempart/core/border"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Options is what the service is made of.
type Options struct {
	DB  *storage.DB
	Bus *bus.Bus[storage.Batch]
	// Servers are the server names of this installation, each a tenant's; the first is the default.
	Servers      []matrix.ServerName
	Registration Registration
	People       People
	Argon2       Argon2
	// Members writes changed profiles into rooms; nil leaves rooms alone.
	Members Members
	// Border stands between the servers of this installation; nil: there is one only.
	Border *border.Border
	// Peers are asked for profiles of their users; nil: there are none.
	Peers core.ProfilePeers
	// Services are the application services, Asked those that are asked for users that do not exist yet; both may be nil.
	Services *appservice.Registry
	Asked    core.Entities
	Log      *slog.Logger
	// Clock may be nil for the wall clock.
	Clock func() time.Time
}

// Registration says who may make an account by himself.
type Registration struct {
	// Open lets everybody register.
	Open bool
	// Tokens let those register who have one of them.
	Tokens []string
	// SharedSecret lets whoever knows it register others; "" turns that off.
	SharedSecret string
}

// Service owns the accounts. Its methods may be called concurrently.
type Service struct {
	db      *storage.DB
	log     *slog.Logger
	now     func() time.Time
	reg     Registration
	people  People
	hasher  *hasher
	tenants tenants
	cache   *sessionCache
	seen    lastSeen
	nonces  nonces
	members Members
	peers   core.ProfilePeers
	border  *border.Border
	// services are the application services; asked makes users of theirs at need.
	services *appservice.Registry
	asked    core.Entities
	profile  chan struct{} // wakes the worker that writes profiles into rooms
	letters  chan struct{} // wakes the worker that sends letters
	failed   *throttle     // failed log-ins, by account and by address
	// strangers are tokens that nobody has, by address. Why: each costs a look into the database, and no account's limit counts it.
	strangers *throttle
	mailed    *throttle // letters, by address
	// elsewhere are profiles of users of other servers.
	elsewhere remoteProfiles

	stop   context.CancelFunc
	ending sync.WaitGroup
}

// New makes the tenants that do not exist yet and starts the service's background work.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		db: o.DB, log: o.Log, now: o.Clock, reg: o.Registration, people: o.People,
		hasher: newHasher(o.Argon2, o.People.BcryptPepper),
		cache:  newSessionCache(), nonces: newNonces(o.Registration.SharedSecret), members: o.Members, peers: o.Peers, border: o.Border, services: o.Services, asked: o.Asked,
		profile: make(chan struct{}, 1), letters: make(chan struct{}, 1),
		failed: newThrottle(failuresFree, failureStep), strangers: newThrottle(strangersFree, strangerStep), mailed: newThrottle(lettersFree, letterStep),
	}
	s.seen.rows = map[int64]*storage.SessionSeenRow{}
	var err error
	if s.tenants, err = loadTenants(ctx, o.DB, o.Servers); err != nil {
		return nil, err
	}
	if err := s.seedTokens(ctx); err != nil {
		return nil, err
	}
	o.Bus.Subscribe(s.heard)
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.ending.Go(func() { s.maintain(run) })
	if s.members != nil {
		s.ending.Go(func() { s.propagate(run) })
	}
	if s.people.Mail != nil {
		s.ending.Go(func() { s.sendLetters(run) })
	}
	return s, nil
}

// Close stops the background work and writes down what it still held.
func (s *Service) Close() error {
	s.stop()
	s.ending.Wait()
	return s.flushSeen(context.Background())
}

// heard drops cached sessions that a commit, here or on another node, has changed.
func (s *Service) heard(b storage.Batch) {
	for _, l := range b.Lives {
		if l.Kind == storage.KindSession {
			s.cache.drop(l.User)
			s.seen.drop(l.User)
		}
	}
}

// maintain writes down last uses every minute and forgets abandoned authentications every hour.
func (s *Service) maintain(ctx context.Context) {
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-minute.C:
		}
		err := errors.Join(s.flushSeen(ctx), s.leaveDue(ctx))
		if n%60 == 0 {
			err = errors.Join(err, s.db.PruneUIASessions(ctx, s.now().Add(-uiaLife).UnixMilli()),
				s.db.PruneExpired(ctx, s.nowMS(), s.now().Add(-spentKept).UnixMilli()), s.Expire(ctx))
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("keep accounts tidy", "error", err)
		}
	}
}

// nowMS is the time in milliseconds.
func (s *Service) nowMS() int64 { return s.now().UnixMilli() }

// Tenant is the tenant and server name that a request to this host is for: the default one when nobody owns it.
func (s *Service) Tenant(host string) (int64, matrix.ServerName) { return s.tenants.of(host) }

// Local reports whether a server name is one of ours.
func (s *Service) Local(name matrix.ServerName) bool {
	_, ok := s.tenants.byName[name]
	return ok
}
