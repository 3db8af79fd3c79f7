package sync

import (
	"rempart/internal/matrix"
	"rempart/storage"
)

// maxLazy bounds how many members are remembered as known to one device; beyond it all are forgotten and sent again.
const maxLazy = 4096

// device is what the hub remembers of a device that syncs. It is guarded by hub.mu.
type device struct {
	// sent is the position of the last message to the device in an answer; 0 when none waits for its proof.
	sent int64
	keys *keyCounts // nil: to be read
	// lazy says with which token a member was sent: known to the device once it shows that one or a later.
	lazy map[lazyKey]int64
}

// lazyKey names a member of a room by the number of the state key.
type lazyKey struct{ room, key int64 }

// keyCounts is what a device has left of keys to be claimed.
type keyCounts struct{ json []byte }

// device is the entry of one of the user's devices; hub.mu is held.
func (u *hubUser) device(nid int64) *device {
	d := u.devices[nid]
	if d == nil {
		d = &device{}
		u.devices[nid] = d
	}
	return d
}

func (d *device) know(k lazyKey, pos int64) {
	if d.lazy == nil || len(d.lazy) >= maxLazy {
		d.lazy = map[lazyKey]int64{}
	}
	d.lazy[k] = pos
}

// writeToDevice writes the messages for the device. Those of an answer stay in storage until the next token proves that it
// arrived. Spec: client-server-api/#extensions-to-sync
func (b *build) writeToDevice() error {
	b.toDevice = b.head
	if b.c.DeviceNID == 0 || !b.initial && b.knownUser && b.facts.toDevice <= b.from.ToDevice && b.from.ToDevice >= b.u.since {
		return nil
	}
	list, err := b.s.db.ListToDevice(b.ctx, b.c.DeviceNID, b.from.ToDevice, b.head, maxToDevice)
	if err != nil || len(list) == 0 {
		return err
	}
	b.appendToDevice(list)
	b.out = append(b.out, `},`...)
	b.received = list[len(list)-1].Pos
	if !b.knownUser || b.facts.toDevice > b.received {
		b.toDevice = b.received // what comes behind it is for the next sync
	}
	b.found = true
	return nil
}

// appendToDevice begins the part about messages for the device, which both ways of syncing have, and writes these.
func (b *build) appendToDevice(list []storage.ToDevice) {
	b.out = append(b.out, `"to_device":{"events":[`...)
	for _, m := range list {
		b.out = matrix.AppendJSONString(append(b.out, `{"type":`...), m.Type)
		b.out = matrix.AppendJSONString(append(b.out, `,"sender":`...), m.Sender)
		b.out = append(append(append(b.out, `,"content":`...), m.Content...), `},`...)
	}
	b.endList()
}

// maxToDevice bounds the messages of one answer.
const maxToDevice = 100
