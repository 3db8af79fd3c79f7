package httpx

import (
	"context"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"rempart/internal/matrix"
)

// Rate is a token bucket: how many requests a second in the long run, and how many at once.
type Rate struct {
	PerSecond float64
	Burst     float64
}

// DefaultRates are the limits of a server that sets none, per class: for each user, and for each address where there
// is no user. Element Call needs no less than 0.5/s with a burst of 30 for messages, and 1/s with 20 for delayed events.
func DefaultRates() map[string]Rate {
	return map[string]Rate{
		"":             {PerSecond: 50, Burst: 300}, // every route of no other class
		"sync":         {PerSecond: 20, Burst: 100},
		"message":      {PerSecond: 5, Burst: 60}, // sending into rooms, state and redactions too
		"delayed":      {PerSecond: 2, Burst: 40}, // delayed events
		"typing":       {PerSecond: 5, Burst: 50},
		"receipt":      {PerSecond: 10, Burst: 100}, // read markers too
		"presence":     {PerSecond: 2, Burst: 20},
		"keys":         {PerSecond: 20, Burst: 200}, // device keys, claims, to-device
		"join":         {PerSecond: 1, Burst: 20},
		"invite":       {PerSecond: 1, Burst: 30},
		"createroom":   {PerSecond: 0.2, Burst: 20},
		"login":        {PerSecond: 0.2, Burst: 20}, // whatever asks for a password
		"registration": {PerSecond: 0.2, Burst: 10},
		"search":       {PerSecond: 2, Burst: 20},
		"media":        {PerSecond: 10, Burst: 100},
		"federation":   {PerSecond: 200, Burst: 1000}, // for each server, and for each address
	}
}

// Limiter holds a bucket for each (class, who). Memory is bounded: a full bucket takes no room, and when there are
// more callers than room, some are forgiven. It may be used by any number of goroutines.
type Limiter struct {
	rates  map[string]gcra
	now    func() time.Time
	seed   maphash.Seed
	shards [16]limiterShard
}

type limiterShard struct {
	mu sync.Mutex
	// until is the instant (Unix nanoseconds) at which a bucket is full again; until then it counts what was taken.
	until map[limitKey]int64
}

type limitKey struct {
	class, who string
	addr       netip.Addr
}

// gcra is a token bucket as one instant: each request adds step, and none may lead further ahead than span.
type gcra struct{ step, span time.Duration }

// maxKeysPerShard bounds a shard: 16 × 8,192 entries of about 100 bytes.
const maxKeysPerShard = 8192

// NewLimiter makes a limiter; a class that rates lacks shares the class "". now may be nil for the wall clock.
func NewLimiter(rates map[string]Rate, now func() time.Time) *Limiter {
	if now == nil {
		now = time.Now
	}
	l := &Limiter{rates: make(map[string]gcra, len(rates)), now: now, seed: maphash.MakeSeed()}
	for class, r := range rates {
		if r.PerSecond <= 0 || r.Burst < 1 {
			continue // no limit
		}
		l.rates[class] = r.gcra()
	}
	for i := range l.shards {
		l.shards[i].until = make(map[limitKey]int64)
	}
	return l
}

func (r Rate) gcra() gcra {
	step := time.Duration(float64(time.Second) / r.PerSecond)
	return gcra{step: step, span: time.Duration(float64(step) * r.Burst)}
}

// TakeUser takes one request of a class from a user's bucket.
func (l *Limiter) TakeUser(class string, user matrix.UserID) error {
	return l.take(limitKey{class: class, who: string(user)})
}

// TakeUserAt takes one request of a class from a user's bucket that has a rate of its own.
func (l *Limiter) TakeUserAt(class string, user matrix.UserID, own Rate) error {
	return l.takeAt(limitKey{class: class, who: "own:" + string(user)}, own.gcra())
}

// TakeAddr takes one from an address's bucket. Why /64: that is what one subscriber holds in IPv6.
func (l *Limiter) TakeAddr(class string, addr netip.Addr) error {
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			addr = prefix.Addr()
		}
	}
	return l.take(limitKey{class: class, addr: addr})
}

// TakeName takes one from the bucket of anything else that has a name, such as the account that a login tries.
func (l *Limiter) TakeName(class, name string) error {
	return l.take(limitKey{class: class, who: "name:" + name})
}

// take answers nil or M_LIMIT_EXCEEDED. Spec: client-server-api/#rate-limiting
func (l *Limiter) take(key limitKey) error {
	rate, ok := l.rates[key.class]
	if !ok {
		if key.class, rate = "", l.rates[""]; rate.step == 0 {
			return nil
		}
	}
	return l.takeAt(key, rate)
}

func (l *Limiter) takeAt(key limitKey, rate gcra) error {
	shard := &l.shards[maphash.Comparable(l.seed, key)%uint64(len(l.shards))]
	now := l.now().UnixNano()
	shard.mu.Lock()
	defer shard.mu.Unlock()
	until := max(shard.until[key], now) + int64(rate.step)
	if over := until - now - int64(rate.span); over > 0 {
		return matrix.LimitExceeded(time.Duration(over)).French("Trop de requêtes ; attendez un instant.")
	}
	shard.until[key] = until
	if len(shard.until) > maxKeysPerShard {
		shard.makeRoom(now)
	}
	return nil
}

// makeRoom drops full buckets, and some others when there are none.
func (s *limiterShard) makeRoom(now int64) {
	for key, until := range s.until {
		if until <= now {
			delete(s.until, key)
		}
	}
	for key := range s.until { // Go's map order is random, so anyone may be forgiven
		if len(s.until) <= maxKeysPerShard*3/4 {
			return
		}
		delete(s.until, key)
	}
}

// Bounds of holding back a refusal.
const (
	refusalTime = 250 * time.Millisecond
	maxHeld     = 2000
)

// holdBack keeps whoever asks too often waiting for his refusal a little: a client that heeds none and asks again at once would otherwise
// cost more by its refusals than by its requests.
func (r *Router) holdBack(ctx context.Context, refusal error) {
	if !matrix.HasCode(refusal, matrix.CodeLimitExceeded) || r.held.Load() >= maxHeld {
		return
	}
	r.held.Add(1)
	defer r.held.Add(-1)
	t := time.NewTimer(refusalTime)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
