package sync

import (
	"context"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// maxWait bounds how long a sync waits, whatever the client asks.
const maxWait = 5 * time.Minute

// Request is one sync. Spec: client-server-api/#get_matrixclientv3sync
type Request struct {
	Since       string
	Filter      *Filter // nil: everything
	Timeout     time.Duration
	FullState   bool
	SetPresence string // "" counts as online
	// StateAfter asks for the state after the timeline instead of the one before it. MSC4222
	StateAfter bool
	// StateAfterUnstable answers it by the name it had before it was part of the specification.
	StateAfterUnstable bool
}

// Answer is a sync's JSON. Release it when it is written.
type Answer struct {
	s   *Service
	buf *[]byte
}

// Bytes is the answer; valid until Release.
func (a Answer) Bytes() []byte { return *a.buf }

// maxPooled is the largest buffer that is kept for the next answer.
const maxPooled = 256 << 10

// Release gives the buffer back.
func (a Answer) Release() {
	if cap(*a.buf) <= maxPooled {
		*a.buf = (*a.buf)[:0]
		a.s.buffers.Put(a.buf)
	}
}

// Sync answers at once when there is something to tell, otherwise as soon as there is, at the latest after the timeout.
// While it waits it holds a channel and nothing else.
func (s *Service) Sync(ctx context.Context, c *matrix.Caller, q Request) (Answer, error) {
	if q.Filter == nil {
		q.Filter = &Filter{}
	}
	u, err := s.follow(ctx, c, false)
	if err != nil {
		return Answer{}, err
	}
	since, err := s.start(ctx, c, u, &q)
	if err != nil {
		return Answer{}, err
	}
	u, woken, leave := s.hub.wait(c)
	defer func() { leave(s.now()) }()
	var timeout <-chan time.Time
	if q.Timeout > 0 && since != nil && !q.FullState {
		t := time.NewTimer(min(q.Timeout, maxWait))
		defer t.Stop()
		timeout = t.C
	}
	looked, must := matrix.SyncToken{}, timeout == nil
	if since != nil {
		looked = *since
	}
	for {
		if must || s.hub.concerned(u, looked) {
			if u, err = s.follow(ctx, c, false); err != nil {
				return Answer{}, err
			}
			b := s.newBuild(ctx, c, u, &q, since)
			if b == nil {
				continue
			}
			found, err := b.run()
			if err != nil {
				b.answer().Release()
				return Answer{}, err
			}
			if found || must {
				return b.answer(), nil
			}
			looked = b.looked()
			b.answer().Release()
		}
		if must = s.isClosing(); must {
			continue
		}
		select {
		case <-woken:
		case <-timeout:
			must = true
		case <-ctx.Done():
			return Answer{}, ctx.Err()
		}
	}
}

// start reads the token, takes what it proves, and notes that the user is here. Nil: start from nothing, since there is
// no token, or one that tells nothing here.
func (s *Service) start(ctx context.Context, c *matrix.Caller, u *hubUser, q *Request) (*matrix.SyncToken, error) {
	head, eph, err := s.appear(u, q.SetPresence)
	if err != nil {
		return nil, err
	}
	if q.Since == "" {
		return nil, nil
	}
	since, err := matrix.ParseSyncToken(q.Since)
	if err != nil || since.Epoch != s.db.Epoch() {
		return nil, err
	}
	since.Ephemeral = min(since.Ephemeral, eph)
	if since.Pos > head {
		if known, err := s.catchUp(ctx, since.Pos); err != nil || !known {
			return nil, err
		}
	}
	return &since, s.received(ctx, c, u, since.ToDevice)
}

// appear notes that the user is here, in the way the client says, and yields the hub's position and ephemeral count. A token's count is
// never ahead of that, unless another node gave it out: then the client hears of what is ephemeral from now on.
func (s *Service) appear(u *hubUser, state string) (pos, eph int64, err error) {
	if state == "" {
		state = online
	}
	if state != online && state != offline && state != unavailable {
		return 0, 0, matrix.InvalidParam("set_presence must be online, offline or unavailable.")
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	eph = s.hub.eph // as of before he came: he hears of himself
	if state != offline {
		s.hub.setPresence(u, state, nil, s.now())
	}
	return s.hub.pos, eph, nil
}

// catchUp waits until this process has heard of a position that another node gave out. False: nobody gave it out.
func (s *Service) catchUp(ctx context.Context, pos int64) (bool, error) {
	end, err := s.db.StreamPosition(ctx)
	if err != nil || end < pos {
		return false, err
	}
	for range 500 {
		s.hub.mu.Lock()
		head := s.hub.pos
		s.hub.mu.Unlock()
		if head >= pos {
			return true, nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return false, nil
}

// received forgets the messages that the token proves the device has.
func (s *Service) received(ctx context.Context, c *matrix.Caller, u *hubUser, upto int64) error {
	s.hub.mu.Lock()
	d := u.device(c.DeviceNID)
	proved := c.DeviceNID != 0 && d.sent > 0 && upto >= d.sent
	if proved {
		d.sent = 0
	}
	s.hub.mu.Unlock()
	if !proved {
		return nil
	}
	change := &storage.Change{}
	change.Guard(storage.DeleteToDevice(c.DeviceNID, upto))
	return s.db.Commit(ctx, change)
}

// concerned reports whether anything that the user may hear of has come since he last looked.
func (h *hub) concerned(u *hubUser, since matrix.SyncToken) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !u.loaded || u.stale || since.Pos < u.since || since.Pos < h.floor || u.last > since.Pos || u.eph > since.Ephemeral {
		return true
	}
	if since.ToDevice < since.Pos && (u.toDevice > since.ToDevice || since.ToDevice < u.since) {
		return true // the last answer could not hold all messages to the device
	}
	for _, j := range u.rooms {
		if r := h.rooms[j.room]; r != nil && r.last > since.Pos {
			return true
		}
	}
	return false
}
