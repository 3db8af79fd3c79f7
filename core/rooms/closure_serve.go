package rooms

import (
	"context"

	"rempart/internal/matrix"
)

// holds reports whether an event is kept back from the server that reads the room: one of ours that was written before the room was frozen and that
// it has not been told. Why here too: whoever hears of what came after it would just fetch it.
func (v *serverViewer) holds(ctx context.Context, e *Stored) (bool, error) {
	held, err := v.s.Held(ctx, e)
	if !held || err != nil {
		return false, err
	}
	if v.waiting == nil {
		list, err := v.s.db.ListUntold(ctx, v.room.nid, v.origin)
		if err != nil {
			return false, err
		}
		v.waiting = make(map[int64]bool, len(list))
		for _, nid := range list {
			v.waiting[nid] = true
		}
	}
	return v.waiting[e.Row.NID], nil
}

// holdBack puts redacted copies in the place of events that are kept back, so that the graph holds together.
func (v *serverViewer) holdBack(ctx context.Context, list []*Stored) error {
	for i, e := range list {
		held, err := v.holds(ctx, e)
		if err == nil && held {
			list[i], err = e.bare()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// orRedacted is an event as a redaction would leave it, unless there is an error.
func orRedacted(e *Stored, err error) (*matrix.Event, error) {
	if err != nil {
		return nil, err
	}
	return e.Redacted()
}
