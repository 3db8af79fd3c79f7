package devices

import (
	"context"
	"encoding/json"
	"slices"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/storage"
)

// The messages between servers about devices. Spec: server-server-api/#device-management, #send-to-device-messaging
const (
	eduToDevice   = "m.direct_to_device"
	eduDeviceList = "m.device_list_update"
	eduSigning    = "m.signing_key_update"
)

// announcePage is how many lists are looked at in one go.
const announcePage = 100

// announcement says which devices of a user other servers are to be told about. Keys are read when it is sent.
type announcement struct {
	User    matrix.UserID     `json:"user"`
	Devices []matrix.DeviceID `json:"devices,omitempty"`
	Gone    []matrix.DeviceID `json:"gone,omitempty"`
	Cross   bool              `json:"cross,omitempty"`
	// Prev is the number of the last change that was told before, 0 for none; those of this announcement follow from First on.
	Prev  int64 `json:"prev,omitempty"`
	First int64 `json:"first,omitempty"`
}

// Announce puts into the outbox what changed in the device lists of our users since it was called last, up to a position that this process has
// heard of. servers finds whom a user shares rooms with. One process at a time calls it; it may be ended at any point.
// Why no further: another node may have let a server into a room before a change that the database has already and this process has not.
func (s *Service) Announce(ctx context.Context, upto int64, servers func(ctx context.Context, user int64) ([]matrix.ServerName, error)) error {
	for {
		from, err := s.db.AnnouncedUpto(ctx)
		if err != nil {
			return err
		}
		lists, err := s.db.ListChangedLists(ctx, from, upto, announcePage)
		if err != nil || len(lists) == 0 {
			return err
		}
		change := &storage.Change{}
		change.Guard(storage.MoveAnnounced(from, lists[len(lists)-1].Pos))
		for _, l := range lists {
			to, err := servers(ctx, l.User)
			if err != nil {
				return err
			}
			if err := s.announce(ctx, change, l.User, to); err != nil {
				return err
			}
		}
		if err := s.db.Commit(ctx, change); err != nil {
			return err
		}
	}
}

// announce adds what is new about one user.
func (s *Service) announce(ctx context.Context, change *storage.Change, nid int64, servers []matrix.ServerName) error {
	user, err := s.db.GetUserID(ctx, nid)
	if err != nil {
		return err
	}
	was, err := s.db.ListAnnounced(ctx, nid)
	if err != nil {
		return err
	}
	is, err := s.announced(ctx, nid, user)
	if err != nil {
		return err
	}
	a := announcement{User: user}
	for id, hash := range is {
		if old, known := was[id]; known && old == hash {
			continue
		}
		change.Add(&storage.AnnouncedRow{User: nid, Device: id, Hash: hash})
		if id == "" {
			a.Cross = true
		} else {
			a.Devices = append(a.Devices, id)
		}
	}
	for id := range was {
		if _, still := is[id]; !still {
			change.Guard(storage.DeleteAnnounced(nid, id))
			a.Gone = append(a.Gone, id)
		}
	}
	if len(a.Devices)+len(a.Gone) == 0 { // what changed is not told with a device, but that it did is: a name, keys of the user
		for id := range is {
			if id != "" {
				a.Devices = append(a.Devices, id)
				break
			}
		}
	}
	if len(a.Devices)+len(a.Gone) == 0 && !a.Cross {
		return nil
	}
	if a.Prev, err = s.db.AnnouncedStream(ctx, nid); err != nil {
		return err
	}
	// Why the position at least: numbers given before they were kept were positions.
	a.First = max(a.Prev, s.db.Position()) + 1
	change.Add(&storage.AnnouncedStreamRow{User: nid, Stream: a.First + int64(len(a.Devices)+len(a.Gone)) - 1})
	servers = slices.DeleteFunc(slices.Clone(servers), func(to matrix.ServerName) bool { return to == user.Server() })
	to := storage.NewServerSet(servers)
	if to == nil {
		return nil // Why numbered all the same: who comes to be told of the next change must see that he missed one
	}
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	live := change.Live(storage.Live{Kind: storage.KindOutbox})
	change.Post(&storage.OutboxRow{At: storage.At{Live: live + 1}, Origin: user.Server(), Targets: to, EDU: eduDeviceList, Body: body})
	return nil
}

// announced is what there is to be told of a user's devices, by hash: of those without keys just that they are there.
// Spec: server-server-api/#device-management
func (s *Service) announced(ctx context.Context, nid int64, user matrix.UserID) (map[matrix.DeviceID]int64, error) {
	names, err := s.namesOf(ctx, nid)
	if err != nil {
		return nil, err
	}
	keys, err := s.ServeKeys(ctx, map[matrix.UserID][]matrix.DeviceID{user: nil})
	if err != nil {
		return nil, err
	}
	out := map[matrix.DeviceID]int64{}
	for id := range names {
		out[id] = matrix.Hash64(string(id))
	}
	for id, body := range keys.DeviceKeys[user] {
		out[id] = matrix.Hash64(string(body))
	}
	if keys.Master[user] != nil || keys.SelfSigning[user] != nil {
		out[""] = matrix.Hash64(string(keys.Master[user]) + string(keys.SelfSigning[user]))
	}
	return out, nil
}

type deviceUpdate struct {
	User    matrix.UserID   `json:"user_id"`
	Device  matrix.DeviceID `json:"device_id"`
	Stream  int64           `json:"stream_id"`
	Prev    []int64         `json:"prev_id"`
	Deleted bool            `json:"deleted,omitempty"`
	Keys    json.RawMessage `json:"keys,omitempty"`
	Name    string          `json:"device_display_name,omitempty"`
}

type signingUpdate struct {
	User        matrix.UserID   `json:"user_id"`
	Master      json.RawMessage `json:"master_key,omitempty"`
	SelfSigning json.RawMessage `json:"self_signing_key,omitempty"`
}

// ComposeEDU makes the messages of a row of the outbox, from keys as they are now.
func (s *Service) ComposeEDU(ctx context.Context, row *storage.OutboxRow) ([]core.EDU, error) {
	if row.EDU != eduDeviceList {
		return []core.EDU{{Type: row.EDU, Content: row.Body}}, nil
	}
	var a announcement
	if err := matrix.Decode(row.Body, &a); err != nil {
		return nil, err
	}
	keys, err := s.ServeKeys(ctx, map[matrix.UserID][]matrix.DeviceID{a.User: nil})
	if err != nil {
		return nil, err
	}
	nid, err := s.db.FindUserNID(ctx, a.User)
	if err != nil {
		return nil, err
	}
	names, err := s.namesOf(ctx, nid)
	if err != nil {
		return nil, err
	}
	var out []core.EDU
	add := func(typ string, content any) error {
		raw, err := json.Marshal(content)
		out = append(out, core.EDU{Type: typ, Content: raw})
		return err
	}
	prev := []int64{} // which makes the other server fetch the whole list
	if a.Prev != 0 {
		prev = append(prev, a.Prev)
	}
	for i, id := range append(a.Devices, a.Gone...) {
		name, there := names[id]
		u := deviceUpdate{User: a.User, Device: id, Stream: a.First + int64(i), Prev: prev, Deleted: !there, Keys: keys.DeviceKeys[a.User][id], Name: name}
		prev = []int64{u.Stream}
		if err := add(eduDeviceList, u); err != nil {
			return nil, err
		}
	}
	if a.Cross {
		if err := add(eduSigning, signingUpdate{a.User, keys.Master[a.User], keys.SelfSigning[a.User]}); err != nil {
			return nil, err
		}
	}
	return out, nil
}
