package devices

import (
	"context"
	"slices"

	"rempart/internal/matrix"
)

// Changes says whose devices to look at again, and whose no more.
// Spec: client-server-api/#get_matrixclientv3keyschanges
type Changes struct {
	Changed []matrix.UserID `json:"changed"`
	Left    []matrix.UserID `json:"left"`
}

// KeyChanges lists the users who share a room with the caller and whose keys changed, or whom he met anew, between two
// sync tokens; and those with whom he shares no room any more. A token of another epoch counts from the beginning.
func (s *Service) KeyChanges(ctx context.Context, c matrix.Caller, from, to string) (Changes, error) {
	after, err := s.position(from, 0)
	if err != nil {
		return Changes{}, err
	}
	upto, err := s.position(to, s.db.Position())
	if err != nil {
		return Changes{}, err
	}
	return s.ChangesBetween(ctx, c.UserNID, after, upto)
}

// position reads a sync token; other is what stands for one of another epoch.
func (s *Service) position(token string, other int64) (int64, error) {
	t, err := matrix.ParseSyncToken(token)
	if err != nil {
		return 0, err
	}
	if t.Epoch != s.db.Epoch() {
		return other, nil
	}
	return t.Pos, nil
}

// ChangesBetween is KeyChanges for stream positions (after, upto].
func (s *Service) ChangesBetween(ctx context.Context, user, after, upto int64) (Changes, error) {
	changed, err := s.db.ListDeviceListChanges(ctx, user, after, upto)
	if err != nil {
		return Changes{}, err
	}
	met, err := s.db.ListNewlyShared(ctx, user, after, upto)
	if err != nil {
		return Changes{}, err
	}
	left, err := s.db.ListParted(ctx, user, after, upto)
	if err != nil {
		return Changes{}, err
	}
	changed = append(changed, met...)
	slices.Sort(changed)
	out := Changes{}
	if out.Changed, err = s.names(ctx, slices.Compact(changed)); err != nil {
		return Changes{}, err
	}
	out.Left, err = s.names(ctx, left)
	return out, err
}

func (s *Service) names(ctx context.Context, nids []int64) ([]matrix.UserID, error) {
	out := make([]matrix.UserID, len(nids))
	for i, nid := range nids {
		id, err := s.db.GetUserID(ctx, nid)
		if err != nil {
			return nil, err
		}
		out[i] = id
	}
	return out, nil
}
