package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"rempart/internal/matrix"
)

// Bounds of what a resident server may answer to a join.
const (
	maxJoinEvents = 400_000 // of state and auth chain each
	maxJoinEvent  = 128 << 10
)

// readJoined reads the answer to a join as it comes, event by event, so that no more than the events themselves is ever held.
// What is said twice counts once: the last time. Spec: server-server-api/#put_matrixfederationv2send_joinroomideventid
func readJoined(r io.Reader) (*Joined, error) {
	d := json.NewDecoder(r)
	if err := expect(d, json.Delim('{')); err != nil {
		return nil, err
	}
	j := &Joined{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch name {
		case "state":
			j.State, err = readEvents(d)
		case "auth_chain":
			j.AuthChain, err = readEvents(d)
		case "event":
			err = d.Decode(&j.Event)
		case "members_omitted":
			err = d.Decode(&j.MembersOmitted)
		case "servers_in_room":
			err = d.Decode(&j.Servers)
		default:
			err = skip(d)
		}
		if err != nil {
			return nil, err
		}
	}
	return j, expect(d, json.Delim('}'))
}

// readEvents reads a list of events.
func readEvents(d *json.Decoder) ([]json.RawMessage, error) {
	if err := expect(d, json.Delim('[')); err != nil {
		return nil, err
	}
	var out []json.RawMessage
	for d.More() {
		var e json.RawMessage
		if err := d.Decode(&e); err != nil {
			return nil, err
		}
		if len(e) > maxJoinEvent || len(out) >= maxJoinEvents {
			return nil, errTooLarge
		}
		out = append(out, e)
	}
	return out, expect(d, json.Delim(']'))
}

// skip passes over a value, however large.
func skip(d *json.Decoder) error {
	for depth := 0; ; {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func expect(d *json.Decoder, want json.Delim) error {
	t, err := d.Token()
	if err == nil && t != want {
		err = errNotJSON
	}
	return err
}

// join makes a request whose answer is read as it comes.
func (c *Client) join(ctx context.Context, from, to matrix.ServerName, q request) (*Joined, error) {
	ctx, cancel := context.WithTimeout(ctx, q.wait)
	defer cancel()
	res, err := c.send(ctx, from, to, q)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", to, err)
	}
	defer func() { _ = res.Body.Close() }()
	body := &io.LimitedReader{R: res.Body, N: q.limit + 1}
	j, err := readJoined(body)
	switch {
	case body.N <= 0:
		err = errTooLarge
	case ctx.Err() != nil:
		err = ctx.Err() // Why: a peer that sees us go may end its answer as if it were whole
	case err != nil && !errors.Is(err, errTooLarge):
		err = errors.Join(errNotJSON, err)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", to, err)
	}
	return j, nil
}
