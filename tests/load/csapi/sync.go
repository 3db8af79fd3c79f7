package csapi

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"rempart/tests/load/wire"
)

// Synced is the part of a sync answer that the scenarios look at. Body is valid
// until the next exchange on the connection.
type Synced struct {
	Body []byte
	Next string
}

// Gaps counts the rooms whose timeline in this answer has a gap.
func (s Synced) Gaps() int {
	return bytes.Count(s.Body, []byte(`"limited":true`)) + bytes.Count(s.Body, []byte(`"limited": true`))
}

// Sync makes one /sync. An empty since asks for everything; wait is how long the
// server may keep the request when there is no news.
// Spec: client-server-api/#get_matrixclientv3sync
func (c *Client) Sync(ctx context.Context, since, filter string, wait time.Duration) (Synced, error) {
	p := append(c.path[:0], "/_matrix/client/v3/sync?timeout="...)
	p = strconv.AppendInt(p, wait.Milliseconds(), 10)
	if since != "" {
		p = append(append(p, "&since="...), url.QueryEscape(since)...)
	}
	if filter != "" {
		p = append(append(p, "&filter="...), url.QueryEscape(filter)...)
	}
	c.path = p
	answer, err := c.raw(ctx, wire.Request{Method: "GET", Path: string(p), Timeout: wait + time.Minute})
	if err != nil {
		return Synced{}, err
	}
	next, ok := stringField(answer, "next_batch")
	if !ok {
		return Synced{}, errors.New("sync: no next_batch in the answer")
	}
	return Synced{Body: answer, Next: next}, nil
}

// UploadFilter stores a filter with this timeline limit, as clients do, and
// returns its id.
func (c *Client) UploadFilter(ctx context.Context, timeline int) (string, error) {
	in := map[string]any{"room": map[string]any{"timeline": map[string]any{"limit": timeline}}}
	var out struct {
		ID string `json:"filter_id"`
	}
	path := "/_matrix/client/v3/user/" + url.PathEscape(c.User.ID) + "/filter"
	err := Patiently(ctx, func() error { return c.Call(ctx, "POST", path, in, &out) })
	return out.ID, err
}
