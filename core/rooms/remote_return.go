package rooms

import (
	"context"
	"encoding/json"
	"time"

	"rempart/internal/matrix"
)

// Bounds of asking a server that has returned for what was missed.
const (
	returnTime  = 20 * time.Second
	returnRooms = 20               // those used last
	returnPause = 10 * time.Second // between two questions about one room
)

// Returned asks a server that could not be reached for a while for the newest event of rooms that both are in, and takes in what is not known
// here. Why: where the way was cut in both directions, that server may wait for long before it tries to tell us.
func (s *Service) Returned(ctx context.Context, server matrix.ServerName) {
	if s.opts.Peers == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, returnTime)
	defer cancel()
	asked := 0
	for _, r := range s.rooms.recent() {
		in, err := s.joinedFrom(ctx, r, server)
		if err != nil || !in || !r.mayAskAnew(s.opts.Clock()) {
			continue
		}
		if err := s.askNewest(ctx, r, server); err != nil {
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

// askNewest asks a server for the newest event of a room and takes it in, with what lies between.
func (s *Service) askNewest(ctx context.Context, r *Room, server matrix.ServerName) error {
	if ok, err := s.Admits(ctx, r, server); err != nil || !ok {
		return err
	}
	from, err := s.asker(ctx, r)
	if err != nil {
		return err
	}
	id, _, err := s.opts.Peers.EventNear(ctx, from, server, r.id, s.nowMS(), true)
	if err != nil {
		return err
	}
	missing, err := s.unplaced(ctx, r, []matrix.EventID{id})
	if err != nil || len(missing) == 0 {
		return err
	}
	raw, err := s.opts.Peers.Event(ctx, from, server, id)
	if err != nil {
		return err
	}
	events := s.verified(ctx, parse(r.version, r.id, []json.RawMessage{raw}))
	if len(events) != 1 || events[0].ID != id {
		return errNothingFetched
	}
	if ok, err := s.Admits(ctx, r, events[0].Sender.Server()); err != nil || !ok {
		return err
	}
	_, err = s.receiveFetching(ctx, r, events, Arrival{From: server})
	return err
}
