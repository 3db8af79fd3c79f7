package sync

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"rempart/core/push"
	"rempart/core/threads"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Bits of the extensions about the user himself.
const (
	userAccount = 1 << iota
	userThreads
)

// globalBits says which extensions about the user are on.
func (b *slidingBuild) globalBits() (bits uint8) {
	if b.r.q.Extensions.account.enabled {
		bits |= userAccount
	}
	if b.r.q.Extensions.threads.enabled {
		bits |= userThreads
	}
	return bits
}

// roomExtensions gathers what the extensions tell of a room that the user is in.
func (b *slidingBuild) roomExtensions(x *slidingRoom) error {
	since := func(bit uint8) int64 {
		if x.fresh&bit != 0 {
			return 0
		}
		return x.since
	}
	if x.config.ext&withReceipts != 0 {
		if err := b.into(&b.receipts, x, func() error { return b.slidingReceipts(x, since(withReceipts)) }); err != nil {
			return err
		}
	}
	if x.config.ext&withAccount != 0 {
		if err := b.into(&b.accounts, x, func() error { return b.slidingAccount(x, since(withAccount)) }); err != nil {
			return err
		}
	}
	if x.config.ext&withTyping != 0 && (b.typed[x.room] || b.typedBefore(x)) {
		return b.into(&b.typing, x, func() error { b.writeTyping(x.v); return nil })
	}
	return nil
}

// typedBefore reports whether the client does not know who types in a room though that has not changed: since the room is new to it, or since it was
// out of it and may have seen somebody type before.
func (b *slidingBuild) typedBefore(x *slidingRoom) bool {
	return (x.initial || x.fresh&withTyping != 0) && (len(x.v.typists) > 0 || x.v.typed > 0 && !b.initial)
}

// into has fn write to a part of the answer, under the room's id. What fn writes is one value with a comma, or nothing.
func (b *slidingBuild) into(part *[]byte, x *slidingRoom, fn func() error) error {
	whole := b.out
	b.out = append(matrix.AppendJSONString(*part, x.v.r.ID()), ':')
	start := len(b.out)
	err := fn()
	if len(b.out) > start {
		*part, b.found = b.out, true
	}
	b.out = whole
	return err
}

// slidingReceipts writes the receipts that moved; of a room that is new, the user's own and those at what he is shown.
func (b *slidingBuild) slidingReceipts(x *slidingRoom, since int64) error {
	if since > 0 {
		b.from.Pos, x.v.newly = since, false
		return b.writeReceipts(x.v)
	}
	own, err := b.ownReceipts(x.room)
	if err != nil {
		return err
	}
	rows := slices.Clone(own)
	if len(x.t.lines) > 0 {
		shown, err := b.receiptsBehind(x.room, x.t.start()+1)
		if err != nil {
			return err
		}
		for _, r := range shown {
			if r.User != b.u.nid {
				rows = append(rows, r)
			}
		}
	}
	return b.writeReceiptRows(rows)
}

// slidingAccount writes the user's own data for a room that was set since.
func (b *slidingBuild) slidingAccount(x *slidingRoom, since int64) error {
	if since > 0 && since >= b.u.since && b.facts.account <= since {
		return nil
	}
	list, err := b.ownData(x.room)
	if err != nil {
		return err
	}
	if since == 0 && b.initial {
		list = withoutDeleted(list)
	}
	b.writeDataList(list, since)
	return nil
}

// writeDataList writes data as a list with a comma behind it; nothing when none is newer than since.
func (b *slidingBuild) writeDataList(list []storage.AccountData, since int64) {
	start := len(b.out)
	b.out = append(b.out, '[')
	for _, d := range list {
		if d.Pos > since || d.Pos == 0 {
			b.out = matrix.AppendJSONString(append(b.out, `{"type":`...), d.Type)
			b.out = append(append(append(b.out, `,"content":`...), d.Content...), `},`...)
		}
	}
	if len(b.out) == start+1 {
		b.out = b.out[:start]
		return
	}
	b.endList()
	b.out = append(b.out, ',')
}

