package rooms

import (
	"context"
	"encoding/json"

	"rempart/internal/matrix"
)

// askNewest asks a server for the newest events of a room and takes them in, with what lies between. It reports whether any was new.
func (s *Service) askNewest(ctx context.Context, r *Room, server matrix.ServerName) (bool, error) {
	if ok, err := s.Admits(ctx, r, server); err != nil || !ok {
		return false, err
	}
	user, err := s.askingUser(ctx, r)
	if err != nil {
		return false, err
	}
	ids, err := s.newestAt(ctx, r, user, server)
	if err != nil {
		return false, err
	}
	if ids, err = s.unplaced(ctx, r, ids); err != nil {
		return false, err
	}
	found := false
	for _, id := range ids[:min(len(ids), maxParents)] {
		took, err := s.takeNewest(ctx, r, user.Server(), server, id)
		if err != nil {
			return found, err
		}
		found = found || took
	}
	return found, nil
}

// newestAt are the newest events of a room at another server: the last by its clock or, where it does not answer that, those after which it
// proposes to put what a user of ours does next. Why: Dendrite does not know timestamp_to_event, but everybody proposes how to leave.
func (s *Service) newestAt(ctx context.Context, r *Room, user matrix.UserID, server matrix.ServerName) ([]matrix.EventID, error) {
	id, _, err := s.opts.Peers.EventNear(ctx, user.Server(), server, r.id, s.nowMS(), true)
	if err == nil || !matrix.HasCode(err, matrix.CodeUnrecognized) {
		return []matrix.EventID{id}, err
	}
	_, raw, err := s.opts.Peers.MakeMembership(ctx, user.Server(), server, "leave", r.id, user, versionIDs())
	if err != nil {
		return nil, err
	}
	t, err := readTemplate(raw, r.id, user, "leave")
	if err != nil {
		return nil, err
	}
	return readRefs(r.version, t.PrevEvents, map[matrix.EventID][]byte{})
}

// takeNewest fetches an event and takes it in, unless who sent it is not admitted.
func (s *Service) takeNewest(ctx context.Context, r *Room, from, server matrix.ServerName, id matrix.EventID) (bool, error) {
	raw, err := s.opts.Peers.Event(ctx, from, server, id)
	if err != nil {
		return false, err
	}
	events, _ := s.verified(ctx, parse(r.version, r.id, []json.RawMessage{raw}))
	if len(events) != 1 || events[0].ID != id {
		return false, errNothingFetched
	}
	if ok, err := s.Admits(ctx, r, events[0].Sender.Server()); err != nil || !ok {
		return false, err
	}
	_, err = s.receiveFetching(ctx, r, events, Arrival{From: server})
	return err == nil, err
}
