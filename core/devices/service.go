package devices

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"rempart/core"
	"rempart/core/border"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Options is what the service is made of.
type Options struct {
	DB *storage.DB
	// Local reports whether a server name is one of ours.
	Local func(matrix.ServerName) bool
	// Bus tells whose keys changed, so that keys can be kept in memory; nil: they are not.
	Bus *bus.Bus[storage.Batch]
	// Names tells other servers what our users call their devices.
	Names bool
	// Border stands between the servers of this installation; nil: there is one only.
	Border *border.Border
	// Peers are asked about the devices of their users; nil: there are no other servers.
	Peers core.KeyPeers
	Log   *slog.Logger
	// Clock may be nil for the wall clock.
	Clock func() time.Time
}

// Service owns devices and keys. Its methods may be called concurrently.
type Service struct {
	db        *storage.DB
	local     func(matrix.ServerName) bool
	now       func() time.Time
	peers     core.KeyPeers
	border    *border.Border
	tellNames bool
	log       *slog.Logger
	cache     *keyCache // nil: none
	// resyncs are the lists that are being fetched, dead the servers that did not answer lately, with the time until when
	// they are not waited for; mu guards both.
	mu      sync.Mutex
	resyncs map[int64]bool
	dead    map[matrix.ServerName]time.Time
	ended   sync.WaitGroup
	ctx     context.Context //nolint:containedctx // that of what goes on in the background, ended by Close
	cancel  context.CancelFunc
	// uploads keeps two uploads of one device apart on this node, so that each sees the keys of the other.
	uploads [64]sync.Mutex
}

// New makes the service.
func New(o Options) *Service {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Service{db: o.DB, local: o.Local, now: o.Clock, peers: o.Peers, border: o.Border, tellNames: o.Names, log: o.Log, ctx: ctx, cancel: cancel,
		resyncs: map[int64]bool{}, dead: map[matrix.ServerName]time.Time{}}
	if o.Bus != nil {
		s.cache = newKeyCache()
		o.Bus.Subscribe(s.cache.hear)
	}
	return s
}

// Close ends what goes on in the background.
func (s *Service) Close() {
	s.cancel()
	s.ended.Wait()
}

// listChanged tells everybody who shares a room with a user that his devices or keys changed.
func listChanged(c *storage.Change, user int64) {
	live := c.Live(storage.Live{Kind: storage.KindDeviceList, User: user})
	c.Add(&storage.DeviceListRow{At: storage.At{Live: live + 1}, User: user})
}

// needDevice refuses callers whose token belongs to no device.
func needDevice(c matrix.Caller) error {
	if c.DeviceNID == 0 {
		return matrix.InvalidParam("This token belongs to no device: log in with one.")
	}
	return nil
}
