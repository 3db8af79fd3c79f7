package courier

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// flight is what a transaction holds, as it is stored while it is under way. Events are named by number: with the time of the first
// attempt they are written the same way again. Spec: application-service-api/#pushing-events
type flight struct {
	TS        int64             `json:"ts"`
	Events    []int64           `json:"events,omitempty"`
	Ephemeral []json.RawMessage `json:"ephemeral,omitempty"`
	ToDevice  []json.RawMessage `json:"to_device,omitempty"`
	// Drop are the messages of ToDevice as they are stored.
	Drop     []drop                                                 `json:"drop,omitempty"`
	Changed  []matrix.UserID                                        `json:"changed,omitempty"`
	Left     []matrix.UserID                                        `json:"left,omitempty"`
	Counts   map[matrix.UserID]map[matrix.DeviceID]map[string]int64 `json:"counts,omitempty"`
	Fallback map[matrix.UserID]map[matrix.DeviceID][]string         `json:"fallback,omitempty"`

	before []int64 // positions right before the events
	size   int     // bytes of the events, and of what else is large, about
}

// drop names a message for a device.
type drop struct{ Device, Pos, Part int64 }

func (f *flight) empty() bool {
	return len(f.Events)+len(f.Ephemeral)+len(f.ToDevice)+len(f.Changed)+len(f.Left)+len(f.Counts) == 0
}

func readFlight(raw []byte) (*flight, error) {
	f := &flight{}
	if err := matrix.Decode(raw, f); err != nil {
		return nil, fmt.Errorf("read the transaction for an application service: %w", err)
	}
	return f, nil
}

// prepare gives a service its transaction: the one under way, or a new one. It reports false when there is nothing to tell.
func (p *dispatch) prepare(ctx context.Context, l *link) (bool, error) {
	if l.Txn != "" {
		f, err := readFlight(l.Flight)
		if err != nil {
			return false, err
		}
		return true, p.encode(ctx, l, f)
	}
	f := &flight{TS: p.Clock().UnixMilli()}
	pos, err := p.takeEvents(ctx, l, f)
	if err != nil {
		return false, err
	}
	if pos, err = p.cut(ctx, l, f, pos); err != nil {
		return false, err
	}
	lists := l.Lists
	if l.of.Encryption {
		if lists, err = p.takeEncryption(ctx, l, f); err != nil {
			return false, err
		}
	}
	f.Ephemeral = l.takeTold(maxEphemeral)
	if f.empty() {
		l.Pos, l.Lists = pos, lists // nothing of it was for that service
		p.unsaved[l] = true
		return false, nil
	}
	if l.Flight, err = json.Marshal(f); err != nil {
		return false, err
	}
	l.Txn, l.FlightPos, l.FlightLists = rand.Text()[:16], pos, lists
	p.unsaved[l] = true
	return true, p.encode(ctx, l, f)
}

// takeEvents reads the next rows of the outbox that are for a service, and how far that leads.
func (p *dispatch) takeEvents(ctx context.Context, l *link, f *flight) (int64, error) {
	pos := l.Pos
	p.mu.Lock()
	upto := max(p.upto, p.DB.Position())
	p.mu.Unlock()
	for l.rows {
		rows, err := p.DB.ListAppserviceOutbox(ctx, pos, upto, pageSize)
		if err != nil {
			return 0, err
		}
		for _, row := range rows {
			if slices.Contains(row.Services, l.Number) {
				if len(f.Events) == maxEvents {
					return pos, nil
				}
				f.Events = append(f.Events, row.Event)
				f.before = append(f.before, pos)
			}
			pos = row.Pos // an event has a position of its own
		}
		if l.rows = len(rows) == pageSize; !l.rows {
			pos = upto
		}
	}
	return pos, nil
}

// cut leaves the last events for the next transaction where all would be too large, and tells how far those lead that stay. One
// event is always left.
func (p *dispatch) cut(ctx context.Context, l *link, f *flight, pos int64) (int64, error) {
	events, err := p.Rooms.Events(ctx, f.Events)
	if err != nil {
		return 0, err
	}
	sizes := make(map[int64]int, len(events))
	for _, e := range events {
		sizes[e.Row.NID] = len(e.JSON)
		if e.IsState() {
			sizes[e.Row.NID] *= 2 // with what it replaced
		}
	}
	for i, nid := range f.Events {
		if f.size+sizes[nid] > maxBody && i > 0 {
			f.Events, l.rows = f.Events[:i], true
			return f.before[i], nil
		}
		f.size += sizes[nid]
	}
	return pos, nil
}

