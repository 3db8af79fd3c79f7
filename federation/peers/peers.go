// Package peers gives the core its way to other homeservers: it turns what the core asks for into requests of the
// server-server API and keys into verdicts on events. It holds no state of its own.
package peers

import (
	"context"
	"encoding/json"

	"rempart/core"
	"rempart/federation/client"
	"rempart/federation/keys"
	"rempart/internal/matrix"
)

// Peers is core.Peers over the network.
type Peers struct {
	client *client.Client
	keys   *keys.Ring
}

var _ core.Peers = (*Peers)(nil)

// New joins a client and a key ring.
func New(c *client.Client, ring *keys.Ring) *Peers { return &Peers{c, ring} }

// MakeMembership asks a resident server for a template.
func (p *Peers) MakeMembership(ctx context.Context, from, to matrix.ServerName, act string, room matrix.RoomID, user matrix.UserID,
	versions []string) (string, json.RawMessage, error) {
	var t client.Template
	var err error
	switch act {
	case "join":
		t, err = p.client.MakeJoin(ctx, from, to, room, user, versions)
	case "knock":
		t, err = p.client.MakeKnock(ctx, from, to, room, user, versions)
	default:
		t, err = p.client.MakeLeave(ctx, from, to, room, user)
	}
	return t.RoomVersion, t.Event, err
}

// SendJoin hands in a join and gets the room.
func (p *Peers) SendJoin(ctx context.Context, from, to matrix.ServerName, e *matrix.Event, take func(bool, json.RawMessage) error) (*core.JoinState, error) {
	j, err := p.client.SendJoin(ctx, from, to, e.RoomID, e.ID, e.JSON, false, take)
	if err != nil {
		return nil, err
	}
	return &core.JoinState{Event: j.Event, Servers: j.Servers}, nil
}

// SendLeave hands in a leave.
func (p *Peers) SendLeave(ctx context.Context, from, to matrix.ServerName, e *matrix.Event) error {
	return p.client.SendLeave(ctx, from, to, e.RoomID, e.ID, e.JSON)
}

// SendKnock hands in a knock.
func (p *Peers) SendKnock(ctx context.Context, from, to matrix.ServerName, e *matrix.Event) ([]json.RawMessage, error) {
	return p.client.SendKnock(ctx, from, to, e.RoomID, e.ID, e.JSON)
}

// Invite hands an invitation to the server of who is invited.
func (p *Peers) Invite(ctx context.Context, from, to matrix.ServerName, e *matrix.Event, stripped []json.RawMessage) (json.RawMessage, error) {
	return p.client.Invite(ctx, from, to, e.RoomID, e.ID, client.Invitation{RoomVersion: e.Version.ID, Event: e.JSON, State: stripped})
}

// MissingEvents asks for what lies between two sets of events.
func (p *Peers) MissingEvents(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, earliest, latest []matrix.EventID,
	limit int) ([]json.RawMessage, error) {
	return p.client.GetMissingEvents(ctx, from, to, room, client.Missing{Earliest: earliest, Latest: latest, Limit: limit})
}

// StateIDs asks for the names of the state before an event.
func (p *Peers) StateIDs(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, at matrix.EventID) (state, auth []matrix.EventID, err error) {
	s, err := p.client.StateIDs(ctx, from, to, room, at)
	if err != nil {
		return nil, nil, err
	}
	return s.PDUs, s.AuthChain, nil
}

// State asks for the state before an event.
func (p *Peers) State(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, at matrix.EventID, take func(json.RawMessage) error) error {
	return p.client.State(ctx, from, to, room, at, take)
}

// EventAuth asks for the auth chain of an event.
func (p *Peers) EventAuth(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, id matrix.EventID, take func(json.RawMessage) error) error {
	return p.client.EventAuth(ctx, from, to, room, id, take)
}

// Event asks for one event.
func (p *Peers) Event(ctx context.Context, from, to matrix.ServerName, id matrix.EventID) (json.RawMessage, error) {
	return p.client.Event(ctx, from, to, id)
}

// Backfill asks for history.
func (p *Peers) Backfill(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, before []matrix.EventID, limit int) ([]json.RawMessage, error) {
	return p.client.Backfill(ctx, from, to, room, before, limit)
}

// Alias asks an alias' own server.
func (p *Peers) Alias(ctx context.Context, from matrix.ServerName, alias matrix.RoomAlias) (matrix.RoomID, []matrix.ServerName, error) {
	return p.client.QueryDirectory(ctx, from, alias.Server(), alias)
}

// Hierarchy asks for a space and its children.
func (p *Peers) Hierarchy(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, suggestedOnly bool) (json.RawMessage, error) {
	return p.client.Hierarchy(ctx, from, to, room, suggestedOnly)
}

// EventNear asks which event is closest to a time.
func (p *Peers) EventNear(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, ts int64, backward bool) (matrix.EventID, int64, error) {
	return p.client.TimestampToEvent(ctx, from, to, room, ts, backward)
}

// VerifyEvents checks the signatures that events need.
func (p *Peers) VerifyEvents(ctx context.Context, events []*matrix.Event) []error {
	return p.keys.VerifyEvents(ctx, events)
}
