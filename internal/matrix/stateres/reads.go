package stateres

import (
	"context"
	"errors"

	"rempart/internal/matrix"
)

// reads are all the questions that one resolution asks its caller, bound to the caller's context.
type reads struct {
	event        func(matrix.EventID) (*matrix.Event, error)
	auth         func(matrix.EventID) ([]matrix.EventID, error)
	unconflicted func(matrix.StateTuple) (matrix.EventID, error)
	difference   func() ([]matrix.EventID, error)
	subgraph     func([]matrix.EventID) ([]matrix.EventID, error) // nil: walk
	rejected     func(matrix.EventID) (bool, error)
	alive        func() error
}

var errNoDifference = errors.New("none given")

func newReads(ctx context.Context, in Input, src Source) reads {
	r := reads{
		event:        func(id matrix.EventID) (*matrix.Event, error) { return src.Event(ctx, id) },
		auth:         func(id matrix.EventID) ([]matrix.EventID, error) { return src.AuthEvents(ctx, id) },
		unconflicted: func(matrix.StateTuple) (matrix.EventID, error) { return "", nil },
		difference:   func() ([]matrix.EventID, error) { return nil, errNoDifference },
		rejected:     func(matrix.EventID) (bool, error) { return false, nil },
		alive:        ctx.Err,
	}
	if in.Unconflicted != nil {
		r.unconflicted = func(t matrix.StateTuple) (matrix.EventID, error) { return in.Unconflicted(ctx, t) }
	}
	if in.AuthDifference != nil {
		r.difference = func() ([]matrix.EventID, error) { return in.AuthDifference(ctx) }
	}
	if in.ConflictedSubgraph != nil {
		r.subgraph = func(ids []matrix.EventID) ([]matrix.EventID, error) { return in.ConflictedSubgraph(ctx, ids) }
	}
	if in.Rejected != nil {
		r.rejected = func(id matrix.EventID) (bool, error) { return in.Rejected(ctx, id) }
	}
	return r
}