// writeExtensions writes all parts of the extensions.
func (b *slidingBuild) writeExtensions() error {
	x := &b.r.q.Extensions
	for _, part := range [...]struct {
		on    bool
		write func() error
	}{
		{x.toDevice.enabled, b.extToDevice}, {x.e2ee, b.extE2EE}, {x.account.enabled, b.extAccount},
		{x.receipts.enabled, func() error { b.extRooms("receipts", b.receipts); return nil }},
		{x.typing.enabled, func() error { b.extRooms("typing", b.typing); return nil }},
		{x.threads.enabled, b.extThreads}, {x.sticky.enabled, b.extSticky},
	} {
		if part.on {
			if err := part.write(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *slidingBuild) extRooms(name string, part []byte) {
	if len(part) == 0 {
		return
	}
	b.out = append(append(append(b.out, '"'), name...), `":{"rooms":{`...)
	b.out = append(b.out, part...)
	b.closeObject()
	b.closeObject()
}

// extE2EE writes lists of devices and numbers of keys. MSC3884
func (b *slidingBuild) extE2EE() error {
	for _, v := range b.moved {
		if v.pos > b.from.Pos {
			if _, err := b.enter(v); err != nil {
				return err
			}
		}
	}
	b.parted = b.facts.membership > b.from.Pos || !b.knownUser
	return b.group("e2ee", func() error {
		if err := b.writeDeviceLists(); err != nil {
			return err
		}
		return b.writeKeyCounts()
	})
}

// extAccount writes the user's own data: global, and for rooms.
func (b *slidingBuild) extAccount() error {
	list, err := b.globalAccount()
	if err != nil {
		return err
	}
	return b.group("account_data", func() error {
		start := len(b.out)
		b.out = append(b.out, `"global":`...)
		if b.writeDataList(list, 0); len(b.out) == start+len(`"global":`) {
			b.out = b.out[:start]
		} else {
			b.found = true
		}
		if len(b.accounts) > 0 {
			b.out = append(append(b.out, `"rooms":{`...), b.accounts...)
			b.closeObject()
		}
		return nil
	})
}

// globalAccount is what of the user's global data is new; all of it when the extension was off before.
func (b *slidingBuild) globalAccount() ([]storage.AccountData, error) {
	if !b.initial && b.conn.ext&userAccount != 0 {
		if b.knownUser && b.facts.account <= b.from.Pos {
			return nil, nil
		}
		list, err := b.s.db.ListAccountData(b.ctx, b.u.nid, b.from.Pos, b.head)
		var out []storage.AccountData
		for _, d := range list {
			if d.Room == 0 {
				out = append(out, d)
			}
		}
		return out, err
	}
	list, err := b.s.db.ListRoomAccountData(b.ctx, b.u.nid, 0)
	if b.initial { // Why not where the extension was off: it may have been on at another node, or before a crash
		list = withoutDeleted(list)
	}
	if err != nil || has(list, pushRules) {
		return list, err
	}
	content, err := push.ContentOf(push.Defaults(string(b.c.User)))
	return append(list, storage.AccountData{Type: pushRules, Content: content}), err
}

// extThreads writes what the user said of threads: the newest, and where to go on reading for the others. MSC4308
func (b *slidingBuild) extThreads() error {
	after := b.from.Pos
	if b.initial || b.conn.ext&userThreads == 0 {
		after = 0
	} else if b.knownUser && b.lastOwn <= after {
		return nil
	}
	page, err := b.s.threads.Changes(b.ctx, b.u.nid, after, b.head, b.r.q.Extensions.threads.limit)
	if err != nil || len(page.Subscribed)+len(page.Unsubscribed) == 0 {
		return err
	}
	part := struct {
		*threads.Page
		Prev string `json:"prev_batch,omitempty"`
	}{Page: page}
	if page.Older > after {
		part.Prev = strconv.FormatInt(page.Older, 10)
	}
	raw, err := json.Marshal(part)
	if err != nil {
		return err
	}
	b.out = append(append(append(append(b.out, '"'), b.r.q.Extensions.threads.name...), `":`...), raw...)
	b.out = append(b.out, ',')
	b.found = true
	return nil
}

// tookToDevice forgets the messages that the extension's token proves the device has. MSC3885
func (s *Service) tookToDevice(ctx context.Context, c *matrix.Caller, u *hubUser, q *SlidingRequest) error {
	x := &q.Extensions.toDevice
	if !x.enabled || x.since == "" {
		return nil
	}
	t, err := matrix.ParseSyncToken(x.since)
	if err != nil {
		return err
	}
	if t.Epoch != s.db.Epoch() {
		return nil
	}
	return s.received(ctx, c, u, t.ToDevice)
}

// extToDevice writes messages for the device, which has its own place in them. MSC3885
func (b *slidingBuild) extToDevice() error {
	x := &b.r.q.Extensions.toDevice
	after, upto := int64(0), b.head
	if t, err := matrix.ParseSyncToken(x.since); err == nil && t.Epoch == b.s.db.Epoch() {
		after = t.ToDevice
	}
	var list []storage.ToDevice
	var err error
	if b.c.DeviceNID != 0 && (after == 0 || after < b.u.since || b.facts.toDevice > after) {
		if list, err = b.s.db.ListToDevice(b.ctx, b.c.DeviceNID, after, b.head, x.limit); err != nil {
			return err
		}
	}
	b.appendToDevice(list)
	if len(list) > 0 {
		b.found = true
		b.received = list[len(list)-1].Pos
		upto = b.received
	}
	upto = max(upto, after)
	b.out = append(append(b.out, `,"next_batch":"`...), matrix.SyncToken{Epoch: b.s.db.Epoch(), Pos: upto, ToDevice: upto}.String()...)
	b.out = append(b.out, `"},`...)
	return nil
}
