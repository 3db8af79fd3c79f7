package rooms

import (
	"testing"
	"unsafe"
)

// TestATransactionKeepsNoPath shows that the id of a transaction, which is kept for long, does not keep the path of its request.
func TestATransactionKeepsNoPath(t *testing.T) {
	path := "/_matrix/client/v3/rooms/!r:example.org/send/m.room.message/t1"
	id := path[len(path)-2:]
	kept := NewTransaction(1, "!r:example.org", "send/m.room.message", id).TxnID
	if kept != id {
		t.Fatalf("the id became %q", kept)
	}
	if unsafe.StringData(kept) == unsafe.StringData(id) {
		t.Error("the id is a part of the path still")
	}
}
