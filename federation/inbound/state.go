package inbound

import (
	"context"
	"encoding/json"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type stateAnswer struct {
	PDUs      []json.RawMessage `json:"pdus"`
	AuthChain []json.RawMessage `json:"auth_chain"`
}

type stateIDsAnswer struct {
	PDUs      []matrix.EventID `json:"pdu_ids"`
	AuthChain []matrix.EventID `json:"auth_chain_ids"`
}

type authAnswer struct {
	AuthChain []json.RawMessage `json:"auth_chain"`
}

// stateRoutes hands out the state before an event, and what an event rests on.
// Spec: server-server-api/#retrieving-events and #retrieving-event-authorisation-information
func stateRoutes(r *httpx.Router, s *rooms.Service) {
	httpx.Handle(r, "GET", "/_matrix/federation/v1/state_ids/{roomID}", signed("getRoomStateIds"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (a stateIDsAnswer, err error) {
			room, at, err := roomAndEvent(p)
			if err != nil {
				return a, err
			}
			state, auth, err := s.ServeStateIDs(ctx, c.Server, room, at)
			return stateIDsAnswer{state, auth}, err
		})
	httpx.Handle(r, "GET", "/_matrix/federation/v1/state/{roomID}", signed("getRoomState"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (a stateAnswer, err error) {
			room, at, err := roomAndEvent(p)
			if err != nil {
				return a, err
			}
			state, auth, err := s.ServeState(ctx, c.Server, room, at)
			return stateAnswer{textsOf(state), textsOf(auth)}, err
		})
	httpx.Handle(r, "GET", "/_matrix/federation/v1/event_auth/{roomID}/{eventID}", signed("getEventAuth"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (a authAnswer, err error) {
			room, err := p.RoomID()
			if err != nil {
				return a, err
			}
			chain, err := s.ServeEventAuth(ctx, c.Server, room, matrix.EventID(p.Var("eventID")))
			return authAnswer{textsOf(chain)}, err
		})
}
