package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"rempart/internal/egress"
	"rempart/internal/matrix"
)

// Delivery is a transaction for one server: events and ephemeral messages. It belongs to one goroutine at a time.
// Spec: server-server-api/#put_matrixfederationv1sendtxnid
type Delivery struct {
	From, To matrix.ServerName
	TxnID    string
	// Body is the whole transaction as canonical JSON: it is signed as it is.
	Body []byte

	place  place
	signed []byte         // the request as it is sent; nil: it is made when there is a connection
	posted *egress.Posted // it was sent, and its answer is to be read
}

// Prepare signs a delivery to which a connection is kept, and reports whether there is one. It waits for nobody.
// Why: signatures made one after the other cost half of what they do when hundreds of requests make them between their other work.
func (c *Client) Prepare(ctx context.Context, d *Delivery) bool {
	known := false
	if d.place, known = c.discovery.known(ctx, d.From, d.To); !known || !c.egress.Kept(d.place.pool) {
		return false
	}
	_, err := d.request(c)
	return err == nil
}

// Open opens a connection for a delivery, unless one is kept: what is to be stored before it can be stored meanwhile.
func (c *Client) Open(ctx context.Context, d *Delivery) error {
	ctx, cancel := context.WithTimeout(ctx, longTime)
	defer cancel()
	err := d.find(ctx, c)
	if err == nil {
		if err = c.egress.Ready(egress.To(ctx, d.place.target), d.place.pool); err != nil {
			c.discovery.failed(d.To)
		}
	}
	if err != nil {
		return fmt.Errorf("reach %s: %w", d.To, err)
	}
	return nil
}

// SendTransaction is [Client.Deliver] of a transaction that nobody prepared.
func (c *Client) SendTransaction(ctx context.Context, from, to matrix.ServerName, txnID string, body []byte) (map[matrix.EventID]string, error) {
	return c.Deliver(ctx, &Delivery{From: from, To: to, TxnID: txnID, Body: body})
}

// Post sends prepared deliveries, one after the other and without waiting for anybody; [Client.Deliver] waits for the answer to each, and sends what
// could not be sent so. When the context ends nobody waits any longer.
func (c *Client) Post(ctx context.Context, list []*Delivery) {
	v := c.egress.Volley(ctx, longTime)
	defer v.Done()
	for _, d := range list {
		if d.signed != nil {
			d.posted = v.Post(d.place.pool, d.signed)
		}
	}
}

// Deliver hands a delivery over, on a connection that is kept for the next; it may arrive twice. What the peer says about single events
// is given back: their refusals by id.
func (c *Client) Deliver(ctx context.Context, d *Delivery) (map[matrix.EventID]string, error) {
	if d.posted != nil {
		a, err := d.posted.Answer(plainAnswer)
		if d.posted = nil; !errors.Is(err, egress.ErrNoWord) || ctx.Err() != nil {
			return c.answered(d, a, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, longTime)
	defer cancel()
	if _, ok := c.keys.SigningKey(d.From); !ok {
		return nil, fmt.Errorf("%w: %s", errNoKey, d.From)
	}
	if d.signed == nil { // where it is may have changed since
		if err := d.find(ctx, c); err != nil {
			return nil, fmt.Errorf("ask %s: %w", d.To, err)
		}
	}
	a, err := c.egress.Exchange(egress.To(ctx, d.place.target), d.place.pool, func() ([]byte, error) { return d.request(c) }, plainAnswer)
	return c.answered(d, a, err)
}

// Glance is [Client.Deliver] where the answer is there already. It waits for nobody: over says that the delivery has ended, with refusals or an error
// as there. If it has not, an error says that somebody has to wait; without one it may be looked again.
func (c *Client) Glance(d *Delivery) (refused map[matrix.EventID]string, over bool, err error) {
	a, there, err := d.posted.Glance(plainAnswer)
	if !there {
		return nil, false, err
	}
	d.posted = nil
	refused, err = c.answered(d, a, nil)
	return refused, true, err
}

// Posted reports whether a delivery was sent and its answer is to be read.
func (d *Delivery) Posted() bool { return d.posted != nil }

// answered takes in how a delivery ended.
func (c *Client) answered(d *Delivery, a egress.Answer, err error) (refused map[matrix.EventID]string, _ error) {
	switch {
	case err != nil:
		c.discovery.failed(d.To)
	case a.Status/100 != http.StatusOK/100:
		err = refusalBy(d.To, a.Status, a.Body)
	default:
		refused, err = refusals(a.Body)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", d.To, err)
	}
	return refused, nil
}

// refusals reads what a peer says about single events.
func refusals(raw []byte) (map[matrix.EventID]string, error) {
	if !bytes.Contains(raw, []byte("error")) && json.Valid(raw) {
		return nil, nil // as almost always
	}
	var answer struct {
		PDUs map[matrix.EventID]struct {
			Error string `json:"error"`
		} `json:"pdus"`
	}
	if err := matrix.Decode(raw, &answer); err != nil {
		return nil, errors.Join(errNotJSON, err)
	}
	var refused map[matrix.EventID]string
	for id, r := range answer.PDUs {
		if r.Error != "" {
			if refused == nil {
				refused = map[matrix.EventID]string{}
			}
			refused[id] = r.Error
		}
	}
	return refused, nil
}

func (d *Delivery) find(ctx context.Context, c *Client) (err error) {
	d.place, err = c.discovery.find(ctx, d.From, d.To)
	return err
}

// request is the signed request as it is sent. Who cannot be reached costs no signature: it is made when there is a connection.
func (d *Delivery) request(c *Client) ([]byte, error) {
	if d.signed != nil {
		return d.signed, nil
	}
	key, ok := c.keys.SigningKey(d.From)
	if !ok {
		return nil, fmt.Errorf("%w: %s", errNoKey, d.From)
	}
	uri := path(v1+"send", d.TxnID)
	scratch, _ := c.scratch.Get().(*[]byte)
	if scratch == nil {
		scratch = new([]byte)
	}
	defer c.scratch.Put(scratch)
	*scratch = appendRequest((*scratch)[:0], http.MethodPut, uri, key.ServerName, d.To, d.Body)
	b := append(make([]byte, 0, len(d.Body)+768), "PUT "...)
	b = append(append(b, uri...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, d.place.host...), "\r\nUser-Agent: "...)
	b = append(append(b, c.agent...), "\r\nAuthorization: "...)
	b = append(appendAuthorization(b, key, d.To, *scratch), "\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(d.Body)), 10), "\r\n\r\n"...)
	d.signed = append(b, d.Body...)
	return d.signed, nil
}
