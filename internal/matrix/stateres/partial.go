package stateres

import (
	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
)

// partial is the room state that the iterative auth checks build up. For the event at hand it is also the
// state that the authorisation rules see. Spec: rooms/v2/#definitions, "iterative auth checks".
type partial struct {
	r *resolution
	// resolved holds what has been accepted so far, above the unconflicted state when onBase is set.
	resolved map[matrix.StateTuple]*matrix.Event
	onBase   bool
	current  matrix.EventID // its auth events stand in for state that is missing; "" for none
	err      error          // the first failed read; the rules cannot report it
}

var _ authrules.State = (*partial)(nil)

// Event implements authrules.State.
func (p *partial) Event(t matrix.StateTuple) *matrix.Event {
	if e := p.resolved[t]; e != nil {
		return e
	}
	e, err := p.fallback(t)
	if err != nil && p.err == nil {
		p.err = err
	}
	return e
}

func (p *partial) fallback(t matrix.StateTuple) (*matrix.Event, error) {
	if p.onBase {
		id, err := p.r.unconflicted(t)
		if err != nil {
			return nil, err
		}
		if id != "" {
			return p.r.event(id)
		}
	}
	if p.current == "" {
		return nil, nil
	}
	return p.r.acceptedAuthEvent(p.current, t)
}

// acceptedAuthEvent finds the auth event that sets a piece of state, unless it was rejected.
func (r *resolution) acceptedAuthEvent(id matrix.EventID, t matrix.StateTuple) (*matrix.Event, error) {
	e, err := r.authEventOf(id, t)
	if e == nil || err != nil {
		return nil, err
	}
	bad, err := r.isRejected(e.ID)
	if bad || err != nil {
		return nil, err
	}
	return e, nil
}

// apply runs the iterative auth checks over a sorted list.
func (p *partial) apply(order []matrix.EventID) error {
	for _, id := range order {
		e, err := p.r.event(id)
		if err != nil {
			return err
		}
		if !e.IsState() {
			continue
		}
		p.current = id
		allowed := authrules.Check(e, p) == nil
		if p.err != nil {
			return p.err
		}
		if allowed {
			p.resolved[e.Tuple()] = e
		}
	}
	p.current = ""
	return nil
}

// finish replaces what the states agree on. Spec: rooms/v2/#algorithm, step 5.
func (p *partial) finish() (map[matrix.StateTuple]matrix.EventID, error) {
	out := make(map[matrix.StateTuple]matrix.EventID, len(p.resolved))
	for key, e := range p.resolved {
		id, err := p.r.unconflicted(key)
		if err != nil {
			return nil, err
		}
		if id == "" {
			out[key] = e.ID
		}
	}
	return p.r.result(out), nil
}
