package courier

import (
	"context"
	"encoding/json"
	"errors"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// maxLeft bounds how many people are looked at who may share no room with a service any more, in one transaction.
const maxLeft = 1000

// shown is what a room elsewhere showed of itself to whom it invited; nil for a room that is here, and for an invitation that is
// no more. Spec: application-service-api/#pushing-events
func (p *dispatch) shown(ctx context.Context, e *rooms.Stored) (json.RawMessage, error) {
	if e.Row.Branch >= 0 || e.StateKey == nil {
		return nil, nil
	}
	user, err := p.DB.FindUserNID(ctx, matrix.UserID(*e.StateKey))
	if err != nil {
		return nil, ifThere(err)
	}
	m, err := p.DB.FindMembership(ctx, user, e.Row.Room)
	if err != nil || m.Event != e.Row.NID {
		return nil, ifThere(err)
	}
	return p.Rooms.Outside(ctx, &m)
}

func ifThere(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// takeLeft tells of people who share no room with an account of the service any more, by who left the rooms of this transaction:
// themselves, or the service's users. MSC3202
func (p *dispatch) takeLeft(ctx context.Context, l *link, f *flight) error {
	events, err := p.Rooms.Events(ctx, f.Events)
	if err != nil {
		return err
	}
	seen := map[int64]bool{}
	var perhaps []int64
	for _, e := range events {
		if m := e.Membership(); e.StateKey == nil || m != "leave" && m != "ban" {
			continue
		}
		left, err := p.parted(ctx, l, e)
		if err != nil {
			return err
		}
		for _, user := range left {
			if !seen[user] && len(perhaps) < maxLeft {
				seen[user] = true
				perhaps = append(perhaps, user)
			}
		}
	}
	f.Left, err = p.DB.ListUnshared(ctx, l.ID, perhaps)
	return err
}

// parted are those whom a departure may have parted from the service.
func (p *dispatch) parted(ctx context.Context, l *link, e *rooms.Stored) ([]int64, error) {
	if l.of.Owns(matrix.UserID(*e.StateKey)) {
		return p.DB.ListJoinedUsers(ctx, e.Row.Room)
	}
	user, err := p.DB.FindUserNID(ctx, matrix.UserID(*e.StateKey))
	if err != nil {
		return nil, ifThere(err)
	}
	return []int64{user}, nil
}
