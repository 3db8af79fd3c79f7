package inbound

import (
	"context"
	"encoding/json"
	"sync"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// EDUs takes ephemeral messages of other servers. What is malformed or not understood is passed over.
type EDUs interface {
	HandleEDU(ctx context.Context, origin, ours matrix.ServerName, typ string, content json.RawMessage) error
}

// Bounds of a transaction. Spec: server-server-api/#transactions
const (
	maxPDUs        = 50
	maxEDUs        = 100
	maxTransaction = 16 << 20
	maxRemembered  = 10_000
	// maxReceiptRooms are the rooms that one message of receipts may be about. Why: a transaction has room for a million.
	maxReceiptRooms = 256
)

type transaction struct {
	PDUs []json.RawMessage `json:"pdus"`
	EDUs []struct {
		Type    string          `json:"edu_type"`
		Content json.RawMessage `json:"content"`
	} `json:"edus"`
}

type transactionAnswer struct {
	PDUs map[matrix.EventID]pduResult `json:"pdus"`
}

type pduResult struct {
	Error string `json:"error,omitempty"`
}

// answered remembers the last transaction of each server and what it was answered.
// Why only one: a server sends the next only when it has the answer to the last. Events that come again are known anyway.
type answered struct {
	mu   sync.Mutex
	last map[matrix.ServerName]lastAnswer
}

type lastAnswer struct {
	txn    string
	answer transactionAnswer
}

func (a *answered) find(server matrix.ServerName, txn string) (transactionAnswer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l, ok := a.last[server]
	return l.answer, ok && l.txn == txn
}

func (a *answered) keep(server matrix.ServerName, txn string, answer transactionAnswer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.last) >= maxRemembered {
		clear(a.last)
	}
	a.last[server] = lastAnswer{txn, answer}
}

// sendRoutes take transactions. Events are on disk when the sender is answered, and enter their rooms afterwards.
// Spec: server-server-api/#put_matrixfederationv1sendtxnid
func sendRoutes(r *httpx.Router, inbox *rooms.Inbox, edus EDUs) {
	seen := &answered{last: map[matrix.ServerName]lastAnswer{}}
	route := signed("sendTransaction")
	route.MaxBody = maxTransaction
	httpx.Handle(r, "PUT", "/_matrix/federation/v1/send/{txnID}", route,
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in transaction) (transactionAnswer, error) {
			a := transactionAnswer{PDUs: map[matrix.EventID]pduResult{}}
			if len(in.PDUs) > maxPDUs || len(in.EDUs) > maxEDUs {
				return a, matrix.BadJSON("A transaction holds at most 50 PDUs and 100 EDUs.")
			}
			if old, ok := seen.find(c.Server, p.Var("txnID")); ok {
				return old, nil
			}
			results, err := inbox.Take(ctx, c.Server, in.PDUs)
			if err != nil {
				return a, err
			}
			for id, err := range results {
				a.PDUs[id] = pduResult{}
				if err != nil {
					a.PDUs[id] = pduResult{matrix.AsError(err).Message}
				}
			}
			for _, e := range in.EDUs {
				if edus == nil {
					break
				}
				if e.Type == "m.receipt" {
					receiptsAfter(ctx, inbox, edus, c, e.Content)
					continue
				}
				if err := edus.HandleEDU(ctx, c.Server, c.Destination, e.Type, e.Content); err != nil {
					return a, err
				}
			}
			seen.keep(c.Server, p.Var("txnID"), a)
			return a, nil
		})
}

// receiptsAfter hands in receipts when the events that came with them are in their rooms: they may be about these.
// Spec: server-server-api/#receipts
func receiptsAfter(ctx context.Context, inbox *rooms.Inbox, edus EDUs, c matrix.Caller, content json.RawMessage) {
	var byRoom map[matrix.RoomID]json.RawMessage
	if matrix.Decode(content, &byRoom) != nil {
		return
	}
	n := 0
	for room, part := range byRoom {
		if n++; n > maxReceiptRooms {
			return
		}
		one, err := json.Marshal(map[matrix.RoomID]json.RawMessage{room: part})
		if err != nil {
			continue
		}
		inbox.After(ctx, c.Server, room, func(ctx context.Context) {
			// Why no error is told: a receipt that is lost is followed by the next.
			_ = edus.HandleEDU(ctx, c.Server, c.Destination, "m.receipt", one)
		})
	}
}
