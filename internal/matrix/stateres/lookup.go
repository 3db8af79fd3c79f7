package stateres

import (
	"fmt"

	"rempart/internal/matrix"
)

// event reads an event once.
func (r *resolution) event(id matrix.EventID) (*matrix.Event, error) {
	if e, ok := r.events[id]; ok {
		return e, nil
	}
	if err := r.admit(len(r.events)); err != nil {
		return nil, err
	}
	e, err := r.read.event(id)
	if err != nil {
		return nil, fmt.Errorf("state resolution: event %s: %w", id, err)
	}
	if e == nil {
		return nil, fmt.Errorf("state resolution: event %s is missing", id)
	}
	r.events[id] = e
	return e, nil
}

// authOf reads the auth events of an event once.
func (r *resolution) authOf(id matrix.EventID) ([]matrix.EventID, error) {
	if ids, ok := r.auth[id]; ok {
		return ids, nil
	}
	if err := r.admit(len(r.auth)); err != nil {
		return nil, err
	}
	ids, err := r.read.auth(id)
	if err != nil {
		return nil, fmt.Errorf("state resolution: auth events of %s: %w", id, err)
	}
	r.auth[id] = ids
	return ids, nil
}

// admit bounds the work and notices a caller who has gone.
func (r *resolution) admit(known int) error {
	if known >= MaxEvents {
		return ErrTooLarge
	}
	return r.read.alive()
}

// isRejected asks once whether an event was rejected.
func (r *resolution) isRejected(id matrix.EventID) (bool, error) {
	if bad, ok := r.rejected[id]; ok {
		return bad, nil
	}
	bad, err := r.read.rejected(id)
	if err != nil {
		return false, fmt.Errorf("state resolution: rejected %s: %w", id, err)
	}
	r.rejected[id] = bad
	return bad, nil
}

// unconflicted returns the value that all states agree on, or "".
func (r *resolution) unconflicted(t matrix.StateTuple) (matrix.EventID, error) {
	if id, ok := r.agreed[t]; ok {
		return id, nil
	}
	if r.conflicted[t] != nil {
		return "", nil
	}
	if id, ok := r.base[t]; ok {
		return id, nil
	}
	id, err := r.read.unconflicted(t)
	if err != nil {
		return "", fmt.Errorf("state resolution: unconflicted %s: %w", t.Type, err)
	}
	r.base[t] = id
	return id, nil
}

// authEventOf finds the auth event of an event that sets the given piece of state, or nil.
func (r *resolution) authEventOf(id matrix.EventID, t matrix.StateTuple) (*matrix.Event, error) {
	ids, err := r.authOf(id)
	if err != nil {
		return nil, err
	}
	for _, a := range ids {
		e, err := r.event(a)
		if err != nil {
			return nil, err
		}
		if e.Type == t.Type && e.StateKeyEquals(t.Key) {
			return e, nil
		}
	}
	return nil, nil
}
