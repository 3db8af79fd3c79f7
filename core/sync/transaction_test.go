package sync_test

import (
	"encoding/json"
	"testing"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

// A transaction id is told to the device that sent the event, and to nobody else: by who wrote the event, by another process that reads it, and
// of an event that is redacted by then. Spec: client-server-api/#definition-clientevent, transaction_id
func TestOnlyTheSendingDeviceSeesItsTransactionID(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		second := alice.otherDevice()
		for _, c := range []*client{alice, second, bob} {
			c.next()
		}
		said, redacted := alice.sayAs(room, "m1"), alice.sayAs(room, "m2")
		if _, err := r.rooms.Redact(ctx, rooms.SendRequest{Room: room, Sender: alice.id()}, redacted, ""); err != nil {
			t.Fatal(err)
		}
		for _, at := range []*rig{r, newRig(t, url)} { // the second reads what the first remembers
			for _, c := range []*client{alice, second, bob} {
				want := map[matrix.EventID]any{said: nil, redacted: nil}
				if c == alice {
					want = map[matrix.EventID]any{said: "m1", redacted: "m2"}
				}
				for _, e := range c.on(at).ask(syncing.Request{}).joined(room).Timeline.Events {
					if txn, sent := want[e.ID]; sent && e.Unsigned["transaction_id"] != txn {
						t.Errorf("%s of %s is shown %v as the transaction id, want %v", c.caller.Device, c.id(), e.Unsigned["transaction_id"], txn)
					}
				}
			}
		}
	})
}

// otherDevice is the same user at a further device.
func (c *client) otherDevice() *client {
	c.t.Helper()
	nid, err := c.db.NewID(ctx, storage.DeviceNIDs)
	change := &storage.Change{}
	change.Guard(storage.InsertDevice(storage.Device{NID: nid, User: c.caller.UserNID, ID: "SECOND"}, &nid))
	if err == nil {
		err = c.db.Commit(ctx, change)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	second := *c
	second.caller.Device, second.caller.DeviceNID = "SECOND", nid
	return &second
}

// sayAs sends a message with a transaction id.
func (c *client) sayAs(room *rooms.Room, txn string) matrix.EventID {
	c.t.Helper()
	raw, _ := json.Marshal(object{"msgtype": "m.text", "body": txn})
	id, err := c.rooms.Send(ctx, rooms.SendRequest{Room: room, Sender: c.id(), Type: "m.room.message", Content: raw,
		Txn: rooms.NewTransaction(c.caller.DeviceNID, room.ID(), "send", txn)})
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}
