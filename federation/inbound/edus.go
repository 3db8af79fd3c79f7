package inbound

import (
	"context"
	"encoding/json"

	"rempart/core/devices"
	"rempart/core/sync"
	"rempart/internal/matrix"
)

// Ephemeral hands the messages of other servers to those whom they concern. Unknown kinds are passed over.
// Spec: server-server-api/#edus
type Ephemeral struct {
	Sync    *sync.Service
	Devices *devices.Service
	// Admit reports whether a server may tell one of ours a message of a type; nil: any.
	Admit func(from, ours matrix.ServerName, typ string) bool
}

var _ EDUs = Ephemeral{}

// HandleEDU takes one message, which is for one of our servers.
func (e Ephemeral) HandleEDU(ctx context.Context, origin, ours matrix.ServerName, typ string, content json.RawMessage) error {
	if e.Admit != nil && !e.Admit(origin, ours, typ) {
		return nil
	}
	switch typ {
	case "m.typing":
		return e.Sync.HandleTyping(ctx, origin, content)
	case "m.receipt":
		return e.Sync.HandleReceipts(ctx, origin, content)
	case "m.presence":
		return e.Sync.HandlePresence(ctx, origin, content)
	case "m.direct_to_device":
		return e.Devices.ReceiveToDevice(ctx, origin, ours, content)
	case "m.device_list_update":
		return e.Devices.ReceiveDeviceUpdate(ctx, origin, content)
	case "m.signing_key_update", "org.matrix.signing_key_update":
		return e.Devices.ReceiveSigningUpdate(ctx, origin, content)
	}
	return nil
}
