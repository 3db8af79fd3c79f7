package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"rempart/internal/matrix"
)

// Bounds of what a resident server may answer to a join.
const (
	maxJoinEvents = 400_000 // of state and auth chain each
	maxJoinEvent  = 128 << 10
)

// readJoined reads the answer to a join as it comes and hands on each event of its lists; take may be nil. Of what else is said twice the last
// counts. Spec: server-server-api/#put_matrixfederationv2send_joinroomideventid
func readJoined(r io.Reader, take func(state bool, event json.RawMessage) error) (*Joined, error) {
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
		case "state", "auth_chain":
			if take == nil {
				err = skip(d)
				break
			}
			err = readList(d, func(event json.RawMessage) error { return take(name == "state", event) })
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

// readLists hands on the events of some lists of an object, each as it comes, and passes over all else.
func readLists(r io.Reader, take func(json.RawMessage) error, names ...string) error {
	d := json.NewDecoder(r)
	if err := expect(d, json.Delim('{')); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if text, _ := name.(string); slices.Contains(names, text) {
			err = readList(d, take)
		} else {
			err = skip(d)
		}
		if err != nil {
			return err
		}
	}
	return expect(d, json.Delim('}'))
}

// readList hands on the events of a list.
func readList(d *json.Decoder, take func(json.RawMessage) error) error {
	if err := expect(d, json.Delim('[')); err != nil {
		return err
	}
	for n := 0; d.More(); n++ {
		var e json.RawMessage
		if err := d.Decode(&e); err != nil {
			return err
		}
		if len(e) > maxJoinEvent || n >= maxJoinEvents {
			return errTooLarge
		}
		if err := take(e); err != nil {
			return errTaken{err}
		}
	}
	return expect(d, json.Delim(']'))
}

// errTaken is the end that who takes the events made.
type errTaken struct{ error }

func (e errTaken) Unwrap() error { return e.error }

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
func (c *Client) join(ctx context.Context, from, to matrix.ServerName, q request, take func(bool, json.RawMessage) error) (j *Joined, err error) {
	err = c.stream(ctx, from, to, q, func(r io.Reader) (err error) {
		j, err = readJoined(r, take)
		return err
	})
	return j, err
}

// stream makes a request whose answer is read as it comes, within its bounds.
func (c *Client) stream(ctx context.Context, from, to matrix.ServerName, q request, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, q.wait)
	defer cancel()
	res, err := c.send(ctx, from, to, q)
	if err != nil {
		return fmt.Errorf("ask %s: %w", to, err)
	}
	defer func() { _ = res.Body.Close() }()
	whole := &breaking{Reader: res.Body}
	body := &io.LimitedReader{R: whole, N: q.limit + 1}
	err = read(body)
	var taken errTaken
	switch {
	case errors.As(err, &taken):
		err = taken.error
	case body.N <= 0:
		err = errTooLarge
	case ctx.Err() != nil:
		err = ctx.Err() // Why: a peer that sees us go may end its answer as if it were whole
	case whole.err != nil:
		err = whole.err
	case err != nil && !errors.Is(err, errTooLarge):
		err = errors.Join(errNotJSON, err)
	}
	if err != nil {
		return fmt.Errorf("ask %s: %w", to, err)
	}
	return nil
}

// breaking notes with what the reading of an answer broke off: what came before is no answer.
type breaking struct {
	io.Reader
	err error
}

// Read implements io.Reader.
func (b *breaking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}
