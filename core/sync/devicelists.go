package sync

import (
	"slices"
	"strconv"

	"rempart/internal/matrix"
)

// writeDeviceLists writes whose keys the client must ask for anew, and of whom it will hear no more.
// Spec: client-server-api/#tracking-the-device-list-for-a-user
func (b *build) writeDeviceLists() error {
	if b.initial {
		return nil // the client has no keys yet
	}
	changed, left := map[int64]bool{}, map[int64]bool{}
	if !b.knownUser || b.facts.lists > b.from.Pos {
		nids, err := b.s.db.ListDeviceListChanges(b.ctx, b.u.nid, b.from.Pos, b.head)
		if err != nil {
			return err
		}
		note(changed, nids)
	}
	for _, v := range b.moved {
		if err := b.metAnew(v, changed, left); err != nil {
			return err
		}
	}
	if b.parted {
		nids, err := b.s.db.ListParted(b.ctx, b.u.nid, b.from.Pos, b.head)
		if err != nil {
			return err
		}
		note(left, nids)
	}
	for nid := range changed {
		delete(left, nid)
	}
	if len(changed)+len(left) == 0 {
		return nil
	}
	b.out = append(b.out, `"device_lists":{`...)
	if err := b.writeUsers("changed", changed); err != nil {
		return err
	}
	if err := b.writeUsers("left", left); err != nil {
		return err
	}
	b.closeObject()
	b.found = true
	return nil
}

func note(set map[int64]bool, nids []int64) {
	for _, n := range nids {
		set[n] = true
	}
}

// metAnew notes who came into a room of the user, or whose room he came into, and who went.
func (b *build) metAnew(v *roomView, changed, left map[int64]bool) error {
	if v.newly {
		mine := changed[b.u.nid] // Why kept: his other devices must know that his keys go to more servers
		nids, err := b.s.db.ListJoinedUsers(b.ctx, v.room)
		note(changed, nids)
		if !mine {
			delete(changed, b.u.nid)
		}
		return err
	}
	if v.members <= b.from.Pos {
		return nil
	}
	changes, err := b.s.db.ListStateChanges(b.ctx, v.room, b.from.Pos, b.head)
	if err != nil {
		return err
	}
	for _, c := range changes {
		t, err := b.s.db.GetStateTuple(b.ctx, c.StateKey)
		if err != nil {
			return err
		}
		if t.Type != "m.room.member" || t.Key == string(b.c.User) {
			continue
		}
		was, is, err := b.memberships(c.Old, c.New)
		if err != nil {
			return err
		}
		switch {
		case was == "join" && is == "join":
			err = b.noteStayed(v, c.StateKey, matrix.UserID(t.Key), changed)
		case was == "join" || is == "join":
			err = b.noteMember(matrix.UserID(t.Key), is == "join", changed, left)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// noteStayed notes a member whose event changed. Perhaps he was away in between, and nobody told the user of his devices: not even of
// what changed before he went, if that was looked for while he was away.
func (b *build) noteStayed(v *roomView, key int64, user matrix.UserID, changed map[int64]bool) error {
	nid, err := b.s.db.FindUserNID(b.ctx, user)
	if err != nil {
		return err
	}
	pos, err := b.s.db.DeviceListPos(b.ctx, nid)
	if err != nil {
		return err
	}
	events, err := b.s.db.ListStateEventsSince(b.ctx, v.room, key, b.from.Pos, b.head)
	if pos > b.from.Pos || len(events) > 1 {
		changed[nid] = true
	}
	return err
}

// noteMember notes who came into a room, or went.
func (b *build) noteMember(user matrix.UserID, is bool, changed, left map[int64]bool) error {
	nid, err := b.s.db.FindUserNID(b.ctx, user)
	if err != nil {
		return err
	}
	if is {
		changed[nid] = true
		return nil
	}
	shared, err := b.s.db.ShareRoom(b.ctx, b.u.nid, nid)
	if !shared {
		left[nid] = true
	}
	return err
}

// memberships reads what two member events say; "" for none.
func (b *build) memberships(old, now int64) (was, is string, err error) {
	for _, part := range [...]struct {
		nid int64
		to  *string
	}{{old, &was}, {now, &is}} {
		if part.nid == 0 {
			continue
		}
		events, err := b.s.rooms.Events(b.ctx, []int64{part.nid})
		if err != nil {
			return "", "", err
		}
		if len(events) > 0 {
			*part.to = events[0].Membership()
		}
	}
	return was, is, nil
}

func (b *build) writeUsers(name string, users map[int64]bool) error {
	nids := make([]int64, 0, len(users))
	for nid := range users {
		nids = append(nids, nid)
	}
	slices.Sort(nids)
	b.out = append(append(append(b.out, '"'), name...), `":[`...)
	for _, nid := range nids {
		id, err := b.s.db.GetUserID(b.ctx, nid)
		if err != nil {
			return err
		}
		if b.hears(id, eduDevices) {
			b.out = append(matrix.AppendJSONString(b.out, id), ',')
		}
	}
	b.endList()
	b.out = append(b.out, ',')
	return nil
}

// writeKeyCounts writes how many keys the device has left. Why in each answer: clients take a missing count for zero.
// Spec: client-server-api/#e2e-extensions-to-sync
func (b *build) writeKeyCounts() error {
	if b.c.DeviceNID == 0 {
		return nil
	}
	if b.keys == nil {
		if err := b.countKeys(); err != nil {
			return err
		}
	}
	b.out = append(b.out, b.keys.json...)
	if b.facts.keyCount > b.from.Pos {
		b.found = true
	}
	return nil
}

func (b *build) countKeys() error {
	counts, err := b.s.db.CountOneTimeKeys(b.ctx, b.c.DeviceNID)
	if err != nil {
		return err
	}
	fallback, err := b.s.db.ListUnusedFallback(b.ctx, b.c.DeviceNID)
	if err != nil {
		return err
	}
	counts["signed_curve25519"] += 0 // named even when there is none, so that clients upload some
	algorithms := make([]string, 0, len(counts))
	for alg := range counts {
		algorithms = append(algorithms, alg)
	}
	slices.Sort(algorithms)
	out := append([]byte(nil), `"device_one_time_keys_count":{`...)
	for i, alg := range algorithms {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(append(matrix.AppendJSONString(out, alg), ':'), counts[alg], 10)
	}
	list := []byte{'['}
	for i, alg := range fallback {
		if i > 0 {
			list = append(list, ',')
		}
		list = matrix.AppendJSONString(list, alg)
	}
	list = append(list, `],`...)
	out = append(append(out, `},"device_unused_fallback_key_types":`...), list...)
	out = append(append(out, `"org.matrix.msc2732.device_unused_fallback_key_types":`...), list...)
	b.keys = &keyCounts{out}
	b.s.hub.mu.Lock()
	defer b.s.hub.mu.Unlock()
	if b.u.keyCount == b.facts.keyCount {
		b.u.device(b.c.DeviceNID).keys = b.keys
	}
	return nil
}
