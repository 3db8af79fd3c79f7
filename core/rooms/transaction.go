package rooms

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Transaction is a client's transaction id, as it is remembered.
type Transaction = storage.TransactionRow

// NewTransaction is the row by which a repeated request is known again: same device, same path, same id.
// The event and the time are filled in when the event is made.
// Spec: client-server-api/#transaction-identifiers
func NewTransaction(device int64, room matrix.RoomID, path, id string) *Transaction {
	sum := sha256.Sum256([]byte(string(room) + "\x00" + path))
	// Why a copy: the id is a part of the request's path, all of which would be kept for as long as the id is.
	return &Transaction{Device: device, Endpoint: int64(binary.BigEndian.Uint64(sum[:8])), TxnID: strings.Clone(id)}
}