// encode makes the body of a transaction. Spec: application-service-api/#put_matrixappv1transactionstxnid
func (p *dispatch) encode(ctx context.Context, l *link, f *flight) error {
	b := append(make([]byte, 0, 4096), `{"events":[`...)
	events, err := p.Rooms.Events(ctx, f.Events)
	if err != nil {
		return err
	}
	for i, e := range events {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = p.render(ctx, b, e, f.TS); err != nil {
			return err
		}
	}
	b = append(b, ']')
	b = appendList(b, "ephemeral", f.Ephemeral)
	if l.of.OldEphemeral {
		b = appendList(b, "de.sorunome.msc2409.ephemeral", f.Ephemeral)
	}
	// Why the older names only: these parts are not specified yet, and all who take them know them by these. MSC2409, MSC3202
	b = appendList(b, "de.sorunome.msc2409.to_device", f.ToDevice)
	for _, part := range []struct {
		name  string
		there bool
		value any
	}{
		{"org.matrix.msc3202.device_lists", len(f.Changed)+len(f.Left) > 0, map[string]any{"changed": orEmpty(f.Changed), "left": orEmpty(f.Left)}},
		{"org.matrix.msc3202.device_one_time_keys_count", len(f.Counts) > 0, f.Counts},
		{"org.matrix.msc3202.device_unused_fallback_key_types", len(f.Counts) > 0, f.Fallback},
	} {
		if !part.there {
			continue
		}
		raw, err := json.Marshal(part.value)
		if err != nil {
			return err
		}
		b = append(append(append(append(b, `,"`...), part.name...), `":`...), raw...)
	}
	l.body = append(b, '}')
	return nil
}

func orEmpty(list []matrix.UserID) []matrix.UserID {
	if list == nil {
		return []matrix.UserID{}
	}
	return list
}

func appendList(b []byte, name string, list []json.RawMessage) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":[`...)
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, e...)
	}
	return append(b, ']')
}

// render appends an event as clients get it, with what it replaced: bridges compare.
func (p *dispatch) render(ctx context.Context, b []byte, e *rooms.Stored, now int64) ([]byte, error) {
	u := rooms.Unsigned{Age: max(0, now-e.OriginServerTS), ShowPrev: true}
	if e.IsState() && e.Row.Branch >= 0 {
		room, err := p.Rooms.RoomByNID(ctx, e.Row.Room)
		if err != nil {
			return nil, err
		}
		if u.Prev, err = p.Rooms.KeyAt(ctx, room, e.Before(), e.Tuple()); err != nil {
			return nil, err
		}
	}
	if e.Membership() == "invite" {
		var err error
		if u.InviteState, err = p.shown(ctx, e); err != nil {
			return nil, err
		}
	}
	return rooms.AppendClientEvent(b, e, u, true), nil
}

// takeEncryption takes messages for devices, changed device lists and counts of keys; it tells how far the lists lead.
func (p *dispatch) takeEncryption(ctx context.Context, l *link, f *flight) (int64, error) {
	lists := l.Lists
	if l.mail {
		found, err := p.DB.ListServiceToDevice(ctx, l.ID, maxToDevice)
		if err != nil {
			return 0, err
		}
		for i := range found {
			if f.size += len(found[i].Content); f.size > maxBody && (i > 0 || len(f.Events) > 0) {
				break
			}
			if err := f.addMessage(&found[i]); err != nil {
				return 0, err
			}
		}
		l.mail = len(found) > 0 // there may be more, once these are gone
	}
	if l.lists {
		p.mu.Lock()
		upto := max(p.upto, p.DB.Position())
		p.mu.Unlock()
		found, err := p.DB.ListServiceListChanges(ctx, l.ID, lists, upto, maxLists+1)
		if err != nil {
			return 0, err
		}
		if len(found) > maxLists {
			found = found[:maxLists]
		}
		for _, c := range found {
			f.Changed = append(f.Changed, c.User)
			lists = c.Pos
		}
		if l.lists = len(found) == maxLists; !l.lists {
			lists = upto
		}
	}
	if err := p.takeLeft(ctx, l, f); err != nil {
		return 0, err
	}
	return lists, p.takeCounts(ctx, l, f)
}

func (f *flight) addMessage(m *storage.DeviceMessage) error {
	raw, err := json.Marshal(map[string]any{"type": m.Type, "sender": m.Sender, "content": json.RawMessage(m.Content),
		"to_user_id": m.User, "to_device_id": m.Device})
	f.ToDevice = append(f.ToDevice, raw)
	f.Drop = append(f.Drop, drop{m.DeviceNID, m.Pos, m.Part})
	return err
}

// takeCounts tells how many keys the devices of some users have left. MSC3202
func (p *dispatch) takeCounts(ctx context.Context, l *link, f *flight) error {
	n := 0
	for nid := range l.counted {
		if n++; n > maxCounted {
			return nil
		}
		delete(l.counted, nid)
		user, err := p.DB.GetUserID(ctx, nid)
		if err != nil {
			return err
		}
		devices, err := p.DB.ListDeviceNames(ctx, nid)
		if err != nil {
			return err
		}
		for _, d := range devices {
			if err := p.count(ctx, f, user, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *dispatch) count(ctx context.Context, f *flight, user matrix.UserID, d storage.DeviceName) error {
	counts, err := p.DB.CountOneTimeKeys(ctx, d.NID)
	if err != nil {
		return err
	}
	if _, ok := counts["signed_curve25519"]; !ok {
		counts["signed_curve25519"] = 0
	}
	unused, err := p.DB.ListUnusedFallback(ctx, d.NID)
	if err != nil {
		return err
	}
	if f.Counts == nil {
		f.Counts = map[matrix.UserID]map[matrix.DeviceID]map[string]int64{}
		f.Fallback = map[matrix.UserID]map[matrix.DeviceID][]string{}
	}
	if f.Counts[user] == nil {
		f.Counts[user], f.Fallback[user] = map[matrix.DeviceID]map[string]int64{}, map[matrix.DeviceID][]string{}
	}
	f.Counts[user][d.ID], f.Fallback[user][d.ID] = counts, unused
	return nil
}
