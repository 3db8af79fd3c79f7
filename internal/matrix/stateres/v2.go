package stateres

import (
	"fmt"

	"rempart/internal/matrix"
)

// conflictSet is the full conflicted set of one resolution. The value tells whether the event is in the auth difference.
type conflictSet map[matrix.EventID]bool

func (s conflictSet) has(id matrix.EventID) bool { _, ok := s[id]; return ok }

// add adds events that are not known to be in the auth difference.
func (s conflictSet) add(ids ...matrix.EventID) {
	for _, id := range ids {
		if !s.has(id) {
			s[id] = false
		}
	}
}

// resolveV2 is the algorithm of v2 and v2.1. Spec: rooms/v2/#algorithm, rooms/v12/#algorithm
func (r *resolution) resolveV2() (map[matrix.StateTuple]matrix.EventID, error) {
	set, err := r.conflictSet()
	if err != nil {
		return nil, err
	}
	power, err := r.powerGraph(set)
	if err != nil {
		return nil, err
	}
	order, err := r.powerOrder(power)
	if err != nil {
		return nil, err
	}
	// MSC4297: v2.1 starts from nothing, so that unconflicted state cannot overrule what came before it.
	state := &partial{
		r: r, resolved: make(map[matrix.StateTuple]*matrix.Event, len(set)),
		onBase: !r.v21,
	}
	if err := state.apply(order); err != nil {
		return nil, err
	}
	rest, err := r.mainlineOrder(remaining(set, power), state.Event(powerLevelsKey))
	if err == nil {
		err = state.err
	}
	if err != nil {
		return nil, err
	}
	if err := state.apply(rest); err != nil {
		return nil, err
	}
	return state.finish()
}

// conflictSet gathers the full conflicted set.
func (r *resolution) conflictSet() (conflictSet, error) {
	difference, err := r.read.difference()
	if err != nil {
		return nil, fmt.Errorf("state resolution: auth difference: %w", err)
	}
	set := make(conflictSet, len(difference)+len(r.conflicted))
	for _, id := range difference {
		set[id] = true
	}
	var values []matrix.EventID
	for _, ids := range r.conflicted {
		values = append(values, ids...)
	}
	set.add(values...)
	if !r.v21 {
		return set, nil
	}
	between, err := r.subgraph(values)
	if err != nil {
		return nil, err
	}
	set.add(between...)
	return set, nil
}

// isPowerEvent reports whether the event might remove someone's ability to do something in the room.
// Spec: rooms/v2/#definitions, "power events".
func isPowerEvent(e *matrix.Event) bool {
	if e.StateKey == nil {
		return false
	}
	switch e.Type {
	case typePowerLevels, typeJoinRules:
		return true
	case typeMember:
		m := e.Membership()
		return (m == "leave" || m == "ban") && *e.StateKey != string(e.Sender)
	}
	return false
}

// authorises reports whether events of this type can be auth events of others.
func authorises(typ string) bool {
	switch typ {
	case typeCreate, typePowerLevels, typeJoinRules, typeMember, typeThirdPartyInvite:
		return true
	}
	return false
}

// remaining lists the members of the full conflicted set that were not among the power events and their chains.
func remaining(full conflictSet, power *authGraph) []matrix.EventID {
	var rest []matrix.EventID
	for id := range full {
		if _, ok := power.index[id]; !ok {
			rest = append(rest, id)
		}
	}
	return rest
}

const (
	typeCreate           = "m.room.create"
	typePowerLevels      = "m.room.power_levels"
	typeJoinRules        = "m.room.join_rules"
	typeMember           = "m.room.member"
	typeThirdPartyInvite = "m.room.third_party_invite"
)

// powerLevelsKey names the room's power levels.
var powerLevelsKey = matrix.StateTuple{Type: typePowerLevels}
