package rooms

import (
	"context"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// ServeStateIDs names the events of [Service.ServeState]. Why by itself: in a large room nine tenths of the work is to read the events, which
// are not told here, and they would put out of memory what people use.
// Spec: server-server-api/#get_matrixfederationv1state_idsroomid
func (s *Service) ServeStateIDs(ctx context.Context, origin matrix.ServerName, id matrix.RoomID, at matrix.EventID) (state, auth []matrix.EventID, err error) {
	v, e, err := s.viewerAt(ctx, origin, id, at)
	if err != nil {
		return nil, nil, err
	}
	now, err := s.StateAt(ctx, v.room, e.Before())
	if err != nil {
		return nil, nil, err
	}
	todo := make([]int64, 0, len(now))
	for _, nid := range now {
		todo = append(todo, nid)
	}
	named := map[int64]bool{}
	if state, todo, err = s.names(ctx, todo, named); err != nil {
		return nil, nil, err
	}
	auth = []matrix.EventID{}
	for len(todo) > 0 {
		var ids []matrix.EventID
		if ids, todo, err = s.names(ctx, todo, named); err != nil {
			return nil, nil, err
		}
		auth = append(auth, ids...)
	}
	if !v.room.version.RoomIDIsCreateHash || len(state) == 0 {
		return state, auth, nil
	}
	create, err := s.findEvent(ctx, v.room, v.room.id.CreateEventID())
	if err == nil && create != nil && !named[create.Row.NID] {
		auth = append(auth, create.ID) // all rest on it, and name it only by the id of the room
	}
	return state, auth, err
}

// names are the ids of some events, and the events that they rest on which are not in seen; those are put into it.
func (s *Service) names(ctx context.Context, nids []int64, seen map[int64]bool) (ids []matrix.EventID, rest []int64, err error) {
	ids = make([]matrix.EventID, 0, len(nids))
	slices.Sort(nids) // neighbours lie on the same pages
	err = s.db.EachEventName(ctx, nids, func(n storage.EventName) {
		ids = append(ids, n.ID)
		for _, nid := range n.Auth {
			if !seen[nid] {
				seen[nid] = true
				rest = append(rest, nid)
			}
		}
	})
	return ids, rest, err
}
