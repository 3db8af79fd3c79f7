package rooms

import (
	"context"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// ServeNear finds the event closest to a time, at or after it, or at or before it when backward, for another server.
// Spec: server-server-api/#get_matrixfederationv1timestamp_to_eventroomid
func (s *Service) ServeNear(ctx context.Context, origin matrix.ServerName, id matrix.RoomID, ts int64, backward bool) (*Stored, error) {
	v, err := s.viewerOf(ctx, origin, id)
	if err != nil {
		return nil, err
	}
	events, err := s.around(ctx, v.room, ts)
	if err != nil {
		return nil, err
	}
	events = slices.DeleteFunc(events, func(e *Stored) bool {
		if e.Row.Flags&(storage.FlagRejected|storage.FlagSoftFailed) != 0 || !e.Before().Known() || e.Past(v.oldest) || !v.reaches(e) {
			return true
		}
		ok, err := v.sees(ctx, e)
		return err != nil || !ok
	})
	if e := closest(events, ts, backward); e != nil {
		return e, nil
	}
	return nil, matrix.NotFound("There is no event at that time or beyond.")
}
