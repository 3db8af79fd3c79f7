package sfu

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what the service rests on.
type Options struct {
	Backend    Backend
	Membership Membership
	// Audit takes the record; nil writes it to the log.
	Audit Audit
	Keys  Keys
	// Reach judges an address that media goes to: nil, or why it must not. Where it is nil everything is admitted.
	Reach func(ctx context.Context, to netip.Addr) error
	// TokenLife is how long a token may wait before it is used.
	TokenLife time.Duration
	// URL is where clients connect to, wss://… or ws://….
	URL string
	// Every is how often everybody connected is checked; 0: each second.
	Every time.Duration
	Log   *slog.Logger
	// Clock is the time; default time.Now.
	Clock func() time.Time
}

// Service gives out tokens and watches over calls. Its methods may be called concurrently.
type Service struct {
	Options
	cancel context.CancelFunc
	done   sync.WaitGroup
	wake   chan struct{}
	live   atomic.Pointer[[]Live]
}

// New makes the service and starts to watch.
func New(ctx context.Context, o Options) *Service {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Every == 0 {
		o.Every = time.Second
	}
	if o.Audit == nil {
		o.Audit = logged{o.Log}
	}
	s := &Service{Options: o, wake: make(chan struct{}, 1)}
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.done.Go(func() { s.watch(ctx) })
	return s
}

// Close stops watching, and the media server.
func (s *Service) Close() error {
	s.cancel()
	s.done.Wait()
	return s.Backend.Close()
}

// Token gives a member of a room a token for its call. The room at the media server is made first, since nobody else can.
func (s *Service) Token(ctx context.Context, q Request) (Token, error) {
	if err := s.Membership.Admit(ctx, q.User, q.Room); err != nil {
		s.record(ctx, Event{Kind: Refused, Participant: q.Participant, Reason: err.Error()})
		return Token{}, err
	}
	if err := s.Membership.Remember(ctx, q.Participant); err != nil {
		return Token{}, err
	}
	if err := s.Backend.EnsureRoom(ctx, q.Alias); err != nil {
		return Token{}, err
	}
	g := Grant{Room: q.Alias, RoomJoin: true, CanPublish: q.Publish, CanPublishData: q.Publish, CanSubscribe: true}
	return Token{URL: s.URL, JWT: s.Keys.Sign(q.Identity, g, s.TokenLife, s.Clock())}, nil
}

// admit checks a token that somebody connects with: it alone opens nothing.
func (s *Service) admit(ctx context.Context, token string) (Claims, error) {
	c, err := s.Keys.Verify(token, s.Clock())
	if err != nil {
		return c, err
	}
	if !c.Video.RoomJoin || c.Video.Room == "" || c.Identity == "" || c.Video.RoomCreate || c.Video.RoomAdmin || c.Video.RoomList {
		return c, errToken
	}
	return c, s.may(ctx, c.Video.Room, c.Identity)
}

// may reports whether a participant may be where he is.
func (s *Service) may(ctx context.Context, alias, identity string) error {
	if strings.HasPrefix(alias, SelftestAlias) {
		return nil
	}
	p, err := s.Membership.Find(ctx, alias, identity)
	if err != nil {
		return err
	}
	return s.Membership.Admit(ctx, p.User, p.Room)
}

// Live lists who is connected, as it was at the last look.
func (s *Service) Live() []Live {
	if l := s.live.Load(); l != nil {
		return *l
	}
	return nil
}

// Look makes the watch look at once, as when memberships have changed.
func (s *Service) Look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Service) record(ctx context.Context, e Event) {
	e.At = s.Clock()
	s.Audit.Record(ctx, e)
}

// logged is the record of a server that keeps none.
type logged struct{ log *slog.Logger }

// Record implements [Audit].
func (l logged) Record(ctx context.Context, e Event) {
	l.log.InfoContext(ctx, "call", "event", e.Kind, "room", string(e.Room), "user", string(e.User), "reason", e.Reason)
}
