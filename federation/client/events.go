package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"rempart/internal/matrix"
)

// Event fetches one event. Spec: server-server-api/#get_matrixfederationv1eventeventid
func (c *Client) Event(ctx context.Context, from, to matrix.ServerName, id matrix.EventID) (json.RawMessage, error) {
	var answer pdus
	if err := c.call(ctx, from, to, get(path(v1+"event", string(id))).upTo(1<<20), &answer); err != nil {
		return nil, err
	}
	if len(answer.PDUs) != 1 {
		return nil, fmt.Errorf("ask %s for an event: %w", to, errNotJSON)
	}
	return answer.PDUs[0], nil
}

type pdus struct {
	PDUs []json.RawMessage `json:"pdus"`
}

// EventAuth fetches the auth chain of an event and hands on each event as it comes.
// Spec: server-server-api/#get_matrixfederationv1event_authroomideventid
func (c *Client) EventAuth(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, id matrix.EventID, take func(json.RawMessage) error) error {
	q := get(path(v1+"event_auth", string(room), string(id))).upTo(largeAnswer).within(longTime)
	return c.stream(ctx, from, to, q, func(r io.Reader) error { return readLists(r, take, "auth_chain") })
}

// State fetches the state before an event and its auth chain, and hands on each event as it comes.
// Spec: server-server-api/#get_matrixfederationv1stateroomid
func (c *Client) State(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, at matrix.EventID, take func(json.RawMessage) error) error {
	q := get(atEvent("state", room, at)).upTo(joinAnswer).within(joinTime)
	return c.stream(ctx, from, to, q, func(r io.Reader) error { return readLists(r, take, "pdus", "auth_chain") })
}

// StateIDs is the state before an event and its auth chain, by name.
type StateIDs struct {
	PDUs      []matrix.EventID `json:"pdu_ids"`
	AuthChain []matrix.EventID `json:"auth_chain_ids"`
}

// StateIDs fetches the names of the state before an event. Spec: server-server-api/#get_matrixfederationv1state_idsroomid
func (c *Client) StateIDs(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, at matrix.EventID) (*StateIDs, error) {
	var s StateIDs
	return &s, c.call(ctx, from, to, get(atEvent("state_ids", room, at)).upTo(namesAnswer).within(longTime), &s)
}

func atEvent(what string, room matrix.RoomID, at matrix.EventID) string {
	return path(v1+what, string(room)) + "?" + url.Values{"event_id": {string(at)}}.Encode()
}

// Backfill fetches events before and including the given ones, newest first.
// Spec: server-server-api/#get_matrixfederationv1backfillroomid
func (c *Client) Backfill(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, at []matrix.EventID, limit int) ([]json.RawMessage, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	for _, id := range at {
		q.Add("v", string(id))
	}
	var answer pdus
	err := c.call(ctx, from, to, get(path(v1+"backfill", string(room))+"?"+q.Encode()).upTo(pageAnswer).within(longTime), &answer)
	return answer.PDUs, err
}

// Missing says which events are asked for: those between the latest and the earliest.
type Missing struct {
	Earliest []matrix.EventID `json:"earliest_events"`
	Latest   []matrix.EventID `json:"latest_events"`
	Limit    int              `json:"limit,omitempty"`
	MinDepth int64            `json:"min_depth,omitempty"`
}

// GetMissingEvents fetches events in a gap, oldest first. Spec: server-server-api/#post_matrixfederationv1get_missing_eventsroomid
func (c *Client) GetMissingEvents(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, m Missing) ([]json.RawMessage, error) {
	if m.Earliest == nil {
		m.Earliest = []matrix.EventID{}
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	var answer struct {
		Events []json.RawMessage `json:"events"`
	}
	err = c.call(ctx, from, to, post(path(v1+"get_missing_events", string(room)), body).upTo(pageAnswer).within(longTime), &answer)
	return answer.Events, err
}

// TimestampToEvent finds the event nearest to a time; backward looks before it.
// Spec: server-server-api/#get_matrixfederationv1timestamp_to_eventroomid
func (c *Client) TimestampToEvent(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, ts int64, backward bool) (matrix.EventID, int64, error) {
	dir := "f"
	if backward {
		dir = "b"
	}
	var answer struct {
		ID matrix.EventID `json:"event_id"`
		TS int64          `json:"origin_server_ts"`
	}
	uri := path(v1+"timestamp_to_event", string(room)) + "?" + url.Values{"ts": {strconv.FormatInt(ts, 10)}, "dir": {dir}}.Encode()
	err := c.call(ctx, from, to, get(uri).upTo(smallAnswer), &answer)
	return answer.ID, answer.TS, err
}
