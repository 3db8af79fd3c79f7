package rooms

import (
	"crypto/sha256"
	"encoding/binary"

	"rempart/internal/matrix"
	"rempart/storage"
)

// NewTransaction is the row by which a repeated request is known again: same device, same path, same id.
// The event and the time are filled in when the event is made.
// Spec: client-server-api/#transaction-identifiers
func NewTransaction(device int64, room matrix.RoomID, path, id string) *storage.TransactionRow {
	sum := sha256.Sum256([]byte(string(room) + "\x00" + path))
	return &storage.TransactionRow{Device: device, Endpoint: int64(binary.BigEndian.Uint64(sum[:8])), TxnID: id}
}
