package client

import (
	"context"
	"encoding/json"

	"rempart/internal/matrix"
)

// CallToken asks a server for a token of its media server, for one of our users; body and answer are the operation's own JSON.
// MSC4195
func (c *Client) CallToken(ctx context.Context, from, to matrix.ServerName, body []byte) (answer json.RawMessage, err error) {
	q := post(v1+"rtc/livekit/get_token", body).upTo(smallAnswer)
	return answer, c.call(ctx, from, to, q, &answer)
}
