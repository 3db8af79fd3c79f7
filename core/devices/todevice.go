package devices

import (
	"context"
	"encoding/json"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

const (
	// maxMessage bounds the content of a message to a device.
	maxMessage = 64 << 10
	// maxType bounds its type, maxTxn a transaction id.
	maxType = 255
	maxTxn  = 255
	// maxRecipients bounds the devices that one request reaches.
	maxRecipients = 10_000
)

// Messages are contents by user and device; the device "*" stands for all devices of the user.
type Messages map[matrix.UserID]map[matrix.DeviceID]json.RawMessage

// errRepeated says that a transaction id has been used.
var errRepeated = errors.New("devices: this transaction was done before")

// SendToDevice queues messages for devices until they prove receipt. A repeated transaction does nothing; users and
// devices that do not exist are passed over. Spec: client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid
func (s *Service) SendToDevice(ctx context.Context, c matrix.Caller, typ, txn string, messages Messages) error {
	if len(typ) > maxType || len(txn) > maxTxn {
		return matrix.InvalidParam("The event type and the transaction id may have at most 255 bytes.")
	}
	if c.ShadowBanned { // his own devices are all that he reaches
		messages = Messages{c.User: messages[c.User]}
	}
	device := c.DeviceNID
	if device == 0 {
		device = -c.UserNID // Why: a token without a device still has its own transactions
	}
	change := &storage.Change{}
	change.Guard(storage.InsertTransaction(storage.TransactionRow{
		Device: device, Endpoint: matrix.Hash64("sendToDevice/" + typ), TxnID: txn, TS: s.now().UnixMilli(),
	}).OrElse(errRepeated))
	messages = s.addressWithin(ctx, change, c.User, typ, messages)
	if err := s.addressOutside(change, c.User, typ, messages); err != nil {
		return err
	}
	if err := s.address(ctx, change, c.User, typ, messages); err != nil {
		return err
	}
	err := s.db.Commit(ctx, change)
	if errors.Is(err, errRepeated) {
		return nil
	}
	return err
}

// address adds the messages for devices of our users to the Change.
func (s *Service) address(ctx context.Context, change *storage.Change, sender matrix.UserID, typ string, messages Messages) error {
	for _, byDevice := range messages {
		if err := checkMessages(byDevice); err != nil {
			return err
		}
	}
	users, lists, err := findDevices(ctx, s, messages)
	if err != nil {
		return err
	}
	for nid, list := range lists {
		if err := addMessages(change, sender, typ, nid, list, messages[users[nid]]); err != nil {
			return err
		}
	}
	return nil
}

func checkMessages(byDevice map[matrix.DeviceID]json.RawMessage) error {
	for _, content := range byDevice {
		if len(content) > maxMessage {
			return matrix.TooLarge("A message to a device may have at most 64 KiB.")
		}
		if len(content) == 0 || content[0] != '{' {
			return matrix.BadJSON("The content of a message to a device must be an object.")
		}
	}
	return nil
}

// addMessages adds the messages for the devices of one user.
func addMessages(change *storage.Change, sender matrix.UserID, typ string, user int64, devices []storage.DeviceName,
	byDevice map[matrix.DeviceID]json.RawMessage,
) error {
	live := 0
	for _, d := range devices {
		content, ok := byDevice[d.ID]
		if !ok {
			content, ok = byDevice["*"]
		}
		if !ok {
			continue
		}
		if live == 0 {
			live = change.Live(storage.Live{Kind: storage.KindToDevice, User: user}) + 1
		}
		if len(change.Rows) >= maxRecipients {
			return matrix.TooLarge("One request may reach at most 10,000 devices: send several.")
		}
		change.Add(&storage.ToDeviceRow{At: storage.At{Live: live}, Device: d.NID, Sender: string(sender), Type: typ, Content: content})
	}
	return nil
}
