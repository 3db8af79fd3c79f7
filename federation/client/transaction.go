package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"rempart/internal/egress"
	"rempart/internal/matrix"
)

// SendTransaction delivers events and ephemeral messages; body is the whole transaction, ready as canonical JSON: it is signed as it is.
// What the peer says about single events is given back: their refusals by id. A transaction may arrive twice.
// Spec: server-server-api/#put_matrixfederationv1sendtxnid
func (c *Client) SendTransaction(ctx context.Context, from, to matrix.ServerName, txnID string, body []byte) (map[matrix.EventID]string, error) {
	ctx, cancel := context.WithTimeout(ctx, longTime)
	defer cancel()
	raw, err := c.deliver(ctx, from, to, path(v1+"send", txnID), body)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", to, err)
	}
	var answer struct {
		PDUs map[matrix.EventID]struct {
			Error string `json:"error"`
		} `json:"pdus"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, fmt.Errorf("ask %s: %w", to, errors.Join(errNotJSON, err))
	}
	refused := map[matrix.EventID]string{}
	for id, r := range answer.PDUs {
		if r.Error != "" {
			refused[id] = r.Error
		}
	}
	return refused, nil
}

// Ready opens a connection to a server for the next transaction, unless one is kept: what is to be stored before it can be stored meanwhile.
func (c *Client) Ready(ctx context.Context, from, to matrix.ServerName) error {
	ctx, cancel := context.WithTimeout(ctx, longTime)
	defer cancel()
	place, err := c.discovery.find(ctx, from, to)
	if err == nil {
		if err = c.egress.Ready(egress.To(ctx, place.target), place.pool); err != nil {
			c.discovery.failed(to)
		}
	}
	if err != nil {
		return fmt.Errorf("reach %s: %w", to, err)
	}
	return nil
}

// deliver puts a body and reads the answer, on a connection that is kept for the next. Who cannot be reached costs no signature.
func (c *Client) deliver(ctx context.Context, from, to matrix.ServerName, uri string, body []byte) ([]byte, error) {
	key, ok := c.keys.SigningKey(from)
	if !ok {
		return nil, fmt.Errorf("%w: %s", errNoKey, from)
	}
	place, err := c.discovery.find(ctx, from, to)
	if err != nil {
		return nil, err
	}
	var text []byte
	ask := func() ([]byte, error) {
		if text == nil {
			text = c.putText(key, to, place.host, uri, body)
		}
		return text, nil
	}
	res, err := c.egress.Exchange(egress.To(ctx, place.target), place.pool, ask, plainAnswer)
	if err != nil {
		c.discovery.failed(to)
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 != http.StatusOK/100 {
		return nil, remoteError(to, res)
	}
	return io.ReadAll(res.Body)
}

// putText is a signed request as it is sent.
func (c *Client) putText(key matrix.SigningKey, to matrix.ServerName, host, uri string, body []byte) []byte {
	header := authorization(key, to, requestText(http.MethodPut, uri, key.ServerName, to, body))
	b := append(make([]byte, 0, len(body)+len(header)+512), "PUT "...)
	b = append(append(b, uri...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, host...), "\r\nUser-Agent: "...)
	b = append(append(b, c.agent...), "\r\nAuthorization: "...)
	b = append(append(b, header...), "\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n\r\n"...)
	return append(b, body...)
}
