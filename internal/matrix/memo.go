package matrix

import (
	"encoding/json"
	"sync/atomic"
)

// eventMemo keeps what has been parsed out of an event's content. Two goroutines may parse at once; they
// find the same.
type eventMemo struct {
	member     memo[MemberContent]
	power      memo[*PowerLevels]
	create     memo[*CreateContent]
	joinRules  memo[JoinRules]
	invite     memo[ThirdPartyInviteContent]
	visibility memo[string]
}

// memo is one parsed value or the error of parsing it.
type memo[T any] struct{ p atomic.Pointer[parsed[T]] }

type parsed[T any] struct {
	value T
	err   error
}

func (m *memo[T]) get(content json.RawMessage, parse func(json.RawMessage) (T, error)) (T, error) {
	if r := m.p.Load(); r != nil {
		return r.value, r.err
	}
	v, err := parse(content)
	m.p.Store(&parsed[T]{v, err})
	return v, err
}
