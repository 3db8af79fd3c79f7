package rooms

import (
	"context"
	"sync"
	"time"

	"rempart/internal/matrix"
)

// Bounds of asking a server that has returned for what was missed.
const (
	returnTime  = 20 * time.Second
	returnRooms = 20               // those used last
	returnPause = 10 * time.Second // between two questions about one room,
	quietFor    = 2 * time.Second  // so long nothing was heard of a room before anybody is asked about it,
	quietPause  = time.Second      // between two questions about a room of which nothing is heard; doubles with each for nothing,
	calmPause   = 5 * time.Minute  // up to this
	startRooms  = 2000             // newest entries of the stream by which rooms are found after a start
	startAtOnce = 4
	startAsked  = 3 // servers of one room, until one answers
)

// Returned asks a server that could not be reached for a while for the newest event of rooms that both are in, and takes in what is not known
// here. Why: where the way was cut in both directions, that server may wait for long before it tries to tell us.
func (s *Service) Returned(ctx context.Context, server matrix.ServerName) {
	if s.opts.Peers == nil {
		return
	}
	s.hopeless.forget() // this server may have what nobody had
	ctx, cancel := context.WithTimeout(ctx, returnTime)
	defer cancel()
	asked := 0
	for _, r := range s.rooms.recent() {
		in, err := s.joinedFrom(ctx, r, server)
		if err != nil || !in || !r.mayAskAnew(s.opts.Clock()) {
			continue
		}
		if _, err := s.askNewest(ctx, r, server); err != nil {
			s.log.Info("a server that returned does not tell what is new", "room", r.id, "server", server, "error", err)
		}
		if asked++; asked == returnRooms || ctx.Err() != nil {
			return
		}
	}
}

// mayAskAnew reports whether it is time to ask anybody for the newest event of a room, and notes that somebody is asked now.
// Why: when our own way out was cut, all servers of a room return at once.
func (r *Room) mayAskAnew(now time.Time) bool {
	last := r.askedNewest.Load()
	return now.UnixMilli()-last >= returnPause.Milliseconds() && r.askedNewest.CompareAndSwap(last, now.UnixMilli())
}

// Reached asks a server that has just taken events of rooms from us for their newest event, where nobody has told us anything for a while:
// the way to us may have been cut while ours was not. While there is nothing new it is asked ever less often.
func (s *Service) Reached(ctx context.Context, server matrix.ServerName, nids []int64) {
	if s.opts.Peers == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, returnTime)
	defer cancel()
	for _, nid := range nids {
		r, err := s.RoomByNID(ctx, nid)
		if err != nil {
			continue
		}
		// Why joined: who is shown out, or invited, takes that one event and knows of no other.
		if in, err := s.joinedFrom(ctx, r, server); err != nil || !in || !r.mayHaveMissed(s.nowMS()) {
			continue
		}
		found, err := s.askNewest(ctx, r, server)
		if err != nil {
			s.log.Debug("a server does not tell what is new", "room", r.id, "server", server, "error", err)
		}
		r.askedAfter(found)
	}
}

// mayHaveMissed reports whether it is time to ask about a room of which nothing was heard for a while, and notes that somebody is asked now.
func (r *Room) mayHaveMissed(now int64) bool {
	if r.heardAt.CompareAndSwap(0, now) {
		return false // it has only just come to be known here
	}
	heard, last, pause := r.heardAt.Load(), r.askedQuiet.Load(), quietPause.Milliseconds()
	if heard < last {
		pause = max(pause, r.askPause.Load())
	}
	return now-heard >= quietFor.Milliseconds() && now-last >= pause && r.askedQuiet.CompareAndSwap(last, now)
}

// askedAfter notes whether there was something new.
func (r *Room) askedAfter(found bool) {
	pause := int64(0)
	if !found {
		pause = min(max(2*r.askPause.Load(), quietPause.Milliseconds()), calmPause.Milliseconds())
	}
	r.askPause.Store(pause)
}

// Resume asks for the newest event of the rooms that were used last, after a start: what others could not tell us meanwhile they may try to
// tell again much later.
func (s *Service) Resume(ctx context.Context) {
	if s.opts.Peers == nil {
		return
	}
	nids, err := s.db.ListLatestRooms(ctx, startRooms)
	if err != nil {
		s.log.Error("list the rooms that were used last", "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, returnTime)
	defer cancel()
	var wg sync.WaitGroup
	turn := make(chan struct{}, startAtOnce)
	for asked := 0; len(nids) > 0 && asked < returnRooms && ctx.Err() == nil; nids = nids[1:] {
		r, err := s.RoomByNID(ctx, nids[0])
		if err != nil {
			continue
		}
		servers := s.serversIn(ctx, r, startAsked)
		if len(servers) == 0 || !r.mayAskAnew(s.opts.Clock()) {
			continue
		}
		asked++
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			s.resume(ctx, r, servers)
		})
	}
	wg.Wait()
}

// resume asks one server after the other for the newest event of a room, until one answers.
func (s *Service) resume(ctx context.Context, r *Room, servers []matrix.ServerName) {
	for _, server := range servers {
		_, err := s.askNewest(ctx, r, server)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.log.Info("a server does not tell what happened while this one was down", "room", r.id, "server", server, "error", err)
	}
}
